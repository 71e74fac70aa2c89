"""What is done to the graph that torch's exporter wrote: integer products, equal weights, residual sums, notes.

This module needs the `onnx` extra.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from feathertune.export.exact_products import EXACT, INPUTS, OUTPUTS, ROWS
from feathertune.quantization.numerics import UINT8_OFFSET

_NAME = "feathertune.exact_products"


def share_equal_weights(proto: Any) -> None:
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


def rename_shared_integers(proto: Any) -> None:
    """Give every `MatMulInteger` a weight with its own name, in place.

    A last layer that computes its queries for the pooled rows alone uses GPT-2's weight of queries, keys and values
    twice, ALBERT's layers all share theirs, and onnxruntime 1.32 refuses to turn a shared int8 weight into uint8
    (session.x64quantprecision). Another name is a reshape to the same shape, which runs when the model is loaded and
    takes no space in the file. Each reshape is one of the name before it: onnxruntime merges equal reshapes of one.
    """
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
    _replace_nodes(proto, [*reshapes, *proto.graph.node])


def make_products_exact(proto: Any) -> None:
    """Let the file itself see to exact integer products on every processor, in place.

    On x86 without VNNI, onnxruntime adds pairs of uint8 x int8 products in 16 bits, which saturate; uint8 x uint8 has
    another, exact kernel there, which is half as fast where there is VNNI. So each product becomes an `If`: the int8
    weight if the runtime multiplies a known pair of matrices exactly, else the same weight as uint8 with the zero point
    128. All of this is constant: onnxruntime computes the known product, chooses, and converts the weights when it
    loads the file, and what runs is one product.
    """
    graph = proto.graph
    if not any(node.op_type == "MatMulInteger" for node in graph.node):
        return
    weights = {tensor.name for tensor in graph.initializer}
    nodes = _known_products(graph)
    for node in graph.node:
        if node.op_type == "MatMulInteger" and node.input[1] in weights | {n.output[0] for n in nodes}:
            nodes.append(_either_product(node))
        else:
            nodes.append(node)
    _replace_nodes(proto, nodes)


def _known_products(graph: Any) -> list[Any]:
    """The nodes that compute whether the largest products come out exactly."""
    largest = numpy_helper.from_array(np.full((INPUTS, OUTPUTS), 127, dtype=np.int8), f"{_NAME}.weight")
    sums = numpy_helper.from_array(np.array(EXACT, dtype=np.int32), f"{_NAME}.sum")
    offsets = (
        numpy_helper.from_array(np.array(UINT8_OFFSET, dtype=np.int16), f"{_NAME}.offset"),
        numpy_helper.from_array(np.array(UINT8_OFFSET, dtype=np.uint8), f"{_NAME}.zero"),
    )
    graph.initializer.extend([largest, sums, *offsets])
    nodes, names = [], []
    for rows in ROWS:
        name = f"{_NAME}.{rows}"
        x = numpy_helper.from_array(np.full((rows, INPUTS), 255, dtype=np.uint8), f"{name}.x")
        graph.initializer.append(x)
        nodes.append(helper.make_node("MatMulInteger", [x.name, largest.name], [f"{name}.y"]))
        nodes.append(helper.make_node("Equal", [f"{name}.y", sums.name], [f"{name}.equal"]))
        nodes.append(helper.make_node("Cast", [f"{name}.equal"], [f"{name}.ones"], to=TensorProto.INT32))
        nodes.append(helper.make_node("ReduceMin", [f"{name}.ones"], [f"{name}.all"], keepdims=0))
        names.append(f"{name}.all")
    nodes.append(helper.make_node("Mul", names, [f"{_NAME}.all"]))
    nodes.append(helper.make_node("Cast", [f"{_NAME}.all"], [_NAME], to=TensorProto.BOOL))
    return nodes


def _either_product(node: Any) -> Any:
    x, weight, *zero = node.input
    name = node.output[0]
    info = helper.make_tensor_value_info
    signed = helper.make_graph(
        [helper.make_node("MatMulInteger", list(node.input), [f"{name}.signed"])],
        "signed",
        [],
        [info(f"{name}.signed", TensorProto.INT32, None)],
    )
    inputs = [x, f"{name}.uint8", *(zero or [""]), f"{_NAME}.zero"]
    unsigned = helper.make_graph(
        [
            helper.make_node("Cast", [weight], [f"{name}.wide"], to=TensorProto.INT16),
            helper.make_node("Add", [f"{name}.wide", f"{_NAME}.offset"], [f"{name}.shifted"]),
            helper.make_node("Cast", [f"{name}.shifted"], [f"{name}.uint8"], to=TensorProto.UINT8),
            helper.make_node("MatMulInteger", inputs, [f"{name}.unsigned"]),
        ],
        "unsigned",
        [],
        [info(f"{name}.unsigned", TensorProto.INT32, None)],
    )
    return helper.make_node("If", [_NAME], [name], name=node.name, then_branch=signed, else_branch=unsigned)


def keep_residual_sums_apart(proto: Any) -> None:
    """Put a reshape to the same shape between a sum and its layer normalization, in place.

    onnxruntime would fuse the two into its `SkipLayerNormalization`, which took nine times as long as both
    (1.32, Zen 5, [768, 384]).
    """
    graph = proto.graph
    sums = {node.output[0] for node in graph.node if node.op_type == "Add"}
    widths = {tensor.name: tensor.dims[0] for tensor in graph.initializer if len(tensor.dims) == 1}
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in graph.value_info}
    nodes: list[Any] = []
    for node in graph.node:
        name = node.input[0] if node.input else ""
        if node.op_type == "LayerNormalization" and name in sums & set(ranks) and node.input[1] in widths:
            apart = f"{node.output[0]}.apart"
            shape = np.array([0] * (ranks[name] - 1) + [widths[node.input[1]]], dtype=np.int64)
            graph.initializer.append(numpy_helper.from_array(shape, f"{apart}.shape"))
            nodes.append(helper.make_node("Reshape", [name, f"{apart}.shape"], [apart], name=apart))
            node.input[0] = apart
        nodes.append(node)
    _replace_nodes(proto, nodes)


def strip(proto: Any) -> None:
    """Remove the exporter's notes on where each operator came from: megabytes, and paths of the machine."""
    graph = proto.graph
    for part in (proto, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _replace_nodes(proto: Any, nodes: list[Any]) -> None:
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del proto.graph.node[:]
    proto.graph.node.extend(copies)
