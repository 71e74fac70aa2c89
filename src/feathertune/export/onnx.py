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

import numpy as np
import torch

from feathertune.errors import UserError
from feathertune.export.onnx_layers import replace_integer_layers
from feathertune.export.padded import PaddedClassifier
from feathertune.system.files import atomic_path

OPSET = 21  # the first whose QuantizeLinear takes a scale and zero point for each row
LATEST_OPSET = 23  # that the exports are tested with
_LARGEST = 2**31 - 1  # bytes of a protobuf message, and so of a file that holds its weights itself


def write_onnx(classifier: PaddedClassifier, path: Path, max_length: int, opset: int = OPSET) -> None:
    """Write the model with inputs `input_ids` and `attention_mask` [batch, sequence] int64 and the output `logits`.

    Args:
        max_length: the maximum number of tokens.
        opset: the version of ONNX's operators, which the runtime must support.

    Raises:
        UserError: the extra is not installed, the opset is not supported, or the model is too large for one file.
    """
    require_onnx()
    from feathertune.export.onnx_operators import translations

    check_opset(opset)
    replace_integer_layers(classifier.model)
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
    _share_equal_weights(proto)
    _rename_shared_integers(proto)
    _strip(proto)
    proto.producer_name = "feathertune"
    if proto.ByteSize() > _LARGEST:
        raise UserError(
            f"the model has {proto.ByteSize() / 2**30:.1f} GiB, and one ONNX file holds 2 GiB at most",
            fix="Export it with --precision int8 or int4 (from a quantized run).",
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())


def _share_equal_weights(proto: Any) -> None:
    """Store equal tensors once, in place: the exporter transposes a weight again for each of its uses."""
    graph = proto.graph
    first: dict[tuple[Any, ...], str] = {}
    names = {}
    for tensor in graph.initializer:
        names[tensor.name] = first.setdefault((tensor.data_type, *tensor.dims, tensor.raw_data), tensor.name)
    kept = [tensor for tensor in graph.initializer if names[tensor.name] == tensor.name]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)


def _rename_shared_integers(proto: Any) -> None:
    """Give every `MatMulInteger` a weight with its own name, in place.

    A last layer that computes its queries for the pooled rows alone uses GPT-2's weight of queries, keys and values
    twice, ALBERT's layers all share theirs, and onnxruntime 1.32 refuses to turn a shared int8 weight into uint8
    (session.x64quantprecision). Another name is a reshape to the same shape, which runs when the model is loaded and
    takes no space in the file. Each reshape is one of the name before it: onnxruntime merges equal reshapes of one.
    """
    from onnx import helper, numpy_helper

    shapes = {initializer.name: list(initializer.dims) for initializer in proto.graph.initializer}
    latest: dict[str, str] = {}
    reshapes: list[Any] = []
    for node in proto.graph.node:
        if node.op_type != "MatMulInteger":
            continue
        name = node.input[1]
        if name in latest and name in shapes:
            again = f"{name}.again{len(reshapes)}"
            shape = numpy_helper.from_array(np.array(shapes[name], dtype=np.int64), f"{again}.shape")
            proto.graph.initializer.append(shape)
            reshapes.append(helper.make_node("Reshape", [latest[name], shape.name], [again], name=again))
            node.input[1] = again
        latest[name] = node.input[1]
    nodes = [*reshapes, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def _strip(proto: Any) -> None:
    """Remove the exporter's notes on where each operator came from: megabytes, and paths of the machine."""
    graph = proto.graph
    for part in (proto, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


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
