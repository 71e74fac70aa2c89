"""The translation of `onnx_layers`' operators to ONNX: docs/NUMERICS.md's arithmetic in its uint8 form.

All are standard operators, except that int4 weights use onnxruntime's `MatMulNBits`: with `accuracy_level=1` it
multiplies float32 numbers, and does not quantize the activations again, as it would by default for the standard
operators' pattern (`DequantizeLinear`, `MatMul`). Letters: R for the dimensions before the last.

This module needs the `onnx` extra.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from onnx import numpy_helper
from onnx.defs import OpSchema
from onnxscript import opset21
from onnxscript.values import Op, Opset

from feathertune.export import onnx_layers  # noqa: F401 - which registers the operators
from feathertune.quantization.numerics import GROUP, MIN_RANGE, UINT8_OFFSET

op: Any = opset21


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Torch operator -> the function that translates it to ONNX."""
    return {
        torch.ops.feathertune.linear8.default: _linear8,
        torch.ops.feathertune.linear4.default: _linear4,
    }


def _linear8(x_RI: Any, ones_R1: Any, weight_IO: Any, scale_O: Any, sums_O: Any, bias_O: Any) -> Any:
    if sums_O is None:
        return _symmetric_linear8(x_RI, ones_R1, weight_IO, scale_O, bias_O)
    q_RI, scale_R1, zero_R1 = _quantize_asymmetric(x_RI, ones_R1)
    dots_RO = op.MatMulInteger(q_RI, weight_IO)
    if sums_O.dtype.name == "INT32":
        n_RO = op.Cast(op.Sub(dots_RO, op.Mul(op.Cast(zero_R1, to=6), sums_O)), to=1)
    else:
        n_RO = op.Sub(op.Cast(dots_RO, to=1), op.Mul(op.Cast(zero_R1, to=1), sums_O))
    return _add(op.Mul(op.Mul(n_RO, scale_R1), scale_O), bias_O)


def _symmetric_linear8(x_RI: Any, ones_R1: Any, weight_IO: Any, scale_O: Any, bias_O: Any) -> Any:
    """Written so that onnxruntime fuses MatMulInteger, Cast and the scaling by the weights' scales into one kernel.

    It fuses when it finds a scalar factor, where other models have one activation scale for all rows.
    """
    q_RI, scale_R1, _ = _quantize_symmetric(x_RI, ones_R1)
    zero = op.Constant(value=numpy_helper.from_array(np.array(UINT8_OFFSET, dtype=np.uint8)))
    n_RO = op.Cast(op.MatMulInteger(q_RI, weight_IO, zero), to=1)
    scaled_RO = op.Mul(n_RO, op.Mul(_one_of(ones_R1), scale_O))
    return _add(op.Mul(scaled_RO, scale_R1), bias_O)


def _linear4(x_RI: Any, ones_R1: Any, packed: Any, scale_OG: Any, bias_O: Any, activations: str) -> Any:
    how = _quantize_asymmetric if activations == "asymmetric" else _quantize_symmetric
    q_RI, scale_R1, zero_R1 = how(x_RI, ones_R1)
    inputs, outputs = int(x_RI.shape[-1]), int(packed.shape[0])
    near_RI = op.DequantizeLinear(q_RI, scale_R1, zero_R1, axis=-1, block_size=inputs)
    product_RO = _multiply_int4(
        near_RI, packed, scale_OG, K=inputs, N=outputs, bits=4, block_size=GROUP, accuracy_level=1
    )
    return _add(product_RO, bias_O)


def _quantize_asymmetric(x_RI: Any, ones_R1: Any) -> tuple[Any, Any, Any]:
    """Activations as uint8, their scale, and their zero point as uint8.

    Some steps of the specification are merged. A range below 2^-100 becomes 2^-100 instead of 1, which changes results
    by less than 1e-28. The zero point always comes from the row's minimum, which can shift it by one when rounding
    meets a tie: all of the row's integers then shift with it, and nothing else changes.

    1 / scale is written with a one that is not a constant, since onnxruntime turns x * (1 / s) into x / s, which
    rounds differently.
    """
    axis = op.Constant(value_ints=[-1])
    low_R1 = op.Min(op.ReduceMin(x_RI, axis, keepdims=1), op.Constant(value_float=0.0))
    high_R1 = op.Max(op.ReduceMax(x_RI, axis, keepdims=1), op.Constant(value_float=MIN_RANGE))
    minus_per_unit_R1 = op.Div(op.Constant(value_float=-255.0), op.Sub(high_R1, low_R1))
    scale_R1 = op.Div(op.Constant(value_float=-1.0), minus_per_unit_R1)
    zero_R1 = _to_uint8(op.Mul(low_R1, minus_per_unit_R1))
    steps_RI = op.Mul(x_RI, op.Div(ones_R1, scale_R1))
    q_RI = op.QuantizeLinear(steps_RI, ones_R1, zero_R1, axis=-1, block_size=int(x_RI.shape[-1]))
    return q_RI, scale_R1, zero_R1


def _quantize_symmetric(x_RI: Any, ones_R1: Any) -> tuple[Any, Any, Any]:
    """The same for symmetric activations: as uint8, where 128 represents 0."""
    axis = op.Constant(value_ints=[-1])
    low_R1, high_R1 = op.ReduceMin(x_RI, axis, keepdims=1), op.ReduceMax(x_RI, axis, keepdims=1)
    largest_R1 = op.Max(high_R1, op.Neg(low_R1), op.Constant(value_float=MIN_RANGE))
    scale_R1 = op.Div(largest_R1, op.Constant(value_float=127.0))
    zero_R1 = op.Cast(op.Mul(ones_R1, op.Constant(value_float=float(UINT8_OFFSET))), to=2)
    q_RI = op.QuantizeLinear(x_RI, scale_R1, zero_R1, axis=-1, block_size=int(x_RI.shape[-1]))
    return q_RI, scale_R1, zero_R1


def _one_of(ones_R1: Any) -> Any:
    """[1]: a one that is not a constant, the same for all layers."""
    flat_R = op.Reshape(ones_R1, op.Constant(value_ints=[-1]))
    return op.ReduceMax(flat_R, op.Constant(value_ints=[0]), keepdims=1)


def _to_uint8(x: Any) -> Any:
    """Rounded half to even."""
    return op.QuantizeLinear(x, op.Constant(value_float=1.0), output_dtype=2)


def _add(y_RO: Any, bias_O: Any) -> Any:
    return y_RO if bias_O is None else op.Add(y_RO, bias_O)


def _schema_of_matmul_nbits() -> Any:
    """Onnxruntime's operator, as far as it is used here; the onnx package only knows the standard ones."""
    types = [("T1", ["tensor(float)"], ""), ("T2", ["tensor(uint8)"], "")]
    inputs = [OpSchema.FormalParameter(name, kind) for name, kind in (("A", "T1"), ("B", "T2"), ("scales", "T1"))]
    names = ("K", "N", "bits", "block_size", "accuracy_level")
    return OpSchema(
        "MatMulNBits",
        "com.microsoft",
        1,
        inputs=inputs,
        outputs=[OpSchema.FormalParameter("Y", "T1")],
        type_constraints=types,
        attributes=[OpSchema.Attribute(name, OpSchema.AttrType.INT) for name in names],
    )


_multiply_int4 = Op(Opset("com.microsoft", 1), "MatMulNBits", op_schema=_schema_of_matmul_nbits())
