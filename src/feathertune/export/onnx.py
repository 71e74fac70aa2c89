"""ONNX: one file with everything in it, and dynamic batch size and length."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from feathertune.errors import UserError
from feathertune.export.onnx_layers import replace_integer_layers
from feathertune.export.padded import PaddedClassifier
from feathertune.folders.export import Purpose, Tuned
from feathertune.system.files import atomic_path

OPSET = 20  # the first with Gelu
LATEST_OPSET = 23  # that the exports are tested with
_LARGEST = 2**31 - 1  # bytes of a protobuf message, and so of a file that holds its weights itself


def write_onnx(
    classifier: PaddedClassifier,
    path: Path,
    max_length: int,
    opset: int = OPSET,
    *,
    tuned: Tuned | None = None,
    purpose: Purpose | None = None,
) -> None:
    """Write the model with inputs `input_ids` and `attention_mask` [batch, sequence] int64 and the output `logits`.

    Args:
        max_length: the maximum number of tokens.
        opset: the version of ONNX's operators, which the runtime must support.
        tuned: "vnni" leaves out what makes integer products exact on other processors (`onnx_graph`).
        purpose: "web" multiplies int4 weights by standard operators, as runtimes without a fast MatMulNBits need it.

    Raises:
        UserError: the extra is not installed, the opset is not supported, or the model is too large for one file.
    """
    require_onnx()
    from feathertune.export import onnx_graph
    from feathertune.export.onnx_operators import translations

    check_opset(opset)
    replace_integer_layers(classifier.model, plain_int4=purpose == "web")
    classifier.eval()
    dynamic = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("sequence", min=1, max=max_length)}
    ids_BL = torch.ones(3, min(5, max_length), dtype=torch.int64)
    with _quiet():
        program = torch.export.export(
            classifier, (ids_BL, torch.ones_like(ids_BL)), dynamic_shapes=(dynamic, dynamic), strict=False
        )
        exported: Any = torch.onnx.export(
            program,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            opset_version=opset,
            custom_translation_table=translations(),
            dynamo=True,
        )
        proto = exported.model_proto
    onnx_graph.share_equal_weights(proto)
    onnx_graph.rename_shared_integers(proto)
    if tuned is None:
        onnx_graph.make_products_exact(proto)
    onnx_graph.keep_residual_sums_apart(proto)
    onnx_graph.strip(proto)
    proto.producer_name = "feathertune"
    if proto.ByteSize() > _LARGEST:
        raise UserError(
            f"the model has {proto.ByteSize() / 2**30:.1f} GiB, and one ONNX file holds 2 GiB at most",
            fix="Export it with --precision int8 or int4 (from a quantized run).",
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())


def check_opset(opset: int) -> None:
    """Raise a UserError if exports cannot use this version of ONNX's operators."""
    if not OPSET <= opset <= LATEST_OPSET:
        raise UserError(
            f"ONNX opset {opset} is not supported: the exports need operators of opset {OPSET} and are tested up to "
            f"opset {LATEST_OPSET}",
            where="--opset",
            fix=f"Choose {OPSET} to {LATEST_OPSET}, or leave --opset out.",
        )


def require_onnx() -> None:
    """Raise a UserError that names the extra if a part of it is missing."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401 - which the export is checked with
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"exporting to ONNX needs {error.name}, which is not installed", fix="pip install 'feathertune[onnx]'"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's messages."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
