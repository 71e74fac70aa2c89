"""Integer layers, which a quantized model consists of. See docs/NUMERICS.md."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from feathertune.kernels.matmul import matmul
from feathertune.quantization import numerics
from feathertune.quantization.numerics import GROUP, Activations, Bits, QuantizedRows

_MIN_ROWS = 16  # of a float product: fewer go to another kernel, which adds in another order (for oneDNN, a single row)
_CHUNK_ROWS = 512  # computed at a time: their [T, O] stays in the cache between the integer product and its rescaling


@dataclass(frozen=True)
class Int8Matmul:
    """y = x W' + b for quantized rows and an int8 weight, exact up to the rescaling.

    Attributes:
        weight_OI: [O, I] int8.
        scale_O: [O] float32.
        sums_O: [O] int32, the sum of each output's integers.
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

    def forward(self, rows: QuantizedRows) -> Tensor:
        """[T, O] float32."""
        y_TO = torch.empty(len(rows.q_TI), len(self.weight_OI), device=rows.q_TI.device)
        for begin in range(0, len(y_TO), _CHUNK_ROWS):
            chunk, chunk_TO = rows[begin : begin + _CHUNK_ROWS], y_TO[begin : begin + _CHUNK_ROWS]
            chunk_TO.copy_(numerics.integer_matmul(chunk, self.weight_OI, self.sums_O))
            numerics.rescale(chunk_TO, chunk, self.scale_O, self.bias_O)
        return y_TO

    def input_gradient(self, gradient_TO: Tensor) -> Tensor:
        """[T, O] -> [T, I]: the gradient of the inputs as if nothing were rounded, in `gradient_TO`'s dtype."""
        dtype = gradient_TO.dtype
        return matmul((gradient_TO * self.scale_O).to(dtype), self.weight_OI.to(dtype).T)


@dataclass(frozen=True)
class Int4Matmul:
    """The same for an int4 weight, with each integer already multiplied by its group's scale.

    Attributes:
        float_OI: [O, I], in the dtype of the product: exact in float32, rounded by up to 1/500 in bfloat16.
        bias_O: [O] float32, or None.
    """

    float_OI: Tensor
    bias_O: Tensor | None

    @classmethod
    def of(cls, weight_OI: Tensor, bias_O: Tensor | None, compute: torch.dtype) -> Int4Matmul:
        """Quantize a float32 weight."""
        return cls(numerics.fake_quantize_int4(weight_OI).to(compute), bias_O)

    def forward(self, rows: QuantizedRows) -> Tensor:
        """[T, O] float32."""
        centred_TI = rows.centred(self.float_OI.dtype)
        count = len(centred_TI)
        if 0 < count < _MIN_ROWS:
            centred_TI = functional.pad(centred_TI, (0, 0, 0, _MIN_ROWS - count))
        y_TO = matmul(centred_TI, self.float_OI)[:count].float().mul_(rows.scale_T1)
        return y_TO if self.bias_O is None else y_TO.add_(self.bias_O)

    def input_gradient(self, gradient_TO: Tensor) -> Tensor:
        """[T, O] -> [T, I], as for int8."""
        return matmul(gradient_TO, self.float_OI.T)


class IntegerLinear(nn.Module):
    """A linear layer with an int8 or int4 weight, whose inputs are quantized to int8 row by row.

    Buffers, which exports also read:
        weight_OI: [O, I] int8; for int4 in [-8, 7].
        scale_O, sums_O: [O] float32 and int32, for int8.
        scale_OG: [O, G] float32 (bfloat16-rounded), for int4; G = ceil(I / 32).
        bias_O: [O] float32, or None.

    Attributes:
        bits: 8 or 4.
        group: 32 for int4, None for int8.
        activations: how inputs are quantized.
    """

    weight_OI: Tensor
    scale_O: Tensor
    sums_O: Tensor
    scale_OG: Tensor
    bias_O: Tensor | None
    float_OI: Tensor  # scale * integer for int4, exact; not saved

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
        """The matrix product of this layer."""
        if self.bits == 8:
            return Int8Matmul(self.weight_OI, self.scale_O, self.sums_O, self.bias_O)
        return Int4Matmul(self.float_OI, self.bias_O)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O], float32."""
        rows = numerics.quantize_rows(x.reshape(-1, self.in_features), self.activations)
        return self.matmul.forward(rows).view(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """For print(model)."""
        return f"in={self.in_features}, out={self.out_features}, bits={self.bits}, activations={self.activations}"


class IntegerEmbedding(nn.Module):
    """An embedding table of int8 rows with one scale each.

    Buffers:
        weight_VD: [V, D] int8.
        scale_V: [V] float32.

    Attributes:
        factor: the model's factor for its embeddings (the square root of D for Gemma, 1 for others).
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
    """Whether the model has integer layers."""
    return any(isinstance(module, IntegerLinear) for module in model.modules())
