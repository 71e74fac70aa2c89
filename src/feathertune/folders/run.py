"""The file names inside a run folder.

```
recipe.yaml environment.json data.json base.json metrics.jsonl summary.json
evaluation/{before,after}-{split}.json      predictions/{before,after}-{split}.csv
adapter/ with the tokenizer (or model/ for a full fine-tune)   checkpoints/step-NNNNNN/
figures/*.png   report.html   README.md (the model card)
calibration.json                            evaluation/errors-{split}.json
quantized/                                  metrics-qat.jsonl checkpoints-qat/
members/seed-N/ (of a model soup): metrics.jsonl checkpoints/ adapter/ summary.json (of that training only)
baseline.json (the methods majority and bag_of_words)   latency.json (if `compare` measured it)
```
A quantized run also has the stage `float` (the trained model before quantization), and with quantization-aware training
(QAT) the stage `ptq` (post-training quantization: the trained model, rounded). Its `after` is the quantized model as it
is deployed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feathertune.errors import UserError
from feathertune.folders.reported import ReportedFolder
from feathertune.folders.summary import Stage


@dataclass(frozen=True)
class RunFolder(ReportedFolder):
    """Names inside a run folder. The modules that own the content read and write it."""

    @property
    def environment(self) -> Path:
        """Versions, processor, threads, the command line."""
        return self.path / "environment.json"

    @property
    def data(self) -> Path:
        """The source of the data, checksums, counts, label names, duplicates, leaks, skipped rows."""
        return self.path / "data.json"

    @property
    def base(self) -> Path:
        """The base model: source, commit, folder, architecture, sha256 of weights, config and tokenizer."""
        return self.path / "base.json"

    @property
    def calibration(self) -> Path:
        """How the final model's logits become predictions, and how well its probabilities are calibrated."""
        return self.path / "calibration.json"

    @property
    def metrics(self) -> Path:
        """One JSON object per line, for each logged step and each epoch."""
        return self.path / "metrics.jsonl"

    @property
    def summary(self) -> Path:
        """The result, written last: a run folder with a summary is a finished run."""
        return self.path / "summary.json"

    @property
    def adapter(self) -> Path:
        """PEFT's files and the tokenizer, for the methods head, lora and qat."""
        return self.path / "adapter"

    @property
    def model(self) -> Path:
        """A whole model in transformers' layout, for the method full."""
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints to resume from: folders step-NNNNNN."""
        return self.path / "checkpoints"

    @property
    def quantized(self) -> Path:
        """The complete integer model."""
        return self.path / "quantized"

    @property
    def qat_metrics(self) -> Path:
        """Like metrics.jsonl, for QAT after a first training."""
        return self.path / "metrics-qat.jsonl"

    @property
    def qat_checkpoints(self) -> Path:
        """Like checkpoints/, for the same training."""
        return self.path / "checkpoints-qat"

    def member(self, seed: int) -> RunFolder:
        """The training of one member of a model soup. This is no run folder of its own."""
        return RunFolder(self.path / "members" / f"seed-{seed}")

    @property
    def baseline(self) -> Path:
        """The complete baseline, for the methods majority and bag_of_words."""
        return self.path / "baseline.json"

    @property
    def latency(self) -> Path:
        """How long one prediction takes."""
        return self.path / "latency.json"

    def evaluation(self, stage: Stage, split: str) -> Path:
        """The metrics of a split at a stage of the run."""
        return self.path / "evaluation" / f"{stage}-{split}.json"

    def errors(self, split: str) -> Path:
        """The errors of the final model in a split."""
        return self.path / "evaluation" / f"errors-{split}.json"

    def predictions(self, stage: Stage, split: str) -> Path:
        """The predictions for each example of a split at a stage of the run."""
        return self.path / "predictions" / f"{stage}-{split}.csv"


def open_run(path: Path) -> RunFolder:
    """The finished run at `path`. Raises UserError if there is none."""
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
