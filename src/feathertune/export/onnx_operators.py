"""The translation of `onnx_layers`' operators to ONNX: docs/NUMERICS.md's arithmetic, operation by operation.

All are plain standard operators of opset 20, except that int4 weights use onnxruntime's `MatMulNBits` unless the file
is for the web: with `accuracy_level=1` it multiplies float32 numbers. Letters: R for the dimensions before the last.

This module needs the `onnx` extra.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, numpy_helper
from onnx.defs import OpSchema
from onnxscript import opset20
from onnxscript.values import Op, Opset

from feathertune.export import onnx_layers  # noqa: F401 - which registers the operators
from feathertune.quantization.numerics import ACTIVATION_RANGE, GROUP, MIN_RANGE, UINT8_OFFSET

op: Any = opset20

_LOWEST, _HIGHEST = ACTIVATION_RANGE
_WHOLE = 1.5 * 2.0**23  # within 2^22 of it, float32 has the whole numbers alone


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Torch operator -> the function that translates it to ONNX."""
    return {
        torch.ops.feathertune.linear8.default: _linear8,
        torch.ops.feathertune.linear4.default: _linear4,
        torch.ops.feathertune.plain_linear4.default: _plain_linear4,
    }


def _linear8(x_RI: Any, ones_R1: Any, weight_KO: Any, scale_O: Any, bias_O: Any, activations: str) -> Any:
    """Written so that onnxruntime fuses MatMulInteger, Cast and the scaling by the weights' scales into one kernel.

    It fuses when it finds a scalar factor, where other models have one activation scale for all rows.
    """
    if activations == "symmetric":
        inputs_RI, scale_R1 = _symmetric_steps(x_RI)
        q_RK = _uint8(inputs_RI, op.Mul(_one_of(ones_R1), _number(_WHOLE + UINT8_OFFSET)))
    else:
        inputs_RI, scale_R1, zero_R1 = _asymmetric_steps(x_RI, ones_R1)
        whole_zero_R1 = op.Add(zero_R1, _number(_WHOLE + UINT8_OFFSET))
        columns = int(weight_KO.shape[0]) - int(x_RI.shape[-1])
        zeros_RN = op.Add(whole_zero_R1, _numbers(np.full((1, columns), -_WHOLE)))
        q_RK = op.Concat(_uint8(inputs_RI, whole_zero_R1), _saturated(zeros_RN), axis=-1)
    n_RO = op.Cast(op.MatMulInteger(q_RK, weight_KO, _offset()), to=TensorProto.FLOAT)
    scaled_RO = op.Mul(n_RO, op.Mul(_one_of(ones_R1), scale_O))
    return _add(op.Mul(scaled_RO, scale_R1), bias_O)


def _uint8(steps_RI: Any, whole_zero_R1: Any) -> Any:
    """clip(rint(steps) + zero, 0, 255), where `whole_zero_R1` is zero + _WHOLE.

    steps - _WHOLE is rounded to a whole number, half to even, and what is added to it takes _WHOLE off again. Round
    would take three times as long as both in onnxruntime, which runs it on one thread.
    """
    return _saturated(op.Add(op.Sub(steps_RI, _number(_WHOLE)), whole_zero_R1))


def _saturated(whole: Any) -> Any:
    """Whole numbers, float32 -> uint8, clipped to [0, 255]: one operator for Clip and Cast."""
    zero = op.Constant(value=numpy_helper.from_array(np.array(0, dtype=np.uint8)))
    return op.QuantizeLinear(whole, op.Constant(value_float=1.0), zero)


def _linear4(x_RI: Any, ones_R1: Any, packed: Any, scale_OG: Any, bias_O: Any, activations: str) -> Any:
    centred_RI, scale_R1 = _centred(x_RI, ones_R1, activations)
    inputs, outputs = int(x_RI.shape[-1]), int(packed.shape[0])
    y_RO = _multiply_int4(centred_RI, packed, scale_OG, K=inputs, N=outputs, bits=4, block_size=GROUP, accuracy_level=1)
    return _add(op.Mul(y_RO, scale_R1), bias_O)


