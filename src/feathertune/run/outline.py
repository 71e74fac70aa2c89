"""What a run will do, before it does it: the notes and warnings of `train`, and the content of --dry-run."""

from __future__ import annotations

from typing import Any

from feathertune.data.remarks import refuse
from feathertune.folders.inputs import DataRecord
from feathertune.recipe.schema import BASELINES, Recipe
from feathertune.run.prepare import Prepared, PreparedBaseline, PreparedRun, prepare, prepare_baseline
from feathertune.system.machine import default_device


def outline(recipe: Recipe, *, strict: bool = False, quiet: bool = False) -> dict[str, Any]:
    """What training by the recipe would do, for --dry-run. JSON-ready. Arguments and errors are those of `train`."""
    if recipe.method in BASELINES:
        prepared = prepare_baseline(recipe)
        dataset = prepared.dataset
        return {
            "method": recipe.method,
            "model": None,
            "label_names": list(dataset.label_names),
            "examples": {name: len(split) for name, split in dataset.splits.items()},
            **_said(prepared, strict=strict, quiet=quiet),
        }
    run = prepare(recipe, default_device())
    return {
        "method": recipe.method,
        "model": recipe.model.source,
        "trainable_parameters": run.count.trainable,
        "total_parameters": run.count.total,
        "label_names": list(run.dataset.label_names),
        "examples": {name: len(split) for name, split in run.dataset.splits.items()},
        "tokens": {name: int(texts.offsets[-1]) for name, texts in run.texts.items()},
        "truncated_texts": {name: texts.truncated for name, texts in run.texts.items()},
        "special_token_texts": run.special_token_texts,
        "precision": run.precision.precision,
        "steps": _steps(recipe, len(run.train)),
        **_said(run, strict=strict, quiet=quiet),
    }


def _said(prepared: Prepared, *, strict: bool, quiet: bool) -> dict[str, Any]:
    """What is said about the data, for the outline. Raises a UserError if `strict` and there are remarks."""
    record = prepared.data_record
    if strict:
        refuse(record.remarks, prepared.recipe.data.source)
    return {
        "read_as": record.read_as_lines(),
        "notes": list(record.notes),
        "remarks": [] if quiet else [remark.to_json() for remark in record.remarks],
    }


def introduce(prepared: PreparedBaseline | PreparedRun, *, quiet: bool = False) -> list[str]:
    """What a person should know before waiting: sizes, how the data was read, and, unless `quiet`, remarks on it."""
    if isinstance(prepared, PreparedBaseline):
        begins = [f"fitting the baseline {prepared.recipe.method!r} to {len(prepared.train):,} examples"]
        return begins + about_data(prepared.data_record, quiet=quiet)
    recipe, dataset = prepared.recipe, prepared.dataset
    splits = ", ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
    lines = [f"{splits} examples; {prepared.count}", prepared.precision.reason]
    if prepared.start is not None and prepared.lora is not None and prepared.lora.rank != recipe.lora.rank:
        lines.append(f"note: lora.rank is {prepared.lora.rank}, as in the run to start from, not {recipe.lora.rank}")
    if (members := recipe.lora.members) > 1:
        lines.append(f"{members} adapters are trained, one after the other, and averaged into a model soup")
    label = recipe.data.label
    cut = label.at_least if label.above is None else label.above
    if label.soft and label.raters is None and cut != 0.5:
        lines.append(
            f"note: with soft labels the model learns the rating itself, but the label changes at {cut}, not at 0.5: "
            "choose the threshold on validation and the epoch by roc_auc, or set data.label.raters"
        )
    lines += about_data(prepared.data_record, quiet=quiet)
    return lines + [f"warning: {warning}" for warning in prepared.tokenizer_warnings]


def about_data(record: DataRecord, *, quiet: bool) -> list[str]:
    """How the data was read, the notes on it and, unless `quiet`, the remarks, as `inspect data` shows them."""
    lines = [*record.read_as_lines(), *(f"note: {note}" for note in record.notes)]
    return lines if quiet else lines + [f"warning: {remark.line}" for remark in record.remarks]


def _steps(recipe: Recipe, examples: int) -> int:
    """The optimizer steps of all trainings together."""
    training, quantize = recipe.training, recipe.quantize
    epochs = [] if recipe.init_from is not None else [training.epochs] * recipe.lora.members
    if quantize is not None and quantize.training == "qat":
        epochs.append(quantize.epochs)
    per_epoch = -(-examples // (training.batch_size * training.gradient_accumulation_steps))
    limit = training.max_steps or per_epoch * max(epochs, default=0)
    return sum(min(per_epoch * each, limit) for each in epochs)
