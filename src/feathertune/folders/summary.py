"""summary.json, the result of a run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from feathertune.folders.metrics import Metrics
from feathertune.folders.record import Part, Record

Stage = Literal["before", "float", "ptq", "after"]
STAGES: tuple[Stage, ...] = ("before", "float", "ptq", "after")
BySplit = dict[str, Metrics]


class TrainingSummary(Part):
    """How long a training took, and which epoch was kept.

    Attributes:
        epochs: epochs started; `training.max_steps` may have cut the last one short.
        best_epoch: the epoch whose weights were kept; None for a model soup, since each member has its own.
        stopped_early: whether early stopping ended the training.
        train_seconds, train_examples_per_second: of training steps only.
    """

    epochs: int
    best_epoch: int | None
    stopped_early: bool = False
    train_seconds: float
    train_examples_per_second: float | None


class SoupMember(Part):
    """One member of a model soup.

    Attributes:
        seed: for its LoRA factors, the order of examples and dropout; all members start from the same head.
        epochs, best_epoch, stopped_early: see `TrainingSummary`.
        value, loss: `training.best_metric` and the loss in nats, on validation, at the best epoch.
        train_seconds, examples_seen: of training steps only.
    """

    seed: int
    epochs: int
    best_epoch: int
    stopped_early: bool
    value: float | None
    loss: float | None
    train_seconds: float
    examples_seen: int


class QuantizationSummary(Part):
    """What was quantized, the sizes in bytes, and quantization-aware training (QAT), or None without it."""

    weights: str
    embeddings: str | None = None
    head: str | None = None
    activations: str | None = None
    linears: int = 0
    head_linears: int = 0
    embedding_tables: int = 0
    excluded: tuple[str, ...] = ()
    weights_bytes: int
    float32_bytes: int
    training: TrainingSummary | None = None


class StartSummary(Part):
    """The run that this one started from: its epochs, and whether it used the same data."""

    epochs: int
    same_data: bool


class Summary(Record):
    """What was trained, what it cost, and the metrics.

    Attributes:
        method: as in the recipe.
        model: the source of the base model; None for a baseline.
        epochs, best_epoch, stopped_early, train_seconds, train_examples_per_second: of the first training, which is
            often the only one; see `TrainingSummary`.
        precision: the precision that the layers were trained in.
        peak_memory_mib: the sum of the peaks of all processes.
        finished: date and time, ISO 8601.
        majority: split -> the metrics of the majority class.
        before, float32, ptq, after: split -> the metrics at each stage; float32 and ptq in quantized runs only.
        members: the members of a model soup.
        quantization: for a quantized run.
        start: for a run with `init_from`.
    """

    method: str
    model: str | None
    label_names: tuple[str, ...]
    trainable_parameters: int
    total_parameters: int
    epochs: int
    best_epoch: int | None
    best_metric: str = "accuracy"
    precision: str = "fp32"
    stopped_early: bool = False
    train_seconds: float
    train_examples_per_second: float | None
    peak_memory_mib: float
    finished: str = ""
    majority: BySplit = {}
    before: BySplit
    float32: BySplit | None = Field(default=None, alias="float")
    ptq: BySplit | None = None
    after: BySplit
    members: tuple[SoupMember, ...] = ()
    quantization: QuantizationSummary | None = None
    start: StartSummary | None = None

    @classmethod
    def upgraded(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Format 1 called the method bag_of_words `words`."""
        return {**content, "method": "bag_of_words"} if content.get("method") == "words" else content

    def stage(self, name: Stage) -> BySplit:
        """Split -> metrics at a stage; empty if the run has no such stage."""
        return getattr(self, "float32" if name == "float" else name) or {}

    def stages(self, split: str) -> dict[str, Metrics]:
        """Stage -> the metrics of a split, in order; `majority` comes first if it is known."""
        stages = {"majority": self.majority.get(split)} | {name: self.stage(name).get(split) for name in STAGES}
        return {name: metrics for name, metrics in stages.items() if metrics is not None}

    @property
    def trainings(self) -> tuple[TrainingSummary, ...]:
        """The trainings of the run, in order: none, one, or two if QAT followed a first training.

        The summary itself holds the figures of the first. With `init_from`, QAT is the first and only training.
        """
        if not self.train_seconds:
            return ()
        own = TrainingSummary(**{name: getattr(self, name) for name in TrainingSummary.model_fields})
        second = None if self.quantization is None else self.quantization.training
        return (own,) if second is None or second.train_seconds == self.train_seconds else (own, second)
