"""Layers that hold integers and compute with them: what a converted model is made of. See docs/NUMERICS.md."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from feathertune.model.product import product
from feathertune.quantization import numerics
from feathertune.quantization.numerics import GROUP, Bits, QuantizedRows

_FEW = 512  # rows whose [T, O] stays in the cache between the integer product and its rescaling


class IntegerLinear(nn.Module):
    """A linear layer of an int8 or int4 weight, whose inputs are quantized to int8, row by row, as they come.

    Buffers, also read by the exports:
        weight_OI: [O, I] int8; for int4 in [-8, 7].
        scale_O, sums_O: [O] float32 and int32, for int8.
        scale_OG, sums_OG: [O, G] float32 (bfloat16-rounded) and int32, for int4; G = ceil(I / 32).
        bias_O: [O] float32, or None.

    Attributes:
        bits: 8 or 4.
        group: 32 for int4, None for int8.
    """

    weight_OI: Tensor
    scale_O: Tensor
    sums_O: Tensor
    scale_OG: Tensor
    sums_OG: Tensor
    bias_O: Tensor | None
    float_OI: Tensor  # scale * integer for int4, exact; in memory alone

    def __init__(self, weight_OI: Tensor, scale: Tensor, bias_O: Tensor | None, bits: Bits) -> None:
        super().__init__()
        self.bits, self.group = bits, None if bits == 8 else GROUP
        self.register_buffer("weight_OI", weight_OI)
        self.register_buffer("bias_O", bias_O)
        if bits == 8:
            self.register_buffer("scale_O", scale)
            self.register_buffer("sums_O", numerics.column_sums(weight_OI))
        else:
            self.register_buffer("scale_OG", scale)
            self.register_buffer("sums_OG", numerics.group_sums(weight_OI))
            float_OI = numerics.dequantize_int4(weight_OI, scale)
            self.register_buffer("float_OI", float_OI, persistent=False)

    @classmethod
    def of(cls, weight_OI: Tensor, bias_O: Tensor | None, bits: Bits) -> IntegerLinear:
        """Quantize a float32 weight."""
        quantize = numerics.quantize_int8 if bits == 8 else numerics.quantize_int4
        return cls(*quantize(weight_OI.detach()), None if bias_O is None else bias_O.detach(), bits)

    @property
    def in_features(self) -> int:
        """I."""
        return self.weight_OI.shape[1]

    @property
    def out_features(self) -> int:
        """O."""
        return self.weight_OI.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O], float32."""
        rows = numerics.quantize_rows(x.reshape(-1, self.in_features))
        return self.answer(rows).view(*x.shape[:-1], self.out_features)

    def answer(self, rows: QuantizedRows, compute: torch.dtype = torch.float32) -> Tensor:
        """[T, O] float32 for T quantized rows; the product of int4 in `compute` (int8's is of integers)."""
        if self.bits == 8:
            y_TO = torch.empty(len(rows.q_TI), self.out_features, device=rows.q_TI.device)
            for begin in range(0, len(y_TO), _FEW):
                part = slice(begin, begin + _FEW)
                few, part_TO = rows.some(part), y_TO[part]
                part_TO.copy_(numerics.integer_product(few, self.weight_OI, self.sums_O))
                numerics.rescale(part_TO, few.scale_T1, self.scale_O, self.bias_O)
            return y_TO
        centred_TI = rows.q_TI.to(compute).sub_(rows.zero_T1)  # of at most 8 significant bits, exact in bfloat16 too
        y_TO = product(centred_TI, self.float_OI.to(compute)).float().mul_(rows.scale_T1)
        return y_TO if self.bias_O is None else y_TO.add_(self.bias_O)

    def gradient(self, gradient_TO: Tensor) -> Tensor:
        """[T, O] -> [T, I]: the gradient of the inputs, as if rounding did nothing, in `gradient_TO`'s dtype."""
        dtype = gradient_TO.dtype
        if self.bits == 8:
            return product((gradient_TO * self.scale_O).to(dtype), self.weight_OI.to(dtype).T)
        return product(gradient_TO, self.float_OI.to(dtype).T)

    def extra_repr(self) -> str:
        """For print(model)."""
        return f"in={self.in_features}, out={self.out_features}, bits={self.bits}"


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
