"""A quantized model's layers in the form in which they become ONNX: weights as its operators want them lying.

`torch.onnx` carries each `feathertune::` operator over by `translations`. Their arithmetic is docs/NUMERICS.md's in the
uint8 form, by plain ONNX operators, except that the product of int4 weights is onnxruntime's `MatMulNBits`: with
`accuracy_level=1` it multiplies float32 numbers, and does not quantize the activations once more, as it would by
default for the standard operators' pattern (`DequantizeLinear`, `MatMul`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from feathertune.quantization import numerics
from feathertune.quantization.integer import IntegerEmbedding, IntegerLinear
from feathertune.quantization.numerics import GROUP, SMALLEST


class OnnxLinear8(nn.Module):
    """An int8 `IntegerLinear`, its weight lying as [I, O].

    The column sums are float32 where every sum of products is an integer that float32 holds exactly, which it is for
    all but very wide layers of large weights: float32 is the faster number to correct in, and the result the same.
    """

    sums_O: Tensor

    def __init__(self, linear: IntegerLinear) -> None:
        super().__init__()
        exact = int(linear.weight_OI.int().abs().sum(1).max()) * 255 < 2**24
        self.register_buffer("weight_IO", linear.weight_OI.T.contiguous())
        self.register_buffer("scale_O", linear.scale_O)
        self.register_buffer("sums_O", linear.sums_O.float() if exact else linear.sums_O)
        self.register_buffer("bias_O", linear.bias_O)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O]."""
        y: Tensor = torch.ops.feathertune.linear8(
            x, _one_each(x), self.weight_IO, self.scale_O, self.sums_O, self.bias_O
        )
        return y


class OnnxLinear4(nn.Module):
    """An int4 `IntegerLinear`, two weights a byte, its scales in the bfloat16 that they are numbers of."""

    scale_OG: Tensor

    def __init__(self, linear: IntegerLinear) -> None:
        super().__init__()
        outputs, groups = linear.scale_OG.shape
        padded_OI = functional.pad(linear.weight_OI, (0, groups * GROUP - linear.in_features))
        packed = numerics.pack_int4(padded_OI)
        self.register_buffer("packed", packed.reshape(outputs, groups, GROUP // 2).contiguous())
        self.register_buffer("scale_OG", linear.scale_OG.bfloat16())
        self.register_buffer("bias_O", linear.bias_O)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O]."""
        y: Tensor = torch.ops.feathertune.linear4(x, _one_each(x), self.packed, self.scale_OG.float(), self.bias_O)
        return y


class OnnxEmbedding(nn.Module):
    """An `IntegerEmbedding` by two lookups and a product."""

    weight_VD: Tensor
    scale_V1: Tensor

    def __init__(self, embedding: IntegerEmbedding) -> None:
        super().__init__()
        self.factor = embedding.factor
        self.register_buffer("weight_VD", embedding.weight_VD)
        self.register_buffer("scale_V1", embedding.scale_V[:, None].clone())

    def forward(self, ids: Tensor) -> Tensor:
        """[...] -> [..., D]."""
        rows = functional.embedding(ids, self.weight_VD).float() * functional.embedding(ids, self.scale_V1)
        return rows if self.factor == 1.0 else rows * self.factor


def replace_integer_layers(model: nn.Module) -> None:
    """Put these layers in the places of the model's integer layers."""
    for name, module in list(model.named_modules()):
        if isinstance(module, IntegerLinear):
            model.set_submodule(name, OnnxLinear8(module) if module.bits == 8 else OnnxLinear4(module))
        elif isinstance(module, IntegerEmbedding):
            model.set_submodule(name, OnnxEmbedding(module))


def _one_each(x: Tensor) -> Tensor:
    """[..., 1]: a one for each row, the same for all layers, so that the file's reader makes them once."""
    return torch.ones(*x.shape[:-1], 1)


@torch.library.custom_op("feathertune::linear8", mutates_args=())
def linear8(
    x: Tensor, _ones: Tensor, weight_IO: Tensor, scale_O: Tensor, sums_O: Tensor, bias_O: Tensor | None
) -> Tensor:
    """What `IntegerLinear` computes with int8 weights. `_ones` is for ONNX alone."""
    rows = numerics.quantize_rows(x.reshape(-1, x.shape[-1]))
    n_TO = numerics.integer_product(rows, weight_IO.T.contiguous(), sums_O.int())
    return numerics.rescale(n_TO, rows.scale_T1, scale_O, bias_O).reshape(*x.shape[:-1], -1)


@torch.library.custom_op("feathertune::linear4", mutates_args=())
def linear4(x: Tensor, _ones: Tensor, packed: Tensor, scale_OG: Tensor, bias_O: Tensor | None) -> Tensor:
    """What `IntegerLinear` computes with int4 weights. `_ones` is for ONNX alone."""
    rows = numerics.quantize_rows(x.reshape(-1, x.shape[-1]))
    q_OI = numerics.unpack_int4(packed.flatten(1), x.shape[-1])
    centred_TI = rows.q_TI.float() - rows.zero_T1
    y_TO = (centred_TI @ numerics.dequantize_int4(q_OI, scale_OG).T) * rows.scale_T1
    return (y_TO if bias_O is None else y_TO + bias_O).reshape(*x.shape[:-1], -1)


@linear8.register_fake
def _(x: Tensor, _ones: Tensor, weight_IO: Tensor, *_: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:-1], weight_IO.shape[1])


