"""One export, from a finished run to a checked folder: write, predict with the artefact, compare, keep or set aside."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from feathertune.data.example import Split
from feathertune.errors import UserError
from feathertune.export.causes import likely_causes
from feathertune.export.choices import check_activations, choose_precision, target_options
from feathertune.export.parity import NEAR_TIE, judge
from feathertune.export.reference import predict_now
from feathertune.export.targets import TARGETS
from feathertune.folders.export import ExportDescription, ExportFolder, ExportPrecision, Need, Purpose, Target, Tuned
from feathertune.folders.inputs import BaseRecord
from feathertune.folders.opened import OpenedRun
from feathertune.folders.parity import Parity
from feathertune.prediction.files import read_predictions
from feathertune.prediction.predictions import Predictions
from feathertune.run.evaluate import own_split
from feathertune.run.load import TrainedModel, load_trained
from feathertune.system.files import file_mask
from feathertune.system.temporary import held, remove_left_beside, temporary_folder
from feathertune.web.pages import fetched_bytes
from feathertune.wording.visible import shown

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
    tuned: Tuned | None = None,
    purpose: Purpose | None = None,
    beside: Sequence[Path] = (),
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
        tuned: processors that the ONNX file is for: "vnni". By default its integers are exact on all processors.
        purpose: runtimes that the ONNX file is for: "web", where int4 weights are multiplied by standard operators.
        beside: only for `to="web"`: up to two other web exports of the same labels, which the page compares with.
        data: only for an adapter: a labelled file to check the export with.
        base: where the base model is now (see `load_trained`).
        say: receives a sentence if something about an adapter was assumed.

    Returns:
        The export. If the parity gate refused it, its folder is `output` + `.refused`.

    Raises:
        UserError: `output` exists; the run or target does not support the precision, the kind of activations or the
            options of ONNX; an extra is not installed; the run's data or base cannot be found.
    """
    output, aside = _new_folders(Path(output))
    target = TARGETS[to]
    options = target_options(to, beside, opset=opset, tuned=tuned, purpose=purpose)
    opened = run if isinstance(run, OpenedRun) else OpenedRun.at(Path(run))
    chosen = _checked(opened, to, precision, tuned)
    if data is not None and not opened.is_adapter:
        raise UserError("a run's export is checked with its own validation split", fix="Leave --data out.")
    trained = load_trained(opened, base)
    evaluated, labels_known = _reference(trained, opened, data, say)
    output.parent.mkdir(parents=True, exist_ok=True)
    remove_left_beside(output)
    building = temporary_folder(output)
    try:
        with held(building):
            folder = ExportFolder(building)
            target.write(trained, folder, **options)
            needs: tuple[Need, ...] = () if tuned is None else ("exact-int8-products",)
            _describe(trained, to, chosen, target.inputs, needs).write(folder.description)
            parity = _judged(to, folder, trained, evaluated, base, labels_known=labels_known)
            parity.write(folder.parity)
        building.chmod(0o777 & ~file_mask())
        final = output if parity.passed else aside
        building.replace(final)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Export(final, parity)


def _new_folders(output: Path) -> tuple[Path, Path]:
    """The folder of the export, and the one it is set aside in if it is refused. Raises UserError if one exists."""
    aside = output.with_name(output.name + ".refused")
    for path in (output, aside):
        if path.exists():
            raise UserError("this exists already", where=str(path), fix="Give another --output, or remove it.")
    return output, aside


def _checked(opened: OpenedRun, to: Target, precision: ExportPrecision | None, tuned: Tuned | None) -> ExportPrecision:
    """The precision of the export. Raises UserError if the run or the target does not support what is wanted."""
    chosen = choose_precision(opened.recipe, precision, to)
    check_activations(opened.recipe, to)
    if tuned is not None and chosen == "fp32":
        raise UserError(
            "this run is not quantized, so it has no integer products",
            where=f"--tuned {tuned}",
            fix="Leave --tuned out.",
        )
    TARGETS[to].require()
    return chosen


def _reference(
    trained: TrainedModel, opened: OpenedRun, data: Path | str | None, say: Callable[[str], object] | None
) -> tuple[Predictions, bool]:
    """The predictions to compare with, and whether their labels are true: a run's evaluated ones, an adapter's new."""
    if opened.is_adapter:
        return predict_now(trained, None if data is None else Path(data), say)
    return _evaluated(trained, own_split(trained, SPLIT)), True


