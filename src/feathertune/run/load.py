"""Opening what a run left: base and adapter (or the whole model), with the guarantee that the base is the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feathertune.errors import UserError
from feathertune.evaluation.calibration import read_decision
from feathertune.folders.run import RunFolder, open_run
from feathertune.model.adapt import merge
from feathertune.model.base import load_base
from feathertune.model.classifier import PackedClassifier
from feathertune.model.peft_files import load_adapter, read_labels
from feathertune.model.precision import DTYPES, Precision, set_precision
from feathertune.model.sources import BaseFiles, changed_file, find_base
from feathertune.prediction.decision import PLAIN, Decision
from feathertune.quantization.folder import load_quantized
from feathertune.recipe.files import load_recipe
from feathertune.recipe.schema import BASELINES, Recipe
from feathertune.system.files import expanded, read_json
from feathertune.system.machine import default_device
from feathertune.tokens.loading import load_tokenizer
from feathertune.tokens.prompt import add_prompt


@dataclass(frozen=True)
class TrainedModel:
    """A finished run's model, ready to predict.

    Attributes:
        run: the folder it came from.
        recipe: the run's.
        classifier: with the trained weights, in evaluation mode.
        tokenizer: the base model's, with the prompt.
        max_length: tokens; longer texts are cut.
        decision: how its logits become answers.
    """

    run: RunFolder
    recipe: Recipe
    classifier: PackedClassifier
    tokenizer: Any
    max_length: int
    decision: Decision = PLAIN


def load_trained(
    path: Path, base: str | None = None, *, adapter: Path | None = None, precision: Precision = "fp32"
) -> TrainedModel:
    """Open the finished run at `path`.

    Args:
        base: where the base model is now, if it is no longer where the run found it (any model source).
        adapter: read the adapter from this folder, and not from the run's own.
        precision: fp32, as the run was evaluated whatever it was trained in; or bf16, where near-ties may turn.

    Raises:
        UserError: no finished run there, the base cannot be found, or its weights are not those trained on; bf16 for
            integers.
    """
    if precision not in DTYPES:
        raise UserError(f"there is no precision {precision!r}", fix=f"Give {' or '.join(DTYPES)}.")
    run = open_run(path)
    recipe = load_recipe(run.recipe)
    if recipe.method in BASELINES:
        raise UserError(
            f"this run is the baseline {recipe.method!r}, which is no transformer",
            where=str(path),
            fix="`feathertune predict` answers with it; what it reached is in its summary.json.",
        )
    whole = (
        "a quantized run" if recipe.quantize is not None else "a full fine-tune" if recipe.method == "full" else None
    )
    if whole is not None and base is not None:
        raise UserError(f"{whole} holds the whole model", where="--base", fix="Leave --base out.")
    decision = read_decision(run.calibration, recipe.evaluation)
    if recipe.quantize is not None:
        if precision != "fp32":
            raise UserError("a quantized run computes with integers", where=f"precision {precision}")
        classifier = load_quantized(run.quantized).to(default_device())
        tokenizer = load_tokenizer(run.quantized)
        return TrainedModel(run, recipe, classifier, tokenizer, recipe.model.max_length, decision)
    if recipe.method == "full":
        files = find_base(str(run.model.resolve()))
        label_names = _label_names(run)
        classifier = load_base(files, label_names, recipe.training.seed)
    else:
        files = _same_base(run, base)
        label_names = read_labels(adapter or run.adapter) or _label_names(run)
        classifier = load_base(files, label_names, recipe.training.seed)
        load_adapter(classifier, adapter or run.adapter)
    tokenizer = load_tokenizer(files.folder, files.gguf_file)
    if recipe.method != "full":  # whose folder has a tokenizer of its own, which asks with the prompt
        tokenizer = add_prompt(tokenizer, recipe.model.prompt, recipe.model.max_length)
    set_precision(classifier.to(default_device()), precision)
    merge(classifier)
    classifier.eval()
    return TrainedModel(run, recipe, classifier, tokenizer, recipe.model.max_length, decision)


def _label_names(run: RunFolder) -> tuple[str, ...]:
    names = _entry(run.data, "label_names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError("label_names is not a list of names", where=str(run.data))
    return tuple(names)


def _entry(path: Path, key: str) -> Any:
    """One entry of a JSON file. Raises UserError where it is not there."""
    value = read_json(path)
    if not isinstance(value, dict) or key not in value:
        raise UserError(f"the file has no {key!r}: it is damaged", where=str(path))
    return value[key]


def _same_base(run: RunFolder, base: str | None) -> BaseFiles:
    """The base's files, refused unless their checksums are those in base.json."""
    files = _find_again(run, base)
    found, wanted = files.checksums(), _entry(run.base, "sha256")
    if files.gguf_file is not None and len(wanted) == 1:  # a GGUF file may have been renamed
        found = dict(zip(wanted, found.values(), strict=True))
    if (name := changed_file(wanted, found)) is not None:
        raise UserError(
            f"the base model is not the one this run was trained on: the sha256 of {name} differs",
            where=str(files.folder),
            fix="Give the original base with --base; its checksums are in the run's base.json.",
        )
    return files


def _find_again(run: RunFolder, base: str | None) -> BaseFiles:
    """Where the base is now: as told, else by the name it had, else in the folder it was in."""
    if base is not None:
        return find_base(base)
    source, revision, folder = (_entry(run.base, key) for key in ("source", "revision", "folder"))
    try:
        if revision is None and not source.startswith(("package:", "gguf:")) and not expanded(source).exists():
            return find_base(folder)  # a path, relative to another working folder: never a name to ask the Hub for
        return find_base(source, revision)
    except UserError as error:
        raise UserError(
            f"the run's base model cannot be found: {error.what}",
            where=error.where,
            fix=(error.fix + " " if error.fix else "") + "Or say where it is now with --base.",
        ) from None
