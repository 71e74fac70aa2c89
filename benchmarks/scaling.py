"""Time and memory of training and prediction for 1,000 to 1,000,000 generated rows.

Each size runs in a process of its own, because of its peak memory. Rows are read from a file, searched for duplicates,
tokenized, trained on, predicted, written, and predicted again from the file as by `feathertune predict --input`. The
model is a tiny BERT, and training takes one step of 32 texts for every 2,000 rows (at least 30), so that mostly the
parts around the model are measured. Time per row and per token, and memory, should be the same for all sizes: each
figure is followed by its ratio to the previous size.

    python benchmarks/scaling.py                 # 1,000 to 1,000,000 rows
    python benchmarks/scaling.py --quick         # to 10,000
    python benchmarks/scaling.py --output scaling.json

Own memory is private to the process. Total memory includes memory-mapped files (texts, token ids, libraries), whose
pages the system reclaims when it needs them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from generated import LABELS, MAX_LENGTH, build_model, build_tokenizer, write_data

if TYPE_CHECKING:
    from feathertune.model.classifier import PackedClassifier
    from feathertune.training.dataset import TrainingSet

SIZES = (1_000, 10_000, 100_000, 1_000_000)
BATCH, MIN_STEPS, ROWS_PER_STEP = 32, 30, 2_000
REPEATED_SECONDS, MAX_REPEATS = 0.5, 20
WARM_UP_ROWS = 1_000
# key -> (name, unit)
STAGES = {
    "read": ("reading", "row"),
    "check": ("finding duplicates", "row"),
    "tokenize": ("tokenizing", "token"),
    "train": ("training", "trained token"),
    "evaluate": ("predicting a split", "token"),
    "write": ("writing predictions", "row"),
    "predict": ("predicting a file", "token"),
}


def train_some(classifier: PackedClassifier, data: TrainingSet, steps: int, folder: Path) -> tuple[float, int]:
    """Train for `steps` steps of the first epoch on `data`. Returns the seconds and the number of tokens.

    The seconds are the median over steps, times `steps`.
    """
    from accelerate import Accelerator

    from feathertune.tokens.order import training_steps
    from feathertune.training.loop import LoopSettings, train_loop
    from feathertune.training.optimizer import build_optimizer
    from feathertune.training.record import TrainingPaths
    from feathertune.training.reporter import SilentReporter

    class StepsDone(Exception):  # noqa: N818  # not an error
        """Raised to leave the loop."""

    class Clock(SilentReporter):
        def start(self, total_steps: int, done_steps: int) -> None:
            self.ends = [time.perf_counter()]

        def step(self, step: int, loss: float, examples_per_second: float) -> None:
            self.ends.append(time.perf_counter())
            if step == steps:
                raise StepsDone

    clock = Clock()
    optimizer = build_optimizer(classifier, learning_rate=1e-4, head_learning_rate=None, weight_decay=0.01)
    settings = LoopSettings(1, BATCH, 1, 0.0, "linear", 1.0, "loss", None, 0)
    paths = TrainingPaths(folder / "metrics.jsonl", folder / "checkpoints", "scaling")
    try:
        train_loop(classifier, optimizer, data, dict, settings, paths, clock, Accelerator(cpu=True))
    except StepsDone:
        order = np.concatenate(training_steps(len(data.texts), BATCH, seed=0, epoch=1)[:steps])
        seconds = steps * statistics.median(end - begin for begin, end in pairwise(clock.ends))
        return seconds, int(data.texts.lengths[order].sum())
    raise AssertionError(f"{len(data.texts)} rows are too few for {steps} steps")


def predict_file(classifier: PackedClassifier, tokenizer: Any, source: Path, output: Path) -> None:
    """Predict a file as `feathertune predict --input` does, with a loaded model."""
    from feathertune.folders.run import RunFolder
    from feathertune.recipe.schema import Recipe
    from feathertune.run.load import TrainedModel
    from feathertune.serving.bulk import predict_rows, write_rows
    from feathertune.serving.predictor import Predictor

    recipe = Recipe.model_validate({"model": {"source": "-"}, "data": {"source": str(source), "text": "text"}})
    predictor = Predictor(TrainedModel(RunFolder(output.parent), recipe, classifier, tokenizer, MAX_LENGTH))
    with output.open("w", encoding="utf-8", newline="") as file:
        write_rows(predict_rows(predictor, source, None), LABELS, file, "csv")


def warm_up(classifier: PackedClassifier, tokenizer: Any, folder: Path) -> None:
    """Import libraries and compile kernels with a thousand other rows, before anything is measured.

    A kernel is compiled for each number of tokens in a batch, and up to about a thousand are kept (300 MiB). A large
    data set has all those numbers and a small one only some, so all of them are compiled here.
    """
    from feathertune.data.loading import load_dataset
    from feathertune.data.texts import iterate
    from feathertune.prediction.inference import predict_logits
    from feathertune.recipe.schema import DataSection
    from feathertune.tokens.tokenized import tokenize
    from feathertune.training.dataset import TrainingSet

    write_data(folder, WARM_UP_ROWS)
    train = load_dataset(DataSection(source=str(folder)), 0).splits["train"]
    texts = tokenize(tokenizer, iterate(train.texts), MAX_LENGTH)
    train_some(classifier, TrainingSet(texts, train.labels, train.rows), WARM_UP_ROWS // BATCH, folder)
    for begin in range(0, 40, 8):
        for size in range(1, 120):
            predict_logits(classifier, texts.window(begin, begin + size))


def measure(data: Path, rows: int) -> dict[str, Any]:
    """All results for one size, measured in this process."""
    from feathertune.data.loading import load_dataset
    from feathertune.data.overlap import find_overlap
    from feathertune.data.statistics import describe
    from feathertune.data.texts import iterate
    from feathertune.prediction.files import write_predictions
    from feathertune.prediction.inference import predict_split
    from feathertune.recipe.schema import DataSection
    from feathertune.system.machine import peak_memory_mib
    from feathertune.tokens.tokenized import tokenize
    from feathertune.training.dataset import TrainingSet

    tokenizer, classifier = build_tokenizer(), build_model()
    seconds: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        result, seconds[stage] = median_of_repeats(work)
        return result

    with tempfile.TemporaryDirectory() as name, own_memory() as memory:
        folder = Path(name)
        warm_up(classifier, tokenizer, folder)
        dataset = timed("read", lambda: load_dataset(DataSection(source=str(data)), 0))
        train = dataset.splits["train"]
        texts = timed("tokenize", lambda: tokenize(tokenizer, iterate(train.texts), MAX_LENGTH))
        timed("check", lambda: describe(dataset, None, overlap=find_overlap(dataset)))
        steps = min(max(MIN_STEPS, rows // ROWS_PER_STEP), -(-rows // BATCH))
        training = TrainingSet(texts, train.labels, train.rows)
        seconds["train"], trained_tokens = train_some(classifier, training, steps, folder)
        predictions = timed("evaluate", lambda: predict_split(classifier, train, texts))
        timed("write", lambda: write_predictions(folder / "predictions.csv", predictions))
        timed("predict", lambda: predict_file(classifier, tokenizer, data / "train.jsonl", folder / "again.csv"))
    tokens = int(texts.offsets[-1])
    units = {"row": rows, "token": tokens, "trained token": trained_tokens}
    return {
        "rows": rows,
        "tokens": tokens,
        "steps": steps,
        "trained_tokens": trained_tokens,
        "seconds": seconds,
        "microseconds": {stage: seconds[stage] / units[unit] * 1e6 for stage, (_, unit) in STAGES.items()},
        "own_memory_mib": memory[0],
        "peak_memory_mib": peak_memory_mib(),
    }


def median_of_repeats(work: Callable[[], Any]) -> tuple[Any, float]:
    """The result of `work`, and its median time in seconds. Work of less than half a second is repeated."""
    times: list[float] = []
    while not times or (sum(times) < REPEATED_SECONDS and len(times) < MAX_REPEATS):
        began = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - began)
    return result, statistics.median(times)


@contextmanager
def own_memory() -> Iterator[list[float]]:
    """Sample the memory of this process that is not shared with a file, every few milliseconds: [peak in MiB].

    Only Linux reports the shared part cheaply; elsewhere it is included.
    """
    import psutil

    peak, done = [0.0], threading.Event()

    def watch() -> None:
        process = psutil.Process()
        while not done.wait(0.005):
            info = process.memory_info()
            peak[0] = max(peak[0], (info.rss - getattr(info, "shared", 0)) / 2**20)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def measure_in_own_process(rows: int) -> dict[str, Any]:
    """Generate the data, and `measure` it in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder), rows)
        command = [sys.executable, __file__, "--measure", folder, "--sizes", str(rows)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return dict(json.loads(done.stdout.splitlines()[-1]))


def table(results: list[dict[str, Any]]) -> str:
    """One column per size, with each figure's ratio to the previous size in brackets."""
    lines = [_line("rows", [f"{result['rows']:,}" for result in results])]
    lines += [_line(key, [f"{result[key]:,}" for result in results]) for key in ("tokens", "steps")]
    for stage, (name, unit) in STAGES.items():
        lines.append(_line(f"{name}, s", [f"{result['seconds'][stage]:.2f}" for result in results]))
        lines.append(_line(f"  us per {unit}", _with_ratios([result["microseconds"][stage] for result in results], 3)))
    for key, name in (("own_memory_mib", "own memory, MiB"), ("peak_memory_mib", "total memory, MiB")):
        lines.append(_line(name, _with_ratios([result[key] for result in results], 0)))
    return "\n".join(lines)


def _with_ratios(values: list[float], decimals: int) -> list[str]:
    ratios = ["", *(f" ({value / before:.2f}x)" for before, value in pairwise(values))]
    return [f"{value:.{decimals}f}{ratio}" for value, ratio in zip(values, ratios, strict=True)]


def _line(name: str, cells: list[str]) -> str:
    return f"{name:24}" + "".join(f"{cell:>18}" for cell in cells)


def main(arguments: list[str] | None = None) -> None:
    """Measure each size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of rows")
    parser.add_argument("--quick", action="store_true", help="only the sizes up to 10,000 rows")
    parser.add_argument("--output", type=Path, help="write everything measured to this JSON file")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # the data of one size, in its own process
    options = parser.parse_args(arguments)
    if options.measure is not None:
        print(json.dumps(measure(options.measure, options.sizes[0])))
        return
    results = []
    for rows in options.sizes:
        if not options.quick or rows <= 10_000:
            print(f"measuring {rows:,} rows ...", file=sys.stderr)
            results.append(measure_in_own_process(rows))
    print(table(results))
    if options.output is not None:
        options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
