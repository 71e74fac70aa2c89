"""Loading the model of a finished run: base and adapter, a whole model, or integers. The base must be unchanged.

An adapter without a run is loaded in the same way; `run/adapter.py` finds what its folder lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feathertune.errors import UserError
from feathertune.evaluation.calibration import read_decision
from feathertune.folders.inputs import BaseRecord, DataRecord
from feathertune.folders.opened import OpenedRun
from feathertune.folders.run import RunFolder
from feathertune.model.adapt import merge
from feathertune.model.base import load_base
from feathertune.model.classifier import PackedClassifier
from feathertune.model.padding import fit_padding
from feathertune.model.peft_files import load_adapter, read_labels
from feathertune.model.precision import DTYPES, Precision, set_precision
from feathertune.model.sources import BaseFiles, changed_file, find_base
from feathertune.prediction.decision import DEFAULT_DECISION, Decision
from feathertune.quantization.folder import load_quantized
from feathertune.recipe.schema import BASELINES, ModelSection, Recipe
from feathertune.run.adapter import adapter_base, adapter_classes, adapter_decision, adapter_max_length, tokenizer_files
from feathertune.system.files import expanded
from feathertune.system.machine import default_device
from feathertune.tokens.checks import check_ids
from feathertune.tokens.loading import TOKENIZER, load_as_transformers, load_tokenizer
from feathertune.tokens.prompt import add_prompt
from feathertune.tokens.run_tokenizer import load_run_tokenizer, run_tokenizer
from feathertune.tokens.tokenized import TokenizedTexts, tokenize


@dataclass(frozen=True)
class TrainedModel:
    """The model of a finished run, ready to predict.

    Attributes:
        run: the run's folder.
        recipe: the run's.
        classifier: with the trained weights, in evaluation mode.
        tokenizer: the run's.
        max_length: tokens; longer texts are cut.
        decision: how logits become predictions.
    """

    run: RunFolder
    recipe: Recipe
    classifier: PackedClassifier
    tokenizer: Any
    max_length: int
    decision: Decision = DEFAULT_DECISION

    def tokenize(self, texts: Sequence[str], place: Callable[[int], str] | None = None) -> TokenizedTexts:
        """The tokens of texts; `place` names the place of a text in its file.

        Raises:
            UserError: a text has no tokens, or one that the model has no embedding for.
        """
        tokens = tokenize(self.tokenizer, texts, self.max_length, place)
        check_ids(tokens, self.classifier.model.config.vocab_size, self.tokenizer, texts.__getitem__, place)
        return tokens


def load_trained(
    run: Path | OpenedRun, base: str | None = None, *, adapter: Path | None = None, precision: Precision = "fp32"
) -> TrainedModel:
    """Load the model of a finished run, or of an adapter as PEFT leaves it.

    Args:
        run: the folder of the run or the adapter, opened or not.
        base: where the base model is now (any model source), if it is no longer where training found it.
        adapter: the folder to read the adapter from, instead of the run's own.
        precision: fp32, in which every run was evaluated; or bf16, in which near-ties may be decided differently.

    Raises:
        UserError: there is no finished run; its base cannot be found, or its files have changed; or bf16 for an integer
            model.
    """
    if precision not in DTYPES:
        raise UserError(f"there is no precision {precision!r}", fix=f"Give {' or '.join(DTYPES)}.")
    opened = run if isinstance(run, OpenedRun) else OpenedRun.at(run)
    folder, recipe = opened.folder, opened.recipe
    if recipe.method in BASELINES:
        raise UserError(
            f"this run is the baseline {recipe.method!r}, which is not a transformer",
            where=str(folder.path),
            fix="`feathertune predict` predicts with it; its metrics are in its summary.json.",
        )
    if base is not None and (recipe.quantize is not None or recipe.method == "full"):
        kind = "a full fine-tune" if recipe.quantize is None else "a quantized run"
        raise UserError(f"{kind} holds the whole model", where="--base", fix="Leave --base out.")
    if precision != "fp32" and recipe.quantize is not None:
        raise UserError("a quantized run computes with integers", where=f"precision {precision}")
    decision = adapter_decision(folder) or read_decision(folder.calibration, recipe.evaluation)
    max_length = recipe.model.max_length
    if recipe.quantize is not None:
        classifier = load_quantized(folder.quantized).to(default_device())
        tokenizer = load_run_tokenizer(folder.quantized)
        tokenizer.model_max_length = max_length  # earlier versions saved the base's
        return TrainedModel(folder, recipe, classifier, tokenizer, max_length, decision)
    if recipe.method == "full":
        files = find_base(str(folder.model.resolve()))
        classifier = load_base(files, DataRecord.read(folder.data).label_names, recipe.training.seed)
        tokenizer = load_run_tokenizer(files.folder)
    else:
        classifier, tokenizer, max_length = _with_adapter(opened, base, adapter or folder.adapter)
    fit_padding(classifier, tokenizer)
    set_precision(classifier.to(default_device()), precision)
    merge(classifier)
    classifier.eval()
    tokenizer.model_max_length = max_length
    return TrainedModel(folder, recipe, classifier, tokenizer, max_length, decision)


def _with_adapter(opened: OpenedRun, base: str | None, adapter: Path) -> tuple[PackedClassifier, Any, int]:
    """The base with an adapter, its tokenizer and maximum length: a run's, or what an adapter alone implies."""
    recipe, files = opened.recipe, base_files(opened, base)
    label_names = adapter_classes(opened, files) if opened.is_adapter else _run_classes(opened.folder, adapter)
    classifier = load_base(files, label_names, recipe.training.seed)
    load_adapter(classifier, adapter)
    if not opened.is_adapter:
        return classifier, run_tokenizer_of(recipe.model, adapter, files), recipe.model.max_length
    tokenizer = load_tokenizer(*tokenizer_files(adapter, files))
    max_length = adapter_max_length(classifier, tokenizer, recipe.model)
    special = recipe.model.special_tokens_in_text
    return (
        classifier,
        run_tokenizer(tokenizer, prompt=recipe.model.prompt, max_length=max_length, special=special),
        max_length,
    )


