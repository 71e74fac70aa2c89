"""A quantized model's layers in the form that becomes ONNX, with weights in the layout that its operators need.

Each computes with one `feathertune::` operator; `onnx_operators` defines its translation to ONNX.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from feathertune.quantization import numerics
from feathertune.quantization.integer import IntegerEmbedding, IntegerLinear
from feathertune.quantization.numerics import GROUP, WEIGHT_RANGE


class OnnxLinear8(nn.Module):
    """An int8 `IntegerLinear` with its weight stored as [K, O].

    Symmetric activations need no correction: K is I. For asymmetric ones, rows below the weight correct for the zero
    points: they are multiplied by the row's zero point, and add up to minus the sum of each output's weights. So one
    integer product computes sum q w - z sum w, which onnxruntime fuses with what comes after it.
    """

    def __init__(self, linear: IntegerLinear) -> None:
        super().__init__()
        self.activations = linear.activations
        weight_KO = linear.weight_OI.T
        if linear.activations == "asymmetric":
            weight_KO = torch.cat([weight_KO, rows_that_add_up_to(-linear.sums_O)])
        self.register_buffer("weight_KO", weight_KO.contiguous())
        self.register_buffer("scale_O", linear.scale_O)
        self.register_buffer("bias_O", linear.bias_O)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O]."""
        y: Tensor = torch.ops.feathertune.linear8(
            x, _one_each(x), self.weight_KO, self.scale_O, self.bias_O, self.activations
        )
        return y


def rows_that_add_up_to(sums_O: Tensor) -> Tensor:
    """[O] integers -> [N, O] int8 in [-127, 127], N as small as it can be and at least 1; a column adds up to its sum.

    MiniLM's layers need 5% more rows than they have inputs (15% at most), and any layer 100% at most.
    """
    highest = WEIGHT_RANGE[8][1]
    rows = max(1, math.ceil(int(sums_O.abs().max()) / highest))
    shares_NO = (sums_O[None].long() + torch.arange(rows)[:, None]) // rows  # Hermite's identity
    return shares_NO.to(torch.int8)


