"""The content of a model.onnx, and the exactness of its integer products."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from feathertune.errors import UserError
from feathertune.export import exact_products, onnx_layers
from feathertune.export.exported import OnnxRuntime, session_options
from feathertune.export.exporting import export_run
from feathertune.quantization.integer import IntegerLinear
from onnx_layer import layer_proto

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
onnx_graph = pytest.importorskip("feathertune.export.onnx_graph")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

TrainedRun = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def model(trained_run: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Weights -> the ONNX model of a tiny GPT-2, as the onnx package reads it."""
    folder, read = tmp_path_factory.mktemp("onnx"), {}

    def find(weights: str) -> Any:
        if weights not in read:
            export_run(trained_run("gpt2", weights), "onnx", folder / weights)
            read[weights] = onnx.load(folder / weights / "model.onnx")
        return read[weights]

    return find


def test_sizes_shrink_with_the_weights(model: Callable[[str], Any]) -> None:
    fp32, int8, int4 = (
        sum(len(t.raw_data) for t in model(name).graph.initializer) for name in ("fp32", "int8", "int4")
    )
    assert fp32 > 2 * int8
    assert int8 > int4


@pytest.mark.parametrize("weights", ["fp32", "int8", "int4"])
def test_no_weight_is_in_the_file_twice(model: Callable[[str], Any], weights: str) -> None:
    """GPT-2's last layer uses a weight twice: for keys and values of all tokens, and for queries of the pooled ones."""
    copies = Counter(t.raw_data for t in model(weights).graph.initializer if len(t.dims) > 1)
    assert copies
    assert max(copies.values()) == 1


def test_the_file_reveals_nothing_about_the_machine_that_made_it(model: Callable[[str], Any]) -> None:
    content = model("int8").SerializeToString()
    assert b"site-packages" not in content
    assert b"stack_trace" not in content
    assert str(Path(onnx_layers.__file__).parents[2]).encode() not in content


def test_integers_are_multiplied_by_plain_operators(model: Callable[[str], Any]) -> None:
    """Never DynamicQuantizeLinear, which is per tensor: a prediction would depend on the other texts of its batch.

    Nor a QuantizeLinear with a scale or zero point for each row, which OpenVINO refuses: it only turns whole numbers
    into uint8. And never int8 x int8, which is slow on x86: the activations are uint8.
    """
    int8 = model("int8")
    assert {entry.domain: entry.version for entry in int8.opset_import if entry.domain != "com.microsoft"}[""] == 20
    nodes = list(_all_nodes(int8.graph))
    assert not {node.op_type for node in nodes} & {"DynamicQuantizeLinear", "DequantizeLinear"}
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in int8.graph.initializer}
    quantizers = [node for node in nodes if node.op_type == "QuantizeLinear"]
    assert quantizers
    assert all((constants[node.input[1]].shape, constants[node.input[1]]) == ((), 1) for node in quantizers)
    assert all((constants[node.input[2]].shape, constants[node.input[2]]) == ((), 0) for node in quantizers)
    assert {node.domain for node in nodes} == {""}
    either = [node for node in int8.graph.node if node.op_type == "If"]
    assert len(either) == 2 * 4 + 2  # of each layer, the second use of the last c_attn, and the head
    types = {
        info.name: info.type.tensor_type.elem_type for info in onnx.shape_inference.infer_shapes(int8).graph.value_info
    }
    for node in either:
        branches = {attribute.name: attribute.g.node for attribute in node.attribute}
        signed, unsigned = branches["then_branch"][-1], branches["else_branch"][-1]
        assert signed.op_type == unsigned.op_type == "MatMulInteger"
        assert signed.input[0] == unsigned.input[0]
        assert types[signed.input[0]] == onnx.TensorProto.UINT8


def _all_nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of the graphs within it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _all_nodes(attribute.g)


@pytest.mark.parametrize("weights", ["fp32", "int8", "int4"])
def test_a_later_opset_gives_the_same_predictions(trained_run: TrainedRun, tmp_path: Path, weights: str) -> None:
    export = export_run(trained_run("bert", weights), "onnx", tmp_path / "out", opset=23)
    assert export.parity.passed, export.parity.refused
    versions = {entry.domain: entry.version for entry in onnx.load(tmp_path / "out" / "model.onnx").opset_import}
    assert versions[""] == 23


def test_an_opset_unknown_to_onnxruntime_is_one_clear_error(tmp_path: Path) -> None:
    """As on another machine with an older onnxruntime."""
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "later", [x], [y])
    later = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 99)], ir_version=10)
    (tmp_path / "model.onnx").write_bytes(later.SerializeToString())
    with pytest.raises(UserError, match=r"opset.*\n.*pip install -U onnxruntime, or export with a lower --opset"):
        OnnxRuntime(tmp_path / "model.onnx")