def _plain_linear4(x_RI: Any, ones_R1: Any, packed: Any, scale_GO: Any, bias_O: Any, activations: str) -> Any:
    """The product with a float32 weight, which the runtime unpacks when it loads the file: it depends on constants.

    `DequantizeLinear` of an INT4 tensor would be one operator, but onnxruntime does not compute it at loading, and
    fuses it with the product into a `MatMulNBits` that quantizes the activations once more.
    """
    centred_RI, scale_R1 = _centred(x_RI, ones_R1, activations)
    inputs, outputs = int(x_RI.shape[-1]), int(packed.shape[1])
    four, fifteen = (op.Constant(value=numpy_helper.from_array(np.array(n, dtype=np.uint8))) for n in (4, 15))
    q_IO = op.Concat(op.BitwiseAnd(packed, fifteen), op.BitShift(packed, four, direction="RIGHT"), axis=0)
    q_GIO = op.Reshape(op.Cast(q_IO, to=TensorProto.FLOAT), op.Constant(value_ints=[-1, GROUP, outputs]))
    weight_GIO = op.Mul(op.Sub(q_GIO, _number(8)), op.Unsqueeze(scale_GO, op.Constant(value_ints=[1])))
    weight_IO = op.Reshape(weight_GIO, op.Constant(value_ints=[-1, outputs]))
    if inputs % GROUP:
        begin, end, axis = (op.Constant(value_ints=[number]) for number in (0, inputs, 0))
        weight_IO = op.Slice(weight_IO, begin, end, axis)
    return _add(op.Mul(op.MatMul(centred_RI, weight_IO), scale_R1), bias_O)


def _centred(x_RI: Any, ones_R1: Any, activations: str) -> tuple[Any, Any]:
    """Q - z as float32, and the scale [R, 1]."""
    if activations == "symmetric":
        steps_RI, scale_R1 = _symmetric_steps(x_RI)
        return op.Round(steps_RI), scale_R1
    steps_RI, scale_R1, zero_R1 = _asymmetric_steps(x_RI, ones_R1)
    zero_R1 = op.Round(zero_R1)
    lowest_R1, highest_R1 = op.Sub(_number(_LOWEST), zero_R1), op.Sub(_number(_HIGHEST), zero_R1)
    return op.Min(op.Max(op.Round(steps_RI), lowest_R1), highest_R1), scale_R1  # clip(steps + z) - z


def _asymmetric_steps(x_RI: Any, ones_R1: Any) -> tuple[Any, Any, Any]:
    """Steps x / s, the scale [R, 1] and the zero point [R, 1], all float32; steps and zero point are yet to be rounded.

    Two steps of the specification are written more shortly, with the same integers for finite rows. It computes the
    zero point from the row's minimum if (-128 + low) + (127 + high) > 0, which is where 127 - high is below -1; where
    rounding makes the two differ, both ways lead to -1. And it clips before rounding, but the zero point is within two
    roundings of its range, and 127.00002 rounds to 127.

    1 / scale is written with a one that is not a constant, since onnxruntime turns x * (1 / s) into x / s, which
    rounds differently.
    """
    last = op.Constant(value_ints=[-1])
    low_R1 = op.Min(op.ReduceMin(x_RI, last, keepdims=1), _number(0))
    high_R1 = op.Max(op.ReduceMax(x_RI, last, keepdims=1), _number(0))
    range_R1 = op.Sub(high_R1, low_R1)
    per_unit_R1 = op.Where(op.Less(range_R1, _number(MIN_RANGE)), _number(1), op.Div(_number(255), range_R1))
    scale_R1 = op.Div(_number(1), per_unit_R1)
    from_low_R1 = op.Sub(_number(_LOWEST), op.Mul(low_R1, per_unit_R1))
    from_high_R1 = op.Sub(_number(_HIGHEST), op.Mul(high_R1, per_unit_R1))
    zero_R1 = op.Where(op.Less(from_high_R1, _number(-1)), from_low_R1, from_high_R1)
    return op.Mul(x_RI, op.Div(ones_R1, scale_R1)), scale_R1, zero_R1


def _symmetric_steps(x_RI: Any) -> tuple[Any, Any]:
    """Steps x / s, yet to be rounded to [-127, 127], and the scale [R, 1], both float32; the zero point is 0."""
    last = op.Constant(value_ints=[-1])
    low_R1, high_R1 = op.ReduceMin(x_RI, last, keepdims=1), op.ReduceMax(x_RI, last, keepdims=1)
    largest_R1 = op.Max(op.Max(high_R1, op.Neg(low_R1)), _number(MIN_RANGE))
    scale_R1 = op.Div(largest_R1, _number(127))
    return op.Div(x_RI, scale_R1), scale_R1


def _one_of(ones_R1: Any) -> Any:
    """[1]: a one that is not a constant, the same for all layers."""
    flat_R = op.Reshape(ones_R1, op.Constant(value_ints=[-1]))
    return op.ReduceMax(flat_R, op.Constant(value_ints=[0]), keepdims=1)


def _number(value: float) -> Any:
    """[1, 1]: onnxruntime takes thirty times as long for [R, 1] with a constant of fewer dimensions."""
    return _numbers(np.full((1, 1), value))


def _numbers(values: Any) -> Any:
    return op.Constant(value=numpy_helper.from_array(values.astype(np.float32)))


def _offset() -> Any:
    return op.Constant(value=numpy_helper.from_array(np.array(UINT8_OFFSET, dtype=np.uint8)))


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
