"""The recipe: everything that decides a run, in one frozen, validated object.

A recipe is read from YAML, changed by `key=value` overrides, and validated once (recipe_file.py). Builder functions
take it apart; below them, functions take plain values. Nothing in it is executed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)


def renamed_value(old: str, new: str) -> BeforeValidator:
    """Take a value by the name that it had in earlier versions."""
    return BeforeValidator(lambda value: new if value == old else value)


Method = Annotated[
    Literal["head", "full", "lora", "qat", "majority", "bag_of_words"],
    renamed_value("words", "bag_of_words"),
]
BASELINES: tuple[Method, ...] = ("majority", "bag_of_words")  # they train no transformer: see baselines/
BestMetric = Literal["accuracy", "f1", "precision", "recall", "roc_auc", "loss"]
ThresholdMetric = Literal["accuracy", "f1", "balanced_accuracy"]


# What earlier versions called keys and values that have another name now; recipes with either are read.
OLD_KEYS = {
    "accumulation": "gradient_accumulation_steps",
    "warmup": "warmup_ratio",
    "gradient_clip": "max_grad_norm",
    "early_stopping": "early_stopping_patience",
    "checkpoint_activations": "gradient_checkpointing",
}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _old_keys(cls, values: Any) -> Any:
        """Take keys by the names that they had in earlier versions."""
        if not isinstance(values, dict):
            return values
        renamed = {old: new for old, new in OLD_KEYS.items() if old in values and new in cls.model_fields}
        for old, new in renamed.items():
            if new in values:
                raise ValueError(f"`{old}` is the old name of `{new}`, and both are given")
        return {renamed.get(key, key): value for key, value in values.items()}

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, field: ValidationInfo) -> Any:
        """Refuse true where a number belongs, which would count as 1; YAML reads yes and on as true."""
        if isinstance(value, bool):
            annotation = cls.model_fields[str(field.field_name)].annotation
            kinds = {getattr(kind, "__origin__", kind) for kind in (annotation, *get_args(annotation))}
            if kinds & {int, float} and bool not in kinds:
                raise ValueError(f"must be a number; YAML reads this as {str(value).lower()}")
        return value


class ModelSection(_Section):
    """Which base model, and how much of a text it reads."""

    source: str = Field(min_length=1, description="Hub id, folder, package:NAME/path, or gguf:FILE")
    revision: str | None = Field(default=None, description="Hub commit, branch or tag; the commit is pinned in the run")
    max_length: int = Field(default=128, ge=2, le=32768, description="tokens; longer texts are cut and counted")
    dropout: float | None = Field(
        default=None, ge=0, lt=1, description="every dropout rate of the base in training; null: the checkpoint's"
    )
    prompt: str | None = Field(default=None, description="what the model reads of a text; {text} is the text itself")

    @field_validator("prompt")
    @classmethod
    def _holds_the_text_once(cls, prompt: str | None) -> str | None:
        if prompt is not None and prompt.count("{text}") != 1:
            raise ValueError("must hold {text} once, where the text goes")
        return prompt


class LabelSection(_Section):
    """How a row becomes a class: from a column, or from a rating by a threshold.

    Exactly one of `column` and `rating` is given. With `rating`, exactly one of `above` (strict) and `at_least`;
    the comparison forgives the rounding of float32 (0.8 is 0.800000011920929 on the Hub). `names` orders the
    classes; without it they are the column's values, sorted, or NEGATIVE and POSITIVE for a rating.
    """

    column: str | None = None
    rating: str | None = None
    above: float | None = None
    at_least: float | None = None
    names: tuple[str, ...] | None = None
    soft: bool = Field(default=False, description="train on the rating itself as the probability of the last class")
    raters: int | None = Field(
        default=None, ge=1, le=1000, description="with soft: train on how likely as many more raters give the label"
    )

    @model_validator(mode="after")
    def _check(self) -> LabelSection:
        if (self.column is None) == (self.rating is None):
            raise ValueError("give either `column` (the label's column) or `rating` (a number's column), not both")
        if self.rating is not None and (self.above is None) == (self.at_least is None):
            raise ValueError("with `rating`, give either `above` or `at_least`")
        if self.column is not None and (self.above is not None or self.at_least is not None or self.soft):
            raise ValueError("`above`, `at_least` and `soft` go with `rating`, not with `column`")
        if self.raters is not None and not self.soft:
            raise ValueError("`raters` goes with `soft: true`")
        if self.names is not None and (len(self.names) < 2 or len(set(self.names)) != len(self.names)):
            raise ValueError("`names` must hold two or more different names")
        if self.rating is not None and self.names is not None and len(self.names) != 2:
            raise ValueError("`names` must hold two names when the label comes from a rating")
        return self


class DataSection(_Section):
    """Where the rows come from and what they mean."""

    source: str = Field(min_length=1, description="Hub id, folder, file, or `sample`")
    revision: str | None = Field(default=None, description="Hub commit, branch or tag; the commit is pinned in the run")
    text: str = Field(default="text", description="the text's column")
    label: LabelSection = LabelSection(column="label")
    on_bad_row: Literal["error", "skip"] = "error"
    validation_fraction: float = Field(default=0.1, gt=0, lt=1, description="of train, where there is no validation")
    validation_seed: int | None = Field(default=None, ge=0, lt=2**32, description="of that; default: training.seed")
    test: bool = Field(default=True, description="false: a test split is not read, so that nothing can be chosen on it")


class LoraSection(_Section):
    """Low-rank adaptation (Hu et al. 2021): W + s B A, s = alpha / rank, or alpha / sqrt(rank) with rsLoRA."""

    rank: int = Field(default=8, ge=1, le=1024)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    targets: Literal["attention", "all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = "attention"
    rslora: bool = False
    members: int = Field(
        default=1, ge=1, le=100, description="so many adapters, of training.seed and those after it, averaged into one"
    )

    @field_validator("targets", mode="wrap")
    @classmethod
    def _one_message(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError("give `attention`, `all-linear`, or a list of layer names") from None


class TrainingSection(_Section):
    """How the weights are trained. Rates are per optimizer step; `warmup_ratio` is a share of all steps."""

    epochs: int = Field(default=3, ge=1, le=10_000)
    max_steps: int | None = Field(default=None, ge=1, description="ends a stage, within an epoch if need be")
    batch_size: int = Field(default=32, ge=1, description="sequences per forward pass")
    gradient_accumulation_steps: int = Field(default=1, ge=1, description="forward passes per optimizer step")
    learning_rate: float = Field(default=2e-4, gt=0)
    head_learning_rate: float | None = Field(default=None, gt=0, description="the head's own; default: learning_rate")
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_ratio: float = Field(default=0.06, ge=0, lt=1)
    schedule: Literal["linear", "cosine", "constant", "plateau"] = "linear"
    max_grad_norm: float | None = Field(default=1.0, gt=0, description="largest norm of the gradient; null: none")
    best_metric: BestMetric = Field(default="accuracy", description="chooses the epoch; of equals, the loss does")
    early_stopping_patience: int | None = Field(default=None, ge=1, description="epochs that are no better; null: off")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="of the layers' products; auto: bf16 where the machine has it"
    )
    gradient_checkpointing: bool = Field(default=False, description="less memory for more time, with the same result")
    share_prefixes: bool = Field(
        default=False,
        description="compute what texts of a batch begin with once; for causal models without any dropout",
    )
    seed: int = Field(default=0, ge=0, lt=2**32)


class DistillSection(_Section):
    """Learn from the answers of the model before it was quantized as well (Hinton et al. 2015, arXiv:1503.02531)."""

    weight: float = Field(default=0.5, gt=0, le=1, description="of these answers in the loss; the labels have the rest")
    temperature: float = Field(default=2.0, gt=0)


class QuantizeSection(_Section):
    """The integers of the deployed model, and whether it is trained with them in view. See docs/NUMERICS.md."""

    weights: Literal["int8", "int4"] = "int8"
    activations: Literal["asymmetric", "symmetric"] = Field(
        default="asymmetric", description="symmetric: faster in ONNX, and not for executorch"
    )
    embeddings: Literal["int8", "fp32"] = "int8"
    head: Literal["int8", "fp32"] = "int8"
    exclude: tuple[str, ...] = Field(default=(), description="name endings of layers that stay in fp32")
    training: Annotated[Literal["qat", "ptq"], renamed_value("none", "ptq")] = Field(
        default="qat", description="ptq: the trained model is rounded as it is"
    )
    epochs: int = Field(default=3, ge=1, le=10_000, description="with the quantizers on, after training.epochs without")
    learning_rate: float | None = Field(default=None, gt=0, description="default: training.learning_rate")
    distill: DistillSection | None = None

    @model_validator(mode="after")
    def _check(self) -> QuantizeSection:
        if self.training == "ptq" and self.distill is not None:
            raise ValueError("`distill` goes with `training: qat`: where nothing is trained, nothing learns")
        return self


class MethodSection(_Section):
    """What one method of a comparison does otherwise. Data, epochs, batches and stopping are the same for all."""

    learning_rate: float | None = Field(default=None, gt=0, description="default: see `comparison_recipe`")
    head_learning_rate: float | None = Field(default=None, gt=0, description="default: training.head_learning_rate")
    weight_decay: float | None = Field(default=None, ge=0, description="default: training.weight_decay")
    warmup_ratio: float | None = Field(default=None, ge=0, lt=1, description="default: training.warmup_ratio")


class CompareSection(_Section):
    """What `compare` trains, with how many seeds, and what a method has of its own."""

    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = (*BASELINES, "head", "full", "lora", "qat")
    seeds: int = Field(default=3, ge=1, le=1000, description="training.seed and those that follow it")
    head: MethodSection = MethodSection()
    full: MethodSection = MethodSection()
    lora: MethodSection = MethodSection()
    qat: MethodSection = MethodSection()


class SearchRange(_Section):
    """Numbers from `low` to `high`, both included; whole ones where both ends are."""

    low: int | float
    high: int | float
    log: bool = Field(default=False, description="tenfold steps are as likely everywhere; for rates")

    @model_validator(mode="after")
    def _check(self) -> SearchRange:
        if not self.low < self.high:
            raise ValueError("`low` must be below `high`")
        if self.log and self.low <= 0:
            raise ValueError("`low` must be above 0 where `log` is true")
        return self


class ThresholdChoice(_Section):
    """The threshold with the best value of a metric on the validation split."""

    maximize: ThresholdMetric


class EvaluationSection(_Section):
    """How logits become answers, beside plain softmax and the likeliest class.

    What is chosen here is chosen on validation, for the model of each stage by itself, and stored with the run:
    `predict`, `evaluate` and exports answer by it. Epochs are compared without temperature, at the fixed threshold or
    at 0.5.
    """

    temperature: bool = Field(
        default=False, description="divide the logits by the number that makes the validation loss smallest"
    )
    threshold: Annotated[float, Field(gt=0, lt=1)] | ThresholdChoice = Field(
        default=0.5, description="two classes: POSITIVE from this probability on; or {maximize: METRIC}"
    )

    @field_validator("threshold", mode="wrap")
    @classmethod
    def _one_message(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            metrics = ", ".join(get_args(ThresholdMetric))
            raise ValueError(f"give a number between 0 and 1, or {{maximize: METRIC}} with one of {metrics}") from None

    @property
    def maximize(self) -> ThresholdMetric | None:
        """The metric the threshold is chosen for, or None."""
        return self.threshold.maximize if isinstance(self.threshold, ThresholdChoice) else None

    @property
    def fixed_threshold(self) -> float:
        """The threshold where it is a number, else 0.5."""
        return 0.5 if isinstance(self.threshold, ThresholdChoice) else self.threshold

    @property
    def chooses(self) -> bool:
        """Whether anything is fitted to validation."""
        return self.temperature or self.maximize is not None


class Recipe(_Section):
    """One run: a model, data, a method and how to train it."""

    model: ModelSection
    data: DataSection
    method: Method = "lora"
    lora: LoraSection = LoraSection()
    training: TrainingSection = TrainingSection()
    quantize: QuantizeSection | None = None
    evaluation: EvaluationSection = EvaluationSection()
    init_from: str | None = Field(default=None, description="for qat: a finished lora run to start from")
    compare: CompareSection | None = Field(default=None, description="for `feathertune compare`")
    search: dict[str, SearchRange | Annotated[tuple[Any, ...], Field(min_length=1)]] | None = Field(
        default=None, description="for `feathertune tune`: a recipe's key -> {low, high, log} or [choices]"
    )

    @model_validator(mode="before")
    @classmethod
    def _qat_quantizes(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("method") == "qat" and values.get("quantize") is None:
            return values | {"quantize": {}}
        return values

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if self.method != "qat" and self.quantize is not None and self.quantize.training == "qat":
            raise ValueError(
                "quantize.training=qat goes with `method: qat`; other methods round afterwards: quantize.training=ptq"
            )
        if self.method != "lora" and self.lora.members > 1:
            raise ValueError(
                "lora.members goes with `method: lora`; what it averaged can be the `init_from` of a qat run"
            )
        if self.method != "qat" and self.init_from is not None:
            raise ValueError("`init_from` goes with `method: qat`")
        return self