def base_files(opened: OpenedRun, base: str | None) -> BaseFiles:
    """The base of a run, unchanged, or of an adapter alone. Raises UserError if it is not found, or has changed."""
    return adapter_base(opened, base) if opened.is_adapter else unchanged_base(opened.folder, base)


def _run_classes(folder: RunFolder, adapter: Path) -> tuple[str, ...]:
    return read_labels(adapter) or DataRecord.read(folder.data).label_names


def run_tokenizer_of(model: ModelSection, adapter: Path, files: BaseFiles) -> Any:
    """The tokenizer that was saved with the adapter; for a run of an earlier version, the base's with the prompt."""
    if (adapter / TOKENIZER).is_file():
        return load_run_tokenizer(adapter)
    if model.special_tokens_in_text == "parse":
        return add_prompt(load_as_transformers(files.folder, files.gguf_file), model.prompt, model.max_length)
    tokenizer = load_tokenizer(files.folder, files.gguf_file)
    return run_tokenizer(tokenizer, prompt=model.prompt, max_length=model.max_length, special="text")


def unchanged_base(run: RunFolder, base: str | None) -> BaseFiles:
    """The base's files. Raises a UserError unless their checksums are those in base.json."""
    record = BaseRecord.read(run.base)
    files = _find_base(record, base)
    checksums = files.checksums()
    if files.gguf_file is not None and len(record.sha256) == 1:  # a GGUF file may have been renamed
        checksums = dict(zip(record.sha256, checksums.values(), strict=True))
    if (name := changed_file(record.sha256, checksums)) is not None:
        raise UserError(
            f"the base model is not the one this run was trained on: the sha256 of {name} differs",
            where=str(files.folder),
            fix="Give the original base with --base; its checksums are in the run's base.json.",
        )
    return files


def _find_base(record: BaseRecord, base: str | None) -> BaseFiles:
    """The base at `base` if that is given; else by the name that the run used, or in the folder where it was found."""
    if base is not None:
        return find_base(base)
    is_path = record.revision is None and not record.source.startswith(("package:", "gguf:"))
    try:
        if is_path and not expanded(record.source).exists():
            # A path relative to another working directory: the Hub must not be searched for it.
            return find_base(record.folder)
        return find_base(record.source, record.revision)
    except UserError as error:
        raise UserError(
            f"the run's base model cannot be found: {error.what}",
            where=error.where,
            fix=(error.fix + " " if error.fix else "") + "Or give its location with --base.",
        ) from None
