"""The one place that knows the file names inside a run folder.

```
recipe.yaml environment.json data.json base.json metrics.jsonl summary.json
evaluation/{before,after}-{split}.json      predictions/{before,after}-{split}.csv
adapter/ (or model/ for a full fine-tune)   checkpoints/step-NNNNNN/
figures/*.png   report.html   README.md (the model card)
calibration.json                            evaluation/errors-{split}.json
quantized/                                  metrics-qat.jsonl checkpoints-qat/
members/seed-N/ (of lora.members): metrics.jsonl checkpoints/ adapter/ summary.json (of that training alone)
baseline.json (the methods majority and words)   latency.json (where `compare` has measured it)
```
A quantized run also has the stages `float` (the trained model before it was quantized) and, where it was trained with
quantizers on, `ptq` (that model rounded as it is); its `after` is the quantized model as it is deployed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feathertune.errors import UserError
from feathertune.folders.summary import Stage


@dataclass(frozen=True)
class RunFolder:
    """Names and nothing else: reading and writing is done by whoever owns the content."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The complete recipe, defaults included."""
        return self.path / "recipe.yaml"

    @property
    def environment(self) -> Path:
        """Versions, processor, threads, the command."""
        return self.path / "environment.json"

    @property
    def data(self) -> Path:
        """Where the data came from, checksums, counts, label names, duplicates, leaks, skipped rows."""
        return self.path / "data.json"

    @property
    def base(self) -> Path:
        """The base model: source, commit, folder, architecture, sha256 of weights, config and tokenizer."""
        return self.path / "base.json"

    @property
    def calibration(self) -> Path:
        """How the final model's logits become answers, and how well its probabilities mean what they say."""
        return self.path / "calibration.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a line: each logged step and each epoch."""
        return self.path / "metrics.jsonl"

    @property
    def summary(self) -> Path:
        """The result. Written last: a run folder with a summary is a finished run."""
        return self.path / "summary.json"

    @property
    def adapter(self) -> Path:
        """PEFT's files, for the methods head and lora."""
        return self.path / "adapter"

    @property
    def model(self) -> Path:
        """A whole model in transformers' layout, for the method full."""
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        """Folders step-NNNNNN to resume from."""
        return self.path / "checkpoints"

    @property
    def quantized(self) -> Path:
        """The integer model, whole."""
        return self.path / "quantized"

    @property
    def qat_metrics(self) -> Path:
        """As metrics.jsonl, of the training with quantizers on, where that came second."""
        return self.path / "metrics-qat.jsonl"

    @property
    def qat_checkpoints(self) -> Path:
        """As checkpoints/, of that training."""
        return self.path / "checkpoints-qat"

    def member(self, seed: int) -> RunFolder:
        """What the training of one adapter left, of several that were averaged; no run of its own."""
        return RunFolder(self.path / "members" / f"seed-{seed}")

    @property
    def baseline(self) -> Path:
        """The whole of a baseline, for the methods majority and words."""
        return self.path / "baseline.json"

    @property
    def latency(self) -> Path:
        """How long the trained model takes to answer one text."""
        return self.path / "latency.json"

    @property
    def figures(self) -> Path:
        """PNG pictures."""
        return self.path / "figures"

    @property
    def report(self) -> Path:
        """The report, one page that needs nothing else."""
        return self.path / "report.html"

    @property
    def card(self) -> Path:
        """The model card, with the Hub's metadata."""
        return self.path / "README.md"

    def evaluation(self, stage: Stage, split: str) -> Path:
        """The metrics of one split at a stage of the run."""
        return self.path / "evaluation" / f"{stage}-{split}.json"

    def errors(self, split: str) -> Path:
        """Where the final model errs in one split."""
        return self.path / "evaluation" / f"errors-{split}.json"

    def predictions(self, stage: Stage, split: str) -> Path:
        """The predictions for each example of one split at a stage of the run."""
        return self.path / "predictions" / f"{stage}-{split}.csv"


def open_run(path: Path) -> RunFolder:
    """The finished run at `path`. Raises UserError where there is none."""
    run = RunFolder(path)
    if not path.is_dir():
        raise UserError("there is no such run folder", where=str(path), fix="Give a folder that `train` wrote.")
    if not run.recipe.is_file():
        raise UserError(
            "this is not a run folder: it has no recipe.yaml", where=str(path), fix="Give a folder that `train` wrote."
        )
    if not run.summary.is_file():
        raise UserError(
            "this run is not finished: it has no summary.json",
            where=str(path),
            fix="Finish it with `feathertune train RECIPE --output THIS_FOLDER --resume`.",
        )
    return run
