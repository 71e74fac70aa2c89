"""The folder of a comparison: its file names, and comparison.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feathertune.folders.record import Part, Record
from feathertune.folders.reported import ReportedFolder
from feathertune.folders.run import RunFolder
from feathertune.wording.methods import TITLES

OLD_METHODS = {"words": "bag_of_words"}  # the name in format 1 -> the name now


@dataclass(frozen=True)
class ComparisonFolder(ReportedFolder):
    """Names inside the folder of a comparison.

    ```
    recipe.yaml comparison.json README.md report.html figures/   runs/{method}-seed{N}/ (run folders)
    ```
    """

    @property
    def comparison(self) -> Path:
        """The result, written last."""
        return self.path / "comparison.json"

    @property
    def runs(self) -> Path:
        """The run folders."""
        return self.path / "runs"

    def run(self, method: str, seed: int) -> RunFolder:
        """The folder of one run: under the method's old name if an earlier version made it."""
        run = self.runs / f"{method}-seed{seed}"
        older = [self.runs / f"{old}-seed{seed}" for old, new in OLD_METHODS.items() if new == method]
        return RunFolder(next((path for path in older if path.is_dir() and not run.is_dir()), run))


class Estimate(Part):
    """A metric over seeds: the mean, its 95% interval over examples and seeds, and each seed's own value.

    None where it is undefined.
    """

    value: float | None
    low: float | None
    high: float | None
    by_seed: tuple[float | None, ...] = ()

    @property
    def interval(self) -> tuple[float, float] | None:
        """(low, high), or None if there is no interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)


Estimates = dict[str, dict[str, Estimate]]  # split -> metric -> estimate


class MethodResult(Part):
    """One method of a comparison: its metrics after training (`metrics`) and before, and its costs.

    `absent_classes` has for each split and seed how many classes its macro averages after training leave out.

    Costs are medians over seeds; peak_memory_mib is that of a run's whole process, latency_ms and bytes are those of
    the first seed's artefact. None where a cost does not exist, as the speed of a method that trains nothing.
    """

    method: str
    name: str
    seeds: tuple[int, ...]
    runs: tuple[str, ...] = ()
    learning_rate: float | None = None
    metrics: Estimates
    before: Estimates = {}
    absent_classes: dict[str, tuple[int, ...]] = {}
    train_seconds: float | None = None
    train_examples_per_second: float | None = None
    best_epochs: tuple[int | None, ...] = ()
    trainable_parameters: int | None = None
    peak_memory_mib: float | None = None
    artefact_bytes: int | None = None
    deployed_bytes: int | None = None
    latency_ms: float | None = None

    @property
    def title(self) -> str:
        """The name for tables; `name` is for sentences."""
        return TITLES.get(self.method, self.name)


class McNemarResult(Part):
    """Examples that only the first method has right (b), only the second (c), and the exact two-sided p-value."""

    b: int
    c: int
    p: float


class PairResult(Part):
    """The difference of two methods in one metric on one split, with Holm's correction over the pairs."""

    first: str
    second: str
    split: str
    metric: str
    difference: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    mcnemar: tuple[McNemarResult, ...] = ()
    sentence: str

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0 and the adjusted p-value is below 5%."""
        return (self.low > 0 or self.high < 0) and self.p_adjusted < 0.05


class Comparison(Record):
    """The content of comparison.json.

    Attributes:
        label_names: the classes.
        seeds: all seeds.
        splits: name -> number of examples.
        budget: sentences on the budget that all methods had.
        methods, pairs: the results.
        sentences: the results in words.
        time_ratio_lora_full: LoRA's training time by that of full fine-tuning; None without both.
        notes: what to beware of.
    """

    label_names: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    splits: dict[str, int] = {}
    budget: tuple[str, ...] = ()
    methods: tuple[MethodResult, ...]
    pairs: tuple[PairResult, ...]
    sentences: tuple[str, ...] = ()
    time_ratio_lora_full: float | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def upgraded(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Format 1 called the method bag_of_words `words`."""
        methods = [
            {**one, "method": OLD_METHODS.get(one["method"], one["method"])} for one in content.get("methods", [])
        ]
        pairs = [
            {**one, **{side: OLD_METHODS.get(one[side], one[side]) for side in ("first", "second")}}
            for one in content.get("pairs", [])
        ]
        return {**content, "methods": methods, "pairs": pairs}

    @property
    def main_split(self) -> str:
        """The split that a report presents first: test if there is one."""
        splits = list(self.methods[0].metrics)
        return "test" if "test" in splits else splits[0]