class OnnxLinear4(nn.Module):
    """An int4 `IntegerLinear` for onnxruntime's MatMulNBits: two weights per byte, scales stored as bfloat16."""

    scale_OG: Tensor

    def __init__(self, linear: IntegerLinear) -> None:
        super().__init__()
        self.activations = linear.activations
        outputs, groups = linear.scale_OG.shape
        padded_OI = functional.pad(linear.weight_OI, (0, groups * GROUP - linear.in_features))
        packed = numerics.pack_int4(padded_OI)
        self.register_buffer("packed", packed.reshape(outputs, groups, GROUP // 2).contiguous())
        self.register_buffer("scale_OG", linear.scale_OG.bfloat16())
        self.register_buffer("bias_O", linear.bias_O)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O]."""
        y: Tensor = torch.ops.feathertune.linear4(
            x, _one_each(x), self.packed, self.scale_OG.float(), self.bias_O, self.activations
        )
        return y


class PlainOnnxLinear4(nn.Module):
    """An int4 `IntegerLinear` for standard operators, with its weight stored as [I, O].

    A byte holds the weights of one output for the inputs i and I / 2 + i, so that unpacking copies whole rows.
    """

    packed: Tensor
    scale_GO: Tensor

    def __init__(self, linear: IntegerLinear) -> None:
        super().__init__()
        self.activations = linear.activations
        padded_OI = functional.pad(linear.weight_OI, (0, -linear.in_features % GROUP))
        first_IO, second_IO = (padded_OI.T + 8).to(torch.uint8).chunk(2)
        self.register_buffer("packed", (first_IO | second_IO << 4).contiguous())
        self.register_buffer("scale_GO", linear.scale_OG.T.bfloat16().contiguous())
        self.register_buffer("bias_O", linear.bias_O)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O]."""
        y: Tensor = torch.ops.feathertune.plain_linear4(
            x, _one_each(x), self.packed, self.scale_GO.float(), self.bias_O, self.activations
        )
        return y


class OnnxEmbedding(nn.Module):
    """An `IntegerEmbedding` as two lookups and a multiplication."""

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


def replace_integer_layers(model: nn.Module, plain_int4: bool = False) -> None:
    """Replace the model's integer layers by these. `plain_int4`: standard operators multiply int4 weights too."""
    kinds = {8: OnnxLinear8, 4: PlainOnnxLinear4 if plain_int4 else OnnxLinear4}
    for name, module in list(model.named_modules()):
        if isinstance(module, IntegerLinear):
            model.set_submodule(name, kinds[module.bits](module))
        elif isinstance(module, IntegerEmbedding):
            model.set_submodule(name, OnnxEmbedding(module))


def _one_each(x: Tensor) -> Tensor:
    """[..., 1]: a one for each row, the same for all layers, so that the runtime makes them once."""
    return torch.ones(*x.shape[:-1], 1)


@torch.library.custom_op("feathertune::linear8", mutates_args=())
def linear8(
    x: Tensor, _ones: Tensor, weight_KO: Tensor, scale_O: Tensor, bias_O: Tensor | None, activations: str
) -> Tensor:
    """What `IntegerLinear` computes with int8 weights. `_ones` is used by ONNX only."""
    rows = numerics.quantize_rows(x.reshape(-1, x.shape[-1]), activations)  # type: ignore[arg-type]
    weight_IO, corrections_NO = weight_KO[: x.shape[-1]], weight_KO[x.shape[-1] :]
    sums_O = -corrections_NO.sum(0, dtype=torch.int32)
    n_TO = numerics.integer_matmul(rows, weight_IO.T.contiguous(), sums_O)
    return numerics.rescale(n_TO.float(), rows, scale_O, bias_O).reshape(*x.shape[:-1], -1)


@torch.library.custom_op("feathertune::linear4", mutates_args=())
def linear4(
    x: Tensor, _ones: Tensor, packed: Tensor, scale_OG: Tensor, bias_O: Tensor | None, activations: str
) -> Tensor:
    """What `IntegerLinear` computes with int4 weights. `_ones` is used by ONNX only."""
    q_OI = numerics.unpack_int4(packed.flatten(1), x.shape[-1])
    return _linear4(x, q_OI, scale_OG, bias_O, activations)


@torch.library.custom_op("feathertune::plain_linear4", mutates_args=())
def plain_linear4(
    x: Tensor, _ones: Tensor, packed: Tensor, scale_GO: Tensor, bias_O: Tensor | None, activations: str
) -> Tensor:
    """The same for `PlainOnnxLinear4`."""
    q_OI = torch.cat([packed & 15, packed >> 4]).T[:, : x.shape[-1]].to(torch.int8) - 8
    return _linear4(x, q_OI, scale_GO.T, bias_O, activations)


def _linear4(x: Tensor, q_OI: Tensor, scale_OG: Tensor, bias_O: Tensor | None, activations: str) -> Tensor:
    rows = numerics.quantize_rows(x.reshape(-1, x.shape[-1]), activations)  # type: ignore[arg-type]
    y_TO = (rows.centred(torch.float32) @ numerics.dequantize_int4(q_OI, scale_OG).T) * rows.scale_T1
    return (y_TO if bias_O is None else y_TO + bias_O).reshape(*x.shape[:-1], -1)


@linear8.register_fake
def _(x: Tensor, _ones: Tensor, weight_KO: Tensor, *_: object) -> Tensor:
    return x.new_empty(*x.shape[:-1], weight_KO.shape[1])


@linear4.register_fake
def _(x: Tensor, _ones: Tensor, packed: Tensor, *_: object) -> Tensor:
    return x.new_empty(*x.shape[:-1], packed.shape[0])


@plain_linear4.register_fake
def _(x: Tensor, _ones: Tensor, packed: Tensor, *_: object) -> Tensor:
    return x.new_empty(*x.shape[:-1], packed.shape[1])
