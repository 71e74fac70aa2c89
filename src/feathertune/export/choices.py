"""What of an export can be chosen, and what of it a run or a target does not support."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from feathertune.errors import UserError
from feathertune.export.onnx import check_opset
from feathertune.export.targets import TARGETS
from feathertune.folders.export import ExportPrecision, Purpose, Target, Tuned
from feathertune.recipe.schema import Recipe


def choose_precision(recipe: Recipe, requested: ExportPrecision | None, to: Target) -> ExportPrecision:
    """The precision of the export. Raises UserError if the run or the target does not support it."""
    own: ExportPrecision = "fp32" if recipe.quantize is None else recipe.quantize.weights
    holds = TARGETS[to].precisions
    if own not in holds:
        raise UserError(
            f"this run was evaluated with {own} weights, and --to {to} writes float32 weights",
            fix="Export it with --to onnx, executorch or web; its integers are also in the run folder, in quantized/.",
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


def target_options(to: Target, beside: Sequence[Path] = (), **onnx: Any) -> dict[str, Any]:
    """The options that are given, of pages and of ONNX.

    Raises:
        UserError: the target has no such option, or they contradict each other.
    """
    if beside and to != "web":
        raise UserError(f"--to {to} has no page that shows several models", where="--beside", fix="Leave it out.")
    return _onnx_options(to, onnx) | ({"beside": beside} if beside else {})


def _onnx_options(to: Target, options: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if value is not None}
    if given and to != "onnx":
        name = {"opset": "--opset", "tuned": "--tuned", "purpose": "--for"}[next(iter(given))]
        what = "chooses the ONNX operators by itself" if to == "web" else "has no ONNX operators"
        raise UserError(f"--to {to} {what}", where=name, fix=f"Leave {name} out.")
    if "opset" in given:
        check_opset(given["opset"])
    for name, where, choices in (("tuned", "--tuned", get_args(Tuned)), ("purpose", "--for", get_args(Purpose))):
        if name in given and given[name] not in choices:
            raise UserError(f"{given[name]!r} is not supported", where=where, fix=f"Choose {' or '.join(choices)}.")
    if len(given.keys() & {"tuned", "purpose"}) == 2:
        raise UserError(
            "a file for the web runs on any processor, and a tuned one on some", fix="Give --tuned or --for, not both."
        )
    return given
