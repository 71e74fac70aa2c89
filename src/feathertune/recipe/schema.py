"""The recipe: everything that defines a run, in one frozen, validated object.

A recipe is read from YAML, changed by `key=value` overrides, and validated once (files.py). Builder functions take it
apart; the functions below them take plain values. Nothing in a recipe is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator, model_validator

from feathertune.recipe.evaluation import EvaluationSection
from feathertune.recipe.old_names import rename_keys, renamed_value
from feathertune.recipe.section import Section

Method = Annotated[
    Literal["head", "full", "lora", "qat", "majority", "bag_of_words"],
    renamed_value("words", "bag_of_words"),
]
BASELINES: tuple[Method, ...] = ("majority", "bag_of_words")  # they train no transformer: see baselines/
BestMetric = Literal["accuracy", "f1", "precision", "recall", "roc_auc", "loss"]


class ModelSection(Section):
    """The base model, and how much of a text it reads."""

    source: str = Field(min_length=1, description="Hub id, folder, package:NAME/path, or gguf:FILE")
    revision: str | None = Field(default=None, description="Hub commit, branch or tag; the commit is pinned in the run")
    max_length: int = Field(default=128, ge=2, le=32768, description="tokens; longer texts are cut and counted")
    dropout: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="every dropout rate of the base in training; null: the checkpoint's",
    )
    prompt: str | None = Field(default=None, description="the model's input; {text} stands for the text")
    special_tokens_in_text: Literal["text", "parse"] = Field(
        default="text", description="'[SEP]' in a text: its characters, or (parse) the special token"
    )

    @field_validator("prompt")
    @classmethod
    def _holds_the_text_once(cls, prompt: str | None) -> str | None:
        if prompt is not None and prompt.count("{text}") != 1:
            raise ValueError("must hold {text} once, where the text goes")
        return prompt


class LabelSection(Section):
    """How a row gets its class: from a column of labels, or from a column of ratings and a threshold.

    Give at most one of `column` and `rating`; without them, the column is found by its name and content. With `rating`,
    give exactly one of `above` (strict) and `at_least`; the comparison tolerates the rounding of float32 (0.8 is
    0.800000011920929 on the Hub). `names` orders the classes. The default is the column's values, sorted; for a rating
    it is NEGATIVE and POSITIVE.
    """

    column: str | None = None
    rating: str | None = None
    above: float | None = None
    at_least: float | None = None
    names: tuple[str, ...] | None = None
    has: str | None = Field(
        default=None, description="of several labels in a cell or list: whether this one is among them"
    )
    missing: tuple[str, ...] = Field(default=(), description="labels that stand for none, such as nan: rows left out")
    map: dict[str, str] = Field(default={}, description="label in the file: the class it counts as")
    merge_case: bool = Field(default=False, description="labels that differ in case or outer spaces are one class")
    annotators: Literal["majority", "soft", "first"] = Field(
        default="majority", description="of several annotators: the most frequent label, the shares, or the first"
    )
    soft: bool = Field(default=False, description="train on the rating itself as the probability of the last class")
    raters: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="with soft: train on how likely it is that so many new raters give the label",
    )

    @model_validator(mode="after")
    def _check(self) -> LabelSection:
        if self.column is not None and self.rating is not None:
            raise ValueError("give either `column` (labels) or `rating` (numbers), not both")
        if self.rating is not None and (self.above is None) == (self.at_least is None):
            raise ValueError("with `rating`, give either `above` or `at_least`")
        if self.rating is None and (self.above is not None or self.at_least is not None or self.soft):
            raise ValueError("`above`, `at_least` and `soft` go with `rating`, not with `column`")
        if self.rating is not None and (self.has or self.map or self.missing or self.merge_case):
            raise ValueError("`has`, `map`, `missing` and `merge_case` go with `column`, not with `rating`")
        if self.has is not None and (self.map or self.merge_case):
            raise ValueError("`map` and `merge_case` do not go with `has`")
        if self.raters is not None and not self.soft:
            raise ValueError("`raters` goes with `soft: true`")
        if self.names is not None and (len(self.names) < 2 or len(set(self.names)) != len(self.names)):
            raise ValueError("`names` must hold two or more different names")
        if self.rating is not None and self.names is not None and len(self.names) != 2:
            raise ValueError("`names` must hold two names when the label comes from a rating")
        return self


class DataSection(Section):
    """Where the data comes from, and which columns hold texts and labels."""

    source: str = Field(min_length=1, description="Hub id, folder, file, or `sample`")
    revision: str | None = Field(default=None, description="Hub commit, branch or tag; the commit is pinned in the run")
    text: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="the column of texts, or several, joined by line breaks; null: found by content"
    )
    label: LabelSection = LabelSection()
    format: Literal["csv", "tsv", "jsonl", "json", "parquet", "arrow", "xlsx", "ods", "txt", "fasttext"] | None = Field(
        default=None, description="kind of file; null, here and below: found by content"
    )
    separator: str | None = Field(default=None, min_length=1, max_length=1, description="between fields")
    quote: str | None = Field(default=None, max_length=1, description="around fields; an empty text: none")
    escape: str | None = Field(
        default=None, max_length=1, description="before a quote in a field; empty: it is doubled"
    )
    encoding: str | None = Field(default=None, description="such as utf-8 or windows-1252")
    columns: tuple[str, ...] | None = Field(default=None, description="names of the columns, without a header")
    header: bool | None = Field(default=None, description="whether the first row names the columns")
    sheet: str | None = Field(default=None, description="of a workbook")
    field: str | None = Field(default=None, description="of a JSON file, where its rows are")
    on_bad_row: Literal["error", "skip"] = "error"
    validation_fraction: float = Field(default=0.1, gt=0, lt=1, description="of train, if there is no validation split")
    validation_seed: int | None = Field(
        default=None, ge=0, lt=2**32, description="of that split; default: training.seed"
    )
    test: bool = Field(default=True, description="false: do not read a test split, so that nothing can be chosen on it")
    # Whether `text` and `label` were written for this source. False if an override changed the source alone: then they
    # count where the new source has such columns. "text" or "label": only that one was overridden as well. It is no key
    # of a recipe; whoever finds the columns sets it back to True.
    own_columns: bool | Literal["text", "label"] = Field(default=True, exclude=True)

    own_names: bool = Field(default=True, exclude=True)  # likewise: whether `label.names` were

    @field_validator("own_columns", "own_names", mode="before")
    @classmethod
    def _is_no_key(cls, _: Any) -> Any:
        raise ValueError("there is no such key")


class LastLayers(Section):
    """The layers nearest to the head."""

    last: int = Field(ge=1, description="how many of the model's layers")


class LoraSection(Section):
    """Low-rank adaptation (Hu et al. 2021): W + s B A, s = alpha / rank, or alpha / sqrt(rank) with rsLoRA."""

    rank: int = Field(default=8, ge=1, le=1024)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    targets: Literal["attention", "all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = "attention"
    layers: LastLayers | Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] | None = Field(
        default=None, description="`{last: K}`, or numbers from 0: only these layers are adapted; default: all"
    )
    rslora: bool = False
    members: int = Field(
        default=1,
        ge=1,
        le=100,
        description="a model soup: so many adapters averaged into one, of training.seed and the seeds after it",
    )

    @field_validator("targets", mode="wrap")
    @classmethod
    def _one_message(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError("give `attention`, `all-linear`, or a list of layer names") from None

    @field_validator("layers", mode="wrap")
    @classmethod
    def _one_message_for_layers(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError("give `{last: K}`, or a list of layer numbers from 0") from None


class TrainingSection(Section):
    """How the weights are trained. `warmup_ratio` is a share of all optimizer steps."""

    epochs: int = Field(default=3, ge=1, le=10_000)
    max_steps: int | None = Field(
        default=None, ge=1, description="optimizer steps; then training ends, even within an epoch"
    )
    batch_size: int = Field(default=32, ge=1, description="sequences per forward pass, of all processes together")
    gradient_accumulation_steps: int = Field(default=1, ge=1, description="forward passes per optimizer step")
    learning_rate: float = Field(default=2e-4, gt=0)
    head_learning_rate: float | None = Field(default=None, gt=0, description="of the head; default: learning_rate")
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_ratio: float = Field(default=0.06, ge=0, lt=1)
    schedule: Literal["linear", "cosine", "constant", "plateau"] = "linear"
    max_grad_norm: float | None = Field(default=1.0, gt=0, description="largest norm of the gradient; null: none")
    best_metric: BestMetric = Field(default="accuracy", description="chooses the epoch; the loss breaks ties")
    early_stopping_patience: int | None = Field(default=None, ge=1, description="epochs without improvement; null: off")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="of the matrix products; auto: bf16 where the machine supports it"
    )
    gradient_checkpointing: bool = Field(default=False, description="less memory for more time, with the same result")
    share_prefixes: bool = Field(
        default=False,
        description="compute the prefixes that texts of a batch share once; for causal models without dropout",
    )
    seed: int = Field(default=0, ge=0, lt=2**32)


class DistillSection(Section):
    """Distillation (Hinton et al. 2015, arXiv:1503.02531): learn from the model before quantization, too."""

    weight: float = Field(default=0.5, gt=0, le=1, description="of the distillation loss; the labels have the rest")
    temperature: float = Field(default=2.0, gt=0)


class QuantizeSection(Section):
    """Quantization-aware training (QAT) or post-training quantization (PTQ), and to what. See docs/NUMERICS.md."""

    weights: Literal["int8", "int4"] = "int8"
    activations: Literal["asymmetric", "symmetric"] = Field(
        default="asymmetric", description="symmetric: faster in ONNX; ExecuTorch cannot export it"
    )
    embeddings: Literal["int8", "fp32"] = "int8"
    head: Literal["int8", "fp32"] = "int8"
    exclude: tuple[str, ...] = Field(default=(), description="layers that stay in fp32, by the endings of their names")
    training: Annotated[Literal["qat", "ptq"], renamed_value("none", "ptq")] = Field(
        default="qat", description="qat: train with fake quantization; ptq: round the trained model"
    )
    epochs: int = Field(default=3, ge=1, le=10_000, description="of QAT, after training.epochs without it")
    learning_rate: float | None = Field(default=None, gt=0, description="default: training.learning_rate")
    distill: DistillSection | None = None

    @model_validator(mode="after")
    def _check(self) -> QuantizeSection:
        if self.training == "ptq" and self.distill is not None:
            raise ValueError("`distill` goes with `training: qat`: PTQ trains nothing")
        return self


class MethodSection(Section):
    """What is different for one method of a comparison. Data, epochs, batches and stopping are the same for all."""

    learning_rate: float | None = Field(default=None, gt=0, description="default: see `comparison_recipe`")
    head_learning_rate: float | None = Field(default=None, gt=0, description="default: training.head_learning_rate")
    weight_decay: float | None = Field(default=None, ge=0, description="default: training.weight_decay")
    warmup_ratio: float | None = Field(default=None, ge=0, lt=1, description="default: training.warmup_ratio")


class CompareSection(Section):
    """What `compare` trains, with how many seeds, and what is different for a method."""

    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = (*BASELINES, "head", "full", "lora", "qat")
    seeds: int = Field(default=3, ge=1, le=1000, description="how many: training.seed and the seeds after it")
    head: MethodSection = MethodSection()
    full: MethodSection = MethodSection()
    lora: MethodSection = MethodSection()
    qat: MethodSection = MethodSection()


class SearchRange(Section):
    """Numbers from `low` to `high`, both included; whole numbers if both ends are whole."""

    low: int | float
    high: int | float
    log: bool = Field(default=False, description="search on a logarithmic scale, as for rates")

    @model_validator(mode="after")
    def _check(self) -> SearchRange:
        if not self.low < self.high:
            raise ValueError("`low` must be below `high`")
        if self.log and self.low <= 0:
            raise ValueError("`low` must be above 0 if `log` is true")
        return self


class Recipe(Section):
    """One run: a model, data, a method, and how to train."""

    model: ModelSection
    data: DataSection
    method: Method = "lora"
    lora: LoraSection = LoraSection()
    training: TrainingSection = TrainingSection()
    quantize: QuantizeSection | None = None
    evaluation: EvaluationSection = EvaluationSection()
    init_from: str | None = Field(
        default=None, description="with `method: qat`: a finished lora run, or an adapter's folder"
    )
    compare: CompareSection | None = Field(default=None, description="for `feathertune compare`")
    search: dict[str, SearchRange | Annotated[tuple[Any, ...], Field(min_length=1)]] | None = Field(
        default=None, description="for `feathertune tune`: key of a recipe -> {low, high, log} or [choices]"
    )

    @field_validator("search", mode="before")
    @classmethod
    def _old_searched_keys(cls, search: Any) -> Any:
        return rename_keys(search) if isinstance(search, Mapping) else search

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
                "quantize.training=qat goes with `method: qat`; to quantize other methods: quantize.training=ptq"
            )
        if self.method != "lora" and self.lora.members > 1:
            raise ValueError(
                "lora.members goes with `method: lora`; a qat run can start from the model soup by `init_from`"
            )
        if self.method != "qat" and self.init_from is not None:
            raise ValueError("`init_from` goes with `method: qat`")
        return self
