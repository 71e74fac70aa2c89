"""What a run will do, before it does it: the notes and warnings of `train`, and the content of --dry-run."""

from __future__ import annotations

from typing import Any

from feathertune.recipe.schema import BASELINES, Recipe
from feathertune.run.prepare import PreparedBaseline, PreparedRun, prepare, prepare_baseline
from feathertune.system.machine import default_device
from feathertune.wording.numbers import count


def outline(recipe: Recipe) -> dict[str, Any]:
    """What training by the recipe would do, for --dry-run. JSON-ready. Raises the UserErrors of `train`."""
    if recipe.method in BASELINES:
        dataset = prepare_baseline(recipe).dataset
        return {
            "method": recipe.method,
            "model": None,
            "label_names": list(dataset.label_names),
            "examples": {name: len(split) for name, split in dataset.splits.items()},
        }
    prepared = prepare(recipe, default_device())
    return {
        "method": recipe.method,
        "model": recipe.model.source,
        "trainable_parameters": prepared.count.trainable,
        "total_parameters": prepared.count.total,
        "label_names": list(prepared.dataset.label_names),
        "examples": {name: len(split) for name, split in prepared.dataset.splits.items()},
        "tokens": {name: int(texts.offsets[-1]) for name, texts in prepared.texts.items()},
        "truncated_texts": {name: texts.truncated for name, texts in prepared.texts.items()},
        "special_token_texts": prepared.special_token_texts,
        "precision": prepared.precision.precision,
        "steps": _steps(recipe, len(prepared.train)),
    }


def introduce(prepared: PreparedBaseline | PreparedRun) -> list[str]:
    """What a person should know before waiting: sizes, and anything suspicious in the data."""
    recipe, dataset = prepared.recipe, prepared.dataset
    if isinstance(prepared, PreparedBaseline):
        return [f"fitting the baseline {recipe.method!r} to {len(prepared.train):,} examples"]
    splits = ", ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
    lines = [f"{splits} examples; {prepared.count}", prepared.precision.reason]
    if prepared.start is not None and prepared.lora is not None and prepared.lora.rank != recipe.lora.rank:
        lines.append(f"note: lora.rank is {prepared.lora.rank}, as in the run to start from, not {recipe.lora.rank}")
    if (members := recipe.lora.members) > 1:
        lines.append(f"{members} adapters are trained, one after the other, and averaged into a model soup")
    lines += [f"note: {note}" for note in dataset.notes]
    label = recipe.data.label
    cut = label.at_least if label.above is None else label.above
    if label.soft and label.raters is None and cut != 0.5:
        lines.append(
            f"note: with soft labels the model learns the rating itself, but the label changes at {cut}, not at 0.5: "
            "choose the threshold on validation and the epoch by roc_auc, or set data.label.raters"
        )
    lines += [
        f"warning: {count(leak.rows, 'text')} of {leak.second} also found in {leak.first}"
        for leak in prepared.overlap.leaks
        if leak.rows
    ]
    lines += [
        f"warning: {count(duplicates.conflicts, 'text')} of {name} with conflicting labels"
        for name, duplicates in prepared.overlap.duplicates.items()
        if duplicates.conflicts
    ]
    if dataset.bad_rows:
        lines.append(f"warning: {count(len(dataset.bad_rows), 'bad row')} left out (listed in data.json)")
    lines += [f"warning: {warning}" for warning in prepared.tokenizer_warnings]
    if marked := sum(prepared.special_token_texts.values()):
        verb = "has" if marked == 1 else "have"
        how = "read as text" if recipe.model.special_tokens_in_text == "text" else "parsed"
        lines.append(
            f"note: {count(marked, 'text')} {verb} special tokens written out, which are {how} "
            f"(model.special_tokens_in_text: {recipe.model.special_tokens_in_text})"
        )
    if truncated := sum(texts.truncated for texts in prepared.texts.values()):
        lines.append(f"warning: {count(truncated, 'text')} cut at model.max_length")
    return lines


def _steps(recipe: Recipe, examples: int) -> int:
    """The optimizer steps of all trainings together."""
    training, quantize = recipe.training, recipe.quantize
    epochs = [] if recipe.init_from is not None else [training.epochs] * recipe.lora.members
    if quantize is not None and quantize.training == "qat":
        epochs.append(quantize.epochs)
    per_epoch = -(-examples // (training.batch_size * training.gradient_accumulation_steps))
    limit = training.max_steps or per_epoch * max(epochs, default=0)
    return sum(min(per_epoch * each, limit) for each in epochs)