@pytest.mark.parametrize("kind", ["portable", "portable, if int8 saturated", "tuned"])
@pytest.mark.parametrize("activations", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("inputs", [64, 3072])
def test_products_near_the_limits_do_not_saturate(tmp_path: Path, kind: str, inputs: int, activations: Any) -> None:
    """255 x 127 + 255 x 127 exceeds 16 bits, in which x86 without VNNI adds pairs of uint8 x int8.

    A portable file multiplies by uint8 there. The second case does so on any processor, as if the known product had
    come out wrong.
    """
    signs_O = torch.tensor([1, -1, 1, -1], dtype=torch.int8)
    weight_OI = (127 * signs_O)[:, None].repeat(1, inputs)
    weight_OI[2:, ::2] *= -1
    linear = IntegerLinear(weight_OI, torch.full((4,), 0.01), None, 8, activations)
    ones_I, ramp_I = torch.ones(inputs), torch.linspace(-1, 1, inputs)
    x_TI = torch.stack([ones_I, -ones_I, ramp_I, ramp_I.sign()])
    session = _session_of(linear, x_TI, tmp_path / "model.onnx", kind)
    np.testing.assert_array_equal(session.run(None, {"x": x_TI.numpy()})[0], linear(x_TI).numpy())
    (product,) = (
        node
        for node in onnx.load(tmp_path / "optimized.onnx").graph.node
        if node.op_type in ("MatMulInteger", "MatMulIntegerToFloat")
    )
    types = {t.name: t.data_type for t in onnx.load(tmp_path / "optimized.onnx").graph.initializer}
    if kind != "portable":  # whose choice is the processor's
        unsigned = kind == "portable, if int8 saturated" or exact_products.option_is_needed()
        assert types[product.input[1]] == (onnx.TensorProto.UINT8 if unsigned else onnx.TensorProto.INT8)


def _session_of(linear: IntegerLinear, x_TI: torch.Tensor, path: Path, kind: str = "portable") -> Any:
    import onnxruntime

    proto = layer_proto(onnx_layers.OnnxLinear8(linear), x_TI)
    if kind != "tuned":
        onnx_graph.make_products_exact(proto)
    if kind == "portable, if int8 saturated":
        (known,) = (tensor for tensor in proto.graph.initializer if tensor.name == "feathertune.exact_products.sum")
        known.CopyFrom(onnx.numpy_helper.from_array(np.array(1_048_544, dtype=np.int32), known.name))
    path.write_bytes(proto.SerializeToString())
    options = session_options(1, ["exact-int8-products"] if kind == "tuned" else [])
    options.optimized_model_filepath = str(path.with_name("optimized.onnx"))
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("kind", ["portable", "portable, if int8 saturated", "tuned"])
@pytest.mark.parametrize("activations", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("inputs", [64, 384, 3072])
def test_a_layer_is_one_fused_product_and_the_torch_layer(
    tmp_path: Path, inputs: int, activations: Any, kind: str
) -> None:
    """onnxruntime fuses product, conversion and the scales of the weights into one fast kernel."""
    generator = torch.Generator().manual_seed(0)
    weight_OI, x_TI = torch.randn(48, inputs, generator=generator), torch.randn(200, inputs, generator=generator)
    x_TI[0], x_TI[1] = 0, 1e-36 * x_TI[1]
    linear = IntegerLinear.of(weight_OI, torch.randn(48, generator=generator), 8, activations)
    session = _session_of(linear, x_TI, tmp_path / "model.onnx", kind)
    y_TO, expected_TO = session.run(None, {"x": x_TI.numpy()})[0], linear(x_TI).numpy()
    if activations == "symmetric":
        np.testing.assert_array_equal(y_TO, expected_TO)
    np.testing.assert_allclose(y_TO, expected_TO, rtol=1e-6, atol=1e-5)  # the sums reach 200
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert kinds["MatMulIntegerToFloat"] == 1
    assert not {"MatMulInteger", "Round", "Clip", "If"} & set(kinds)


@pytest.mark.parametrize("activations", ["asymmetric", "symmetric"])
def test_the_exported_layers_compute_in_torch_what_they_replace(activations: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    weight_OI, x = torch.randn(48, 96, generator=generator), torch.randn(3, 7, 96, generator=generator)
    bias_O = torch.randn(48, generator=generator)
    eight, four = (IntegerLinear.of(weight_OI, bias_O, bits, activations) for bits in (8, 4))
    assert torch.equal(onnx_layers.OnnxLinear8(eight)(x), eight(x))
    torch.testing.assert_close(onnx_layers.OnnxLinear4(four)(x), four(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("largest", "rows"), [(0, 1), (1, 1), (127, 1), (128, 2), (254, 2), (255, 3), (3072 * 127, 3072)]
)
def test_as_few_rows_as_possible_correct_for_the_zero_points(largest: int, rows: int) -> None:
    sums_O = torch.tensor([largest, -largest, largest // 2, 0], dtype=torch.int32)
    parts_NO = onnx_layers.rows_that_add_up_to(sums_O)
    assert parts_NO.shape == (rows, 4)
    assert parts_NO.dtype == torch.int8
    assert parts_NO.int().abs().max() <= 127
    assert torch.equal(parts_NO.sum(0, dtype=torch.int32), sums_O)


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_openvino_loads_the_file_and_agrees(trained_run: TrainedRun, tmp_path: Path, weights: str) -> None:
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    export_run(trained_run("bert", weights), "onnx", tmp_path / "out")
    path = tmp_path / "out" / "model.onnx"
    exact = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    compiled = openvino.Core().compile_model(openvino.Core().read_model(path), "CPU", exact)
    ids_BL = np.arange(2 * 5, dtype=np.int64).reshape(2, 5) % 7 + 1
    logits_BC = compiled({"input_ids": ids_BL, "attention_mask": np.ones_like(ids_BL)})[0]
    np.testing.assert_allclose(logits_BC, OnnxRuntime(path).logits(ids_BL), atol=0.05)


def test_sums_and_their_normalizations_are_not_fused(trained_run: TrainedRun, tmp_path: Path) -> None:
    """SkipLayerNormalization takes several times as long as its two parts."""
    import onnxruntime

    export_run(trained_run("bert", "int8"), "onnx", tmp_path / "out")
    options = session_options(1)
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert kinds["SkipLayerNormalization"] == 0
    assert kinds["LayerNormalization"] > 2
    assert kinds["If"] == 0
