"""The content of a model.onnx, and the exactness of its integer products."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from feathertune.errors import UserError
from feathertune.export import exported, onnx_layers
from feathertune.export.exported import OnnxRuntime, session_options
from feathertune.export.exporting import export_run
from feathertune.quantization.integer import IntegerLinear

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
onnx_operators = pytest.importorskip("feathertune.export.onnx_operators")

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

    And never int8 x int8, which is slow on x86: the activations are uint8.
    """
    int8 = model("int8")
    nodes = [*int8.graph.node, *(node for function in int8.functions for node in function.node)]
    products = [node for node in nodes if node.op_type == "MatMulInteger"]
    assert len(products) == 2 * 4 + 2  # of each layer, the second use of the last c_attn, and the head
    assert not any(node.op_type == "DynamicQuantizeLinear" for node in nodes)
    types = {
        info.name: info.type.tensor_type.elem_type for info in onnx.shape_inference.infer_shapes(int8).graph.value_info
    }
    assert {types[node.input[0]] for node in products} == {onnx.TensorProto.UINT8}


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


EXTREMES = {"with VNNI": frozenset({"avx512_vnni"}), "without": frozenset({"avx2"})}


@pytest.mark.parametrize("processor", EXTREMES)
@pytest.mark.parametrize("activations", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("inputs", [64, 3072])
def test_products_near_the_limits_do_not_saturate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processor: str, inputs: int, activations: Any
) -> None:
    """255 x 127 + 255 x 127 exceeds 16 bits, in which x86 without VNNI adds pairs by default.

    The option that serving sets there must give the same results. (On a processor with VNNI this cannot show that the
    option is needed, only that it is exact. Without VNNI, the second case fails without the option.)
    """
    if processor == "with VNNI" and not exported.processor_flags() & {"avx512_vnni", "avx_vnni"}:
        pytest.skip("this processor has no VNNI")
    monkeypatch.setattr(exported, "processor_flags", lambda: EXTREMES[processor])
    if processor == "without":
        assert session_options().get_session_config_entry("session.x64quantprecision") == "1"
    signs_O = torch.tensor([1, -1, 1, -1], dtype=torch.int8)
    weight_OI = (127 * signs_O)[:, None].repeat(1, inputs)
    weight_OI[2:, ::2] *= -1
    linear = IntegerLinear(weight_OI, torch.full((4,), 0.01), None, 8, activations)
    ones_I, ramp_I = torch.ones(inputs), torch.linspace(-1, 1, inputs)
    x_TI = torch.stack([ones_I, -ones_I, ramp_I, ramp_I.sign()])
    session = _session_of(linear, x_TI, tmp_path / "model.onnx")
    np.testing.assert_array_equal(session.run(None, {"x": x_TI.numpy()})[0], linear(x_TI).numpy())


def _session_of(linear: IntegerLinear, x_TI: torch.Tensor, path: Path) -> Any:
    import onnxruntime

    program: Any = torch.onnx.export(
        onnx_layers.OnnxLinear8(linear),
        (x_TI,),
        input_names=["x"],
        dynamic_shapes=({0: torch.export.Dim("rows")},),
        opset_version=21,
        custom_translation_table=onnx_operators.translations(),
        dynamo=True,
        verbose=False,
    )
    path.write_bytes(program.model_proto.SerializeToString())
    options = session_options(1)
    options.optimized_model_filepath = str(path.with_name("optimized.onnx"))
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("inputs", [64, 384, 3072])
def test_a_symmetric_layer_is_one_fused_product_and_the_torch_layer_bit_for_bit(tmp_path: Path, inputs: int) -> None:
    """onnxruntime fuses product, conversion and the scales of the weights into one fast kernel."""
    generator = torch.Generator().manual_seed(0)
    weight_OI, x_TI = torch.randn(48, inputs, generator=generator), torch.randn(200, inputs, generator=generator)
    x_TI[0], x_TI[1] = 0, 1e-36 * x_TI[1]
    linear = IntegerLinear.of(weight_OI, torch.randn(48, generator=generator), 8, "symmetric")
    session = _session_of(linear, x_TI, tmp_path / "model.onnx")
    np.testing.assert_array_equal(session.run(None, {"x": x_TI.numpy()})[0], linear(x_TI).numpy())
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert kinds["MatMulIntegerToFloat"] == 1
    assert kinds["MatMulInteger"] == 0


@pytest.mark.parametrize("activations", ["asymmetric", "symmetric"])
def test_the_exported_layers_compute_in_torch_what_they_replace(activations: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    weight_OI, x = torch.randn(48, 96, generator=generator), torch.randn(3, 7, 96, generator=generator)
    bias_O = torch.randn(48, generator=generator)
    eight, four = (IntegerLinear.of(weight_OI, bias_O, bits, activations) for bits in (8, 4))
    assert torch.equal(onnx_layers.OnnxLinear8(eight)(x), eight(x))
    torch.testing.assert_close(onnx_layers.OnnxLinear4(four)(x), four(x), rtol=0, atol=1e-5)


def test_column_sums_are_float32_only_where_that_is_exact() -> None:
    narrow = IntegerLinear.of(torch.randn(4, 64), None, 8)
    wide = IntegerLinear(torch.full((4, 3072), 127, dtype=torch.int8), torch.ones(4), None, 8)
    assert onnx_layers.OnnxLinear8(narrow).sums_O.dtype == torch.float32
    assert onnx_layers.OnnxLinear8(wide).sums_O.dtype == torch.int32