def _judged(
    to: Target,
    folder: ExportFolder,
    trained: TrainedModel,
    evaluated: Predictions,
    base: str | None,
    labels_known: bool,
) -> Parity:
    """Predict with the artefact in every way of its target, and compare with what was evaluated."""
    target, texts = TARGETS[to], list(evaluated.texts)
    first = target.predict(folder, texts, trained, base)
    ways = target.ways(folder, texts, trained, base)
    # the evaluated probabilities include the temperature, so it is applied to the artefact's logits too
    temperature = np.float32(trained.decision.temperature)
    outputs = [replace(one, logits_KC=one.logits_KC / temperature) for one in (first, *ways.outputs)]
    parity = judge(evaluated, outputs, ways.not_checked, labels_known=labels_known)
    return parity.model_copy(update={"causes": likely_causes(parity, evaluated, trained)})


def _evaluated(trained: TrainedModel, split: Split) -> Predictions:
    """The predictions evaluated after training. Raises UserError if they are of other rows."""
    path = trained.run.predictions("after", SPLIT)
    evaluated = read_predictions(path, SPLIT, trained.decision.threshold)
    if not np.array_equal(evaluated.rows, split.rows) or list(evaluated.texts) != split.texts.to_pylist():
        raise UserError(
            "the stored predictions do not match the rows of this data", where=str(path), fix="Was the file changed?"
        )
    return evaluated


def _describe(
    trained: TrainedModel, to: Target, precision: ExportPrecision, inputs: str, needs: tuple[Need, ...]
) -> ExportDescription:
    recipe, base = trained.recipe, trained.run.base
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
        needs=needs,
        vocabulary=trained.classifier.model.config.vocab_size,
        base_sha256=BaseRecord.read(base).sha256 if base.is_file() else None,
    )


def summary_lines(export: Export) -> list[str]:
    """The outcome, for the terminal."""
    parity = export.parity
    lines = [f"refused: {reason}" for reason in parity.refused]
    lines += [
        f"  row {one.row}, {shown(one.text, 80)}: {one.evaluated} as evaluated (margin {one.margin:.2g}), "
        f"{one.exported} exported"
        for one in parity.named
    ]
    lines += [f"likely cause: {cause}" for cause in parity.causes]
    if parity.counted == 0:
        lines.append(
            f"nothing was shown: in all {parity.rows:,} rows the two most likely classes are less than {NEAR_TIE} "
            "apart in logits (near-ties), so no label counts. The model is hardly trained, or cannot tell them apart"
        )
    if parity.logit_difference:
        outside = parity.label_agreement_outside_near_ties
        counts = "none of which counts" if outside is None else f"{outside:.3%} outside {parity.near_ties} near-ties"
        lines.append(
            f"logit difference: median {parity.logit_difference['median']:.1e}, "
            f"maximum {parity.logit_difference['maximum']:.1e}; labels agree in {parity.label_agreement:.3%} of "
            f"{parity.rows:,} rows, {counts}"
        )
    for one in (*parity.checks[1:], *parity.elsewhere):
        difference = f"maximum {one.logit_difference['maximum']:.1e}" if one.logit_difference else "not finite"
        lines.append(f"{one.how}: {one.rows:,} rows, logit difference {difference}, other labels: {one.changed_labels}")
    lines += [f"{one.how}: {one.milliseconds:.1f} ms a text" for one in parity.checks if one.milliseconds is not None]
    lines += [
        f"{one.how}: not the evaluated model there: {reason}" for one in parity.elsewhere for reason in one.refused
    ]
    lines += [f"not checked {reason}" for reason in parity.not_checked]
    for name, sides in parity.metrics.items():
        if name != "loss" and sides["evaluated"] is not None and sides["exported"] is not None:
            lines.append(f"{name}: {sides['evaluated']:.2%} as evaluated, {sides['exported']:.2%} exported")
    if (export.folder / "page").is_dir():
        plain, sent = (count / 1e6 for count in fetched_bytes(export.folder))
        lines.append(f"the page fetches {plain:.1f} MB, {sent:.1f} MB where its host sends files with gzip")
    return lines
