"""The integers that an ONNX file computes, against docs/NUMERICS.md's arithmetic in torch."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from feathertune.export import onnx_layers
from feathertune.quantization import numerics
from feathertune.quantization.integer import IntegerLinear
from onnx_layer import layer_proto

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

INPUTS = 40  # not a multiple of the int4 groups


def _filled(rows_TI: np.ndarray) -> np.ndarray:
    """Rows of any width, filled up with zeros."""
    return np.pad(rows_TI, ((0, 0), (0, INPUTS - rows_TI.shape[1]))).astype(np.float32)


def _rows() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    whole = random.integers(-128, 127, (2000, INPUTS)).astype(np.float32)
    whole[:, :2] = -128, 127  # the scale is 1
    near = np.float32(2.0**-100)
    ends = random.integers(0, 255, (4000, 1)) + 0.5 + random.normal(scale=2e-5, size=(4000, 1)).round(6)
    middle = np.float32(-127) + random.normal(scale=1e-4, size=(4000, 1))
    return {
        "random": random.normal(size=(4000, INPUTS)).astype(np.float32),
        "heavy tails": (random.normal(size=(2000, INPUTS)) ** 5).astype(np.float32),
        "all above zero": random.random((500, INPUTS)).astype(np.float32) + 3,
        "all below zero": -random.random((500, INPUTS)).astype(np.float32) - 3,
        "zero": np.zeros((2, INPUTS), dtype=np.float32),
        "one number": np.repeat(random.normal(size=(200, 1)), INPUTS, axis=1).astype(np.float32),
        "halves": np.where(np.arange(INPUTS) < 2, whole, np.clip(whole + 0.5, -127.5, 126.5)).astype(np.float32),
        "zero points near halves": _filled(np.concatenate([-ends, 255 - ends, random.random((4000, 9))], axis=1)),
        "either end as far": _filled(np.concatenate([middle, 255 + middle, random.random((4000, 9))], axis=1)),
        "denormal": (random.normal(size=(50, INPUTS)) * 1e-40).astype(np.float32),
        "about 2^-100": near * np.linspace(0.1, 2, 200, dtype=np.float32)[:, None] * random.random((200, INPUTS)),
        "huge": (random.normal(size=(50, INPUTS)) * 1e37).astype(np.float32),
    }


ROWS = {name: rows_TI.astype(np.float32) for name, rows_TI in _rows().items()}


@cache
def _proto(bits: Any, activations: Any, plain: bool = False) -> tuple[IntegerLinear, Any]:
    """A layer, and a model that computes it and the integers of its activations."""
    generator = torch.Generator().manual_seed(0)
    weight_OI, bias_O = torch.randn(24, INPUTS, generator=generator), torch.randn(24, generator=generator)
    linear = IntegerLinear.of(weight_OI, bias_O, bits, activations)
    kind = onnx_layers.OnnxLinear8 if bits == 8 else onnx_layers.PlainOnnxLinear4 if plain else onnx_layers.OnnxLinear4
    proto = layer_proto(kind(linear), torch.randn(3, INPUTS))
    (product,) = (node for node in proto.graph.node if node.op_type in ("MatMulInteger", "MatMul", "MatMulNBits"))
    kind = onnx.TensorProto.UINT8 if bits == 8 else onnx.TensorProto.FLOAT
    proto.graph.output.append(onnx.helper.make_tensor_value_info(product.input[0], kind, ["rows", "factors"]))
    return linear, proto


@cache
def _model(bits: Any, activations: Any, plain: bool = False) -> tuple[IntegerLinear, Any]:
    """The layer, and a session that computes the model."""
    import onnxruntime

    linear, proto = _proto(bits, activations, plain)
    return linear, onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("activations", ["asymmetric", "symmetric"])
def test_int8_layers_are_the_specification_bit_for_bit(activations: Any, name: str) -> None:
    """But for the order of the two scales if the activations are asymmetric: the weights' come first."""
    linear, session = _model(8, activations)
    x_TI = torch.from_numpy(ROWS[name])
    y_TO, q_TK = session.run(None, {"x": ROWS[name]})
    rows = numerics.quantize_rows(x_TI, activations)
    np.testing.assert_array_equal(q_TK[:, :INPUTS], rows.q_TI.numpy().astype(np.int32) + 128)
    n_TO = numerics.integer_matmul(rows, linear.weight_OI, linear.sums_O)
    np.testing.assert_array_equal(y_TO, (n_TO * linear.scale_O * rows.scale_T1 + linear.bias_O).numpy())
    if rows.zero_T1 is None:
        assert q_TK.shape[1] == INPUTS
        np.testing.assert_array_equal(y_TO, linear(x_TI).numpy())
    else:
        zeros_T1 = rows.zero_T1.numpy() + 128
        np.testing.assert_array_equal(q_TK[:, INPUTS:], zeros_T1.repeat(q_TK.shape[1] - INPUTS, axis=1))
        spec_TO = linear(x_TI).numpy()
        finite_TO = np.isfinite(spec_TO)  # n * s_a of "huge" rows is infinite, before s_w brings it down
        np.testing.assert_allclose(y_TO[finite_TO], spec_TO[finite_TO], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("activations", ["asymmetric", "symmetric"])
def test_openvino_computes_the_same_integers(activations: Any) -> None:
    """It takes QuantizeLinear for a FakeQuantize, which is exact because its numbers are whole."""
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    linear, proto = _proto(8, activations)
    options = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    model = openvino.Core().read_model(proto.SerializeToString())
    x_TI = np.concatenate(list(ROWS.values()))
    y_TO, q_TK = openvino.Core().compile_model(model, "CPU", options)({"x": x_TI}).values()
    rows = numerics.quantize_rows(torch.from_numpy(x_TI), activations)
    np.testing.assert_array_equal(q_TK[:, :INPUTS], rows.q_TI.numpy().astype(np.int32) + 128)
    n_TO = numerics.integer_matmul(rows, linear.weight_OI, linear.sums_O)
    np.testing.assert_allclose(y_TO, (n_TO * linear.scale_O * rows.scale_T1 + linear.bias_O).numpy(), 1e-6, 1e-6)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("activations", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("plain", [False, True], ids=["MatMulNBits", "for the web"])
def test_int4_layers_multiply_the_same_integers(plain: bool, activations: Any, name: str) -> None:
    linear, session = _model(4, activations, plain)
    x_TI = torch.from_numpy(ROWS[name])
    y_TO, centred_TI = session.run(None, {"x": ROWS[name]})
    rows = numerics.quantize_rows(x_TI, activations)
    np.testing.assert_array_equal(centred_TI, rows.centred(torch.float32).numpy())
    largest_T1 = 255 * rows.scale_T1.double().numpy() * np.abs(linear.float_OI.numpy()).sum(1).max()
    assert (np.abs(y_TO - linear(x_TI).numpy()) <= 1e-6 * (largest_T1 + 1)).all()


@pytest.mark.parametrize("plain", [False, True], ids=["MatMulNBits", "for the web"])
def test_the_int4_modules_compute_in_torch_what_they_replace(plain: bool) -> None:
    linear, _ = _model(4, "asymmetric", plain)
    x_TI = torch.from_numpy(ROWS["random"][:20])
    module = onnx_layers.PlainOnnxLinear4(linear) if plain else onnx_layers.OnnxLinear4(linear)
    torch.testing.assert_close(module(x_TI), linear(x_TI), rtol=0, atol=1e-5)
