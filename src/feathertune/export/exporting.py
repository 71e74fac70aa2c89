"""One export, from a finished run to a checked folder: write, predict with the artefact, compare, keep or set aside."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from feathertune.data.example import Split
from feathertune.errors import UserError
from feathertune.export.onnx import check_opset
from feathertune.export.parity import Parity, compare
from feathertune.export.reference import predict_now
from feathertune.export.targets import TARGETS
from feathertune.folders.export import ExportDescription, ExportFolder, ExportPrecision, Target
from feathertune.folders.opened import OpenedRun
from feathertune.prediction.files import read_predictions
from feathertune.prediction.predictions import Predictions
from feathertune.recipe.schema import Recipe
from feathertune.run.evaluate import own_split
from feathertune.run.load import TrainedModel, load_trained
from feathertune.system.files import file_mask, write_json

SPLIT = "validation"


@dataclass(frozen=True)
class Export:
    """A finished export: its folder (set aside if refused), and the comparison."""

    folder: Path
    parity: Parity


def export_run(
    run: Path | str | OpenedRun,
    to: Target,
    output: Path | str,
    *,
    precision: ExportPrecision | None = None,
    opset: int | None = None,
    data: Path | str | None = None,
    base: str | None = None,
    say: Callable[[str], object] | None = None,
) -> Export:
    """Export a finished run to a new folder, and check it against the evaluated predictions.

    An adapter as PEFT leaves it has no evaluated predictions: they are computed here, for `data`, or for the texts of
    the built-in sample if there is none.

    Args:
        run: the folder of the run or the adapter, opened or not.
        to: the target.
        output: the folder to write.
        precision: by default the run's own: fp32, or the weights it was quantized to.
        opset: the version of ONNX's operators, only for `to="onnx"`; by default the oldest that suffices.
        data: only for an adapter: a labelled file to check the export with.
        base: where the base model is now (see `load_trained`).
        say: receives a sentence if something about an adapter was assumed.

    Returns:
        The export. If the parity gate refused it, its folder is `output` + `.refused`.

    Raises:
        UserError: `output` exists; the run or target does not support the precision, opset or kind of activations; an
            extra is not installed; the run's data or base cannot be found.
    """
    output = Path(output)
    aside = output.with_name(output.name + ".refused")
    for path in (output, aside):
        if path.exists():
            raise UserError("this exists already", where=str(path), fix="Give another --output, or remove it.")
    target = TARGETS[to]
    if opset is not None:
        if to != "onnx":
            raise UserError(f"--to {to} has no ONNX operators", where="--opset", fix="Leave --opset out.")
        check_opset(opset)
    opened = run if isinstance(run, OpenedRun) else OpenedRun.at(Path(run))
    chosen = choose_precision(opened.recipe, precision, to)
    check_activations(opened.recipe, to)
    target.require()
    if data is not None and not opened.is_adapter:
        raise UserError("a run's export is checked with its own validation split", fix="Leave --data out.")
    trained = load_trained(opened, base)
    if opened.is_adapter:
        evaluated, labels_known = predict_now(trained, None if data is None else Path(data), say)
    else:
        evaluated, labels_known = _evaluated(trained, own_split(trained, SPLIT)), True
    output.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".tmp", dir=output.parent))
    try:
        folder = ExportFolder(building)
        target.write(trained, folder, **({} if opset is None else {"opset": opset}))
        _describe(trained, to, chosen, target.inputs).write(folder.description)
        logits_NC = target.predict_logits(folder, list(evaluated.texts), trained, base)
        # the file's probabilities include the temperature, so it is applied to the artefact's logits too
        logits_NC = logits_NC / np.float32(trained.decision.temperature)
        parity = compare(
            evaluated,
            replace(evaluated, logits_NC=logits_NC, saved_probabilities_NC=None),
            labels_known=labels_known,
        )
        write_json(folder.parity, parity.to_json())
        building.chmod(0o777 & ~file_mask())
        final = output if parity.passed else aside
        building.replace(final)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Export(final, parity)


def choose_precision(recipe: Recipe, requested: ExportPrecision | None, to: Target) -> ExportPrecision:
    """The precision of the export. Raises UserError if the run or the target does not support it."""
    own: ExportPrecision = "fp32" if recipe.quantize is None else recipe.quantize.weights
    holds = TARGETS[to].precisions
    if own not in holds:
        raise UserError(
            f"this run was evaluated with {own} weights, and --to {to} writes float32 weights",
            fix="Export it with --to onnx or executorch; its integers are also in the run folder, in quantized/.",
        )
    if requested is not None and requested not in holds:
        raise UserError(f"--to {to} writes {' or '.join(holds)} weights", fix="Leave --precision out.")
    if requested is None or requested == own:
        return own
    if own == "fp32":
        raise UserError(
            f"this run is not quantized, so it has no {requested} weights",
            where=f"--precision {requested}",
            fix=f"Quantize it first: train the same recipe with method=qat init_from=RUN quantize.weights={requested} "
            "(add quantize.training=ptq for post-training quantization), then export that run.",
        )
    raise UserError(
        f"this run's evaluated weights are {own}, not {requested}",
        where=f"--precision {requested}",
        fix=f"Leave --precision out, or export a run that has {requested} weights.",
    )


def check_activations(recipe: Recipe, to: Target) -> None:
    """Raise a UserError if the target's kernels quantize activations differently from the evaluated run."""
    if recipe.quantize is not None and (how := recipe.quantize.activations) not in TARGETS[to].activations:
        others = " or ".join(TARGETS[to].activations)
        raise UserError(
            f"--to {to} quantizes activations in its own kernels, which are {others}, and this run's are {how}",
            fix=f"Export it with --to onnx, or quantize again with quantize.activations={others}.",
        )


def _evaluated(trained: TrainedModel, split: Split) -> Predictions:
    """The predictions evaluated after training. Raises UserError if they are of other rows."""
    path = trained.run.predictions("after", SPLIT)
    evaluated = read_predictions(path, SPLIT, trained.decision.threshold)
    if not np.array_equal(evaluated.rows, split.rows) or list(evaluated.texts) != split.texts.to_pylist():
        raise UserError(
            "the stored predictions do not match the rows of this data", where=str(path), fix="Was the file changed?"
        )
    return evaluated


def _describe(trained: TrainedModel, to: Target, precision: ExportPrecision, inputs: str) -> ExportDescription:
    recipe = trained.recipe
    return ExportDescription(
        target=to,
        precision=precision,
        max_length=trained.max_length,
        model=recipe.model.source,
        method=recipe.method,
        data=recipe.data,
        inputs=inputs,
        temperature=trained.decision.temperature,
        threshold=trained.decision.threshold,
    )


def summary_lines(export: Export) -> list[str]:
    """The outcome, for the terminal."""
    parity = export.parity
    lines = [f"refused: {reason}" for reason in parity.refused]
    if parity.logit_difference:
        lines.append(
            f"logit difference: median {parity.logit_difference['median']:.1e}, "
            f"maximum {parity.logit_difference['maximum']:.1e}; labels agree in {parity.label_agreement:.3%} of "
            f"{parity.rows:,} rows, {parity.label_agreement_outside_near_ties:.3%} outside {parity.near_ties} near-ties"
        )
    for name, sides in parity.metrics.items():
        if name != "loss" and sides["evaluated"] is not None and sides["exported"] is not None:
            lines.append(f"{name}: {sides['evaluated']:.2%} as evaluated, {sides['exported']:.2%} exported")
    return lines