@linear4.register_fake
def _(x: Tensor, _ones: Tensor, packed: Tensor, *_: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:-1], packed.shape[0])


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """An operator of torch -> the function that writes it in ONNX. Letters: R for the dimensions before the last."""
    from onnxscript import opset21
    from onnxscript.values import Op, Opset

    op: Any = opset21
    multiply_int4 = Op(Opset("com.microsoft", 1), "MatMulNBits", op_schema=_schema_of_matmul_nbits())

    def quantize(x_RI: Any, ones_R1: Any) -> tuple[Any, Any, Any]:
        """Activations as uint8, their scale, and their zero point as uint8.

        Some steps of the specification are merged: a range under 2^-100 becomes 2^-100 instead of 1, whose result
        differs by less than 1e-28, and the zero point is always taken from the row's lowest number, which can move it
        by one where rounding meets a tie: all of a row's integers then move along, and nothing else changes.

        Multiplying by 1 / scale is written with a one that is no constant, since onnxruntime turns x * (1 / s) into
        x / s, which rounds otherwise.
        """
        axis = op.Constant(value_ints=[-1])
        low_R1 = op.Min(op.ReduceMin(x_RI, axis, keepdims=1), op.Constant(value_float=0.0))
        high_R1 = op.Max(op.ReduceMax(x_RI, axis, keepdims=1), op.Constant(value_float=SMALLEST))
        minus_per_unit_R1 = op.Div(op.Constant(value_float=-255.0), op.Sub(high_R1, low_R1))
        scale_R1 = op.Div(op.Constant(value_float=-1.0), minus_per_unit_R1)
        zero_R1 = to_uint8(op.Mul(low_R1, minus_per_unit_R1))
        steps_RI = op.Mul(x_RI, op.Div(ones_R1, scale_R1))
        q_RI = op.QuantizeLinear(steps_RI, ones_R1, zero_R1, axis=-1, block_size=int(x_RI.shape[-1]))
        return q_RI, scale_R1, zero_R1

    def to_uint8(x: Any) -> Any:
        """Rounded half to even."""
        return op.QuantizeLinear(x, op.Constant(value_float=1.0), output_dtype=2)

    def add(y_RO: Any, bias_O: Any) -> Any:
        return y_RO if bias_O is None else op.Add(y_RO, bias_O)

    def linear8(x_RI: Any, ones_R1: Any, weight_IO: Any, scale_O: Any, sums_O: Any, bias_O: Any) -> Any:
        q_RI, scale_R1, zero_R1 = quantize(x_RI, ones_R1)
        dots_RO = op.MatMulInteger(q_RI, weight_IO)
        if sums_O.dtype.name == "INT32":
            n_RO = op.Cast(op.Sub(dots_RO, op.Mul(op.Cast(zero_R1, to=6), sums_O)), to=1)
        else:
            n_RO = op.Sub(op.Cast(dots_RO, to=1), op.Mul(op.Cast(zero_R1, to=1), sums_O))
        return add(op.Mul(op.Mul(n_RO, scale_R1), scale_O), bias_O)

    def linear4(x_RI: Any, ones_R1: Any, packed: Any, scale_OG: Any, bias_O: Any) -> Any:
        q_RI, scale_R1, zero_R1 = quantize(x_RI, ones_R1)
        inputs, outputs = int(x_RI.shape[-1]), int(packed.shape[0])
        near_RI = op.DequantizeLinear(q_RI, scale_R1, zero_R1, axis=-1, block_size=inputs)
        product_RO = multiply_int4(
            near_RI, packed, scale_OG, K=inputs, N=outputs, bits=4, block_size=GROUP, accuracy_level=1
        )
        return add(product_RO, bias_O)

    return {
        torch.ops.feathertune.linear8.default: linear8,
        torch.ops.feathertune.linear4.default: linear4,
    }


def _schema_of_matmul_nbits() -> Any:
    """The operator of onnxruntime, as far as it is used here; the onnx package knows the standard ones alone."""
    from onnx.defs import OpSchema

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
