"""What is said of a job before it is done: its size, what makes its data suspect, and what --dry-run prints."""

from __future__ import annotations

from typing import Any

from feathertune.recipe.schema import BASELINES, Recipe
from feathertune.run.baseline import load_baseline_data
from feathertune.run.prepare import PreparedRun, prepare
from feathertune.system.machine import default_device


def outline(recipe: Recipe) -> dict[str, Any]:
    """What training by the recipe would do, for --dry-run: JSON-ready. Raises UserError where it could not begin."""
    if recipe.method in BASELINES:
        dataset = load_baseline_data(recipe)
        return {
            "method": recipe.method,
            "model": None,
            "label_names": list(dataset.label_names),
            "examples": {name: len(split) for name, split in dataset.splits.items()},
        }
    return _outline_job(prepare(recipe, default_device()))


def _outline_job(job: PreparedRun) -> dict[str, Any]:
    """The same of a job that is loaded."""
    training = job.recipe.training
    most = training.max_steps or 2**63
    steps_per_epoch = -(
        -len(job.dataset.splits["train"]) // (training.batch_size * training.gradient_accumulation_steps)
    )
    return {
        "method": job.recipe.method,
        "model": job.recipe.model.source,
        "trainable_parameters": job.count.trainable,
        "total_parameters": job.count.total,
        "label_names": list(job.dataset.label_names),
        "examples": {name: len(split) for name, split in job.dataset.splits.items()},
        "tokens": {name: int(texts.offsets[-1]) for name, texts in job.texts.items()},
        "truncated_texts": {name: texts.truncated for name, texts in job.texts.items()},
        "precision": job.precision.precision,
        "steps": sum(min(steps_per_epoch * epochs, most) for epochs in _epochs(job.recipe)),
    }


def _epochs(recipe: Recipe) -> list[int]:
    """Of each training of the run."""
    first = [] if recipe.init_from is not None else [recipe.training.epochs] * recipe.lora.members
    quantize = recipe.quantize
    return [*first, *([quantize.epochs] if quantize is not None and quantize.training == "qat" else [])]


def introduce(job: PreparedRun) -> list[str]:
    """What a person should know before waiting: sizes, and whatever makes the data suspect."""
    splits = ", ".join(f"{len(split):,} {name}" for name, split in job.dataset.splits.items())
    lines = [f"{splits} examples; {job.count}", job.precision.reason]
    if job.start is not None and job.lora is not None and job.lora.rank != job.recipe.lora.rank:
        lines.append(f"note: lora.rank is that of the run to start from, {job.lora.rank}, not {job.recipe.lora.rank}")
    if (members := job.recipe.lora.members) > 1:
        lines.append(f"{members} adapters are trained, one after the other, and averaged into one")
    lines += [f"note: {note}" for note in job.dataset.notes]
    label = job.recipe.data.label
    cut = label.at_least if label.above is None else label.above
    if label.soft and label.raters is None and cut != 0.5:
        lines.append(
            f"note: soft labels teach the rating itself, and the label's cut is {cut}, not 0.5: choose the threshold "
            "on validation and the epoch by roc_auc, or set data.label.raters"
        )
    lines += [
        f"warning: {leak.rows} of {leak.second}'s texts are also in {leak.first}"
        for leak in job.overlap.leaks
        if leak.rows
    ]
    lines += [
        f"warning: {count.conflicts} texts of {name} occur with different labels"
        for name, count in job.overlap.duplicates.items()
        if count.conflicts
    ]
    if job.dataset.bad_rows:
        lines.append(f"warning: {len(job.dataset.bad_rows)} bad rows were left out (listed in data.json)")
    cut = sum(texts.truncated for texts in job.texts.values())
    if cut:
        lines.append(f"warning: {cut} texts are longer than model.max_length and were cut")
    return lines
