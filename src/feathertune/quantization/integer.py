"""Layers that hold integers and compute with them: what a converted model is made of. See docs/NUMERICS.md."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from feathertune.kernels.matmul import matmul
from feathertune.quantization import numerics
from feathertune.quantization.numerics import (
    GROUP,
    Activations,
    Bits,
    QuantizedRows,
)

_LEAST = 16  # rows of a float product: fewer go to another kernel (one alone in oneDNN), which adds in another order
_FEW = 512  # rows whose [T, O] stays in the cache between the integer product and its rescaling


@dataclass(frozen=True)
class Int8Matmul:
    """y = x W' + b for quantized rows and an int8 weight: exact until it is rescaled.

    Attributes:
        weight_OI: [O, I] int8.
        scale_O: [O] float32.
        sums_O: [O] int32, of the integers of each output.
        bias_O: [O] float32, or None.
    """

    weight_OI: Tensor
    scale_O: Tensor
    sums_O: Tensor
    bias_O: Tensor | None

    @classmethod
    def of(cls, weight_OI: Tensor, bias_O: Tensor | None) -> Int8Matmul:
        """Quantize a float32 weight."""
        q_OI, scale_O = numerics.quantize_int8(weight_OI)
        return cls(q_OI, scale_O, numerics.column_sums(q_OI), bias_O)

    def answer(self, rows: QuantizedRows) -> Tensor:
        """[T, O] float32."""
        y_TO = torch.empty(len(rows.q_TI), len(self.weight_OI), device=rows.q_TI.device)
        for begin in range(0, len(y_TO), _FEW):
            part = slice(begin, begin + _FEW)
            few, part_TO = rows.some(part), y_TO[part]
            part_TO.copy_(numerics.integer_matmul(few, self.weight_OI, self.sums_O))
            numerics.rescale(part_TO, few, self.scale_O, self.bias_O)
        return y_TO

    def gradient(self, gradient_TO: Tensor) -> Tensor:
        """[T, O] -> [T, I]: the gradient of the inputs, as if rounding did nothing, in `gradient_TO`'s dtype."""
        dtype = gradient_TO.dtype
        return matmul((gradient_TO * self.scale_O).to(dtype), self.weight_OI.to(dtype).T)


@dataclass(frozen=True)
class Int4Matmul:
    """The same for an int4 weight, each integer already multiplied by its group's scale.

    Attributes:
        float_OI: [O, I], what the product is made in: exact in float32; rounded (by a part in 500) in bfloat16.
        bias_O: [O] float32, or None.
    """

    float_OI: Tensor
    bias_O: Tensor | None

    @classmethod
    def of(cls, weight_OI: Tensor, bias_O: Tensor | None, compute: torch.dtype) -> Int4Matmul:
        """Quantize a float32 weight."""
        return cls(numerics.fake_quantize_int4(weight_OI).to(compute), bias_O)

    def answer(self, rows: QuantizedRows) -> Tensor:
        """[T, O] float32."""
        centred_TI = rows.centred(self.float_OI.dtype)
        count = len(centred_TI)
        if 0 < count < _LEAST:
            centred_TI = functional.pad(centred_TI, (0, 0, 0, _LEAST - count))
        y_TO = matmul(centred_TI, self.float_OI)[:count].float().mul_(rows.scale_T1)
        return y_TO if self.bias_O is None else y_TO.add_(self.bias_O)

    def gradient(self, gradient_TO: Tensor) -> Tensor:
        """[T, O] -> [T, I], as that of int8."""
        return matmul(gradient_TO, self.float_OI.T)


class IntegerLinear(nn.Module):
    """A linear layer of an int8 or int4 weight, whose inputs are quantized to int8, row by row, as they come.

    Buffers, also read by the exports:
        weight_OI: [O, I] int8; for int4 in [-8, 7].
        scale_O, sums_O: [O] float32 and int32, for int8.
        scale_OG: [O, G] float32 (bfloat16-rounded), for int4; G = ceil(I / 32).
        bias_O: [O] float32, or None.

    Attributes:
        bits: 8 or 4.
        group: 32 for int4, None for int8.
        activations: how its inputs are quantized.
    """

    weight_OI: Tensor
    scale_O: Tensor
    sums_O: Tensor
    scale_OG: Tensor
    bias_O: Tensor | None
    float_OI: Tensor  # scale * integer for int4, exact; in memory alone

    def __init__(
        self,
        weight_OI: Tensor,
        scale: Tensor,
        bias_O: Tensor | None,
        bits: Bits,
        activations: Activations = "asymmetric",
    ) -> None:
        super().__init__()
        self.bits, self.group, self.activations = bits, None if bits == 8 else GROUP, activations
        self.register_buffer("weight_OI", weight_OI)
        self.register_buffer("bias_O", bias_O)
        if bits == 8:
            self.register_buffer("scale_O", scale)
            self.register_buffer("sums_O", numerics.column_sums(weight_OI))
        else:
            self.register_buffer("scale_OG", scale)
            self.register_buffer("float_OI", numerics.dequantize_int4(weight_OI, scale), persistent=False)

    @classmethod
    def of(
        cls, weight_OI: Tensor, bias_O: Tensor | None, bits: Bits, activations: Activations = "asymmetric"
    ) -> IntegerLinear:
        """Quantize a float32 weight."""
        quantize = numerics.quantize_int8 if bits == 8 else numerics.quantize_int4
        return cls(*quantize(weight_OI.detach()), None if bias_O is None else bias_O.detach(), bits, activations)

    @property
    def in_features(self) -> int:
        """I."""
        return self.weight_OI.shape[1]

    @property
    def out_features(self) -> int:
        """O."""
        return self.weight_OI.shape[0]

    @property
    def matmul(self) -> Int8Matmul | Int4Matmul:
        """What it computes with."""
        if self.bits == 8:
            return Int8Matmul(self.weight_OI, self.scale_O, self.sums_O, self.bias_O)
        return Int4Matmul(self.float_OI, self.bias_O)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O], float32."""
        rows = numerics.quantize_rows(x.reshape(-1, self.in_features), self.activations)
        return self.matmul.answer(rows).view(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """For print(model)."""
        return f"in={self.in_features}, out={self.out_features}, bits={self.bits}, activations={self.activations}"


class IntegerEmbedding(nn.Module):
    """An embedding table of int8 rows, each with its scale.

    Buffers:
        weight_VD: [V, D] int8.
        scale_V: [V] float32.

    Attributes:
        factor: what the model multiplies its embeddings by (Gemma: the square root of D); 1 elsewhere.
    """

    weight_VD: Tensor
    scale_V: Tensor

    def __init__(self, weight_VD: Tensor, scale_V: Tensor, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor
        self.register_buffer("weight_VD", weight_VD)
        self.register_buffer("scale_V", scale_V)

    @classmethod
    def of(cls, weight_VD: Tensor, factor: float = 1.0) -> IntegerEmbedding:
        """Quantize a float32 table."""
        return cls(*numerics.quantize_int8(weight_VD.detach()), factor)

    def forward(self, ids: Tensor) -> Tensor:
        """[...] int64 -> [..., D] float32: (integer * scale) * factor."""
        rows = self.weight_VD[ids] * self.scale_V[ids][..., None]
        return rows if self.factor == 1.0 else rows.mul_(self.factor)

    def extra_repr(self) -> str:
        """For print(model)."""
        return f"{self.weight_VD.shape[0]}, {self.weight_VD.shape[1]}, bits=8"


def has_integers(model: nn.Module) -> bool:
    """Whether any layer of the model computes with integers."""
    return any(isinstance(module, IntegerLinear) for module in model.modules())
