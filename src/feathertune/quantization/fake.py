"""A linear layer that answers as its quantized self will, and can still be trained: quantization-aware training.

Both the input and the merged weight W + s B A are quantized (Jacob et al. 2018, arXiv:1712.05877), with the numbers of
`numerics`. Since it is the merged weight that is quantized, merging changes nothing. The gradient passes the rounding
as if it were not there (the straight-through estimator, Bengio et al. 2013, arXiv:1308.3432), and scales count as
constants. So dL/dW of the merged weight [O, I] is never built: A and B get LoRA's own gradients, on quantized inputs.

LoRA's dropout is not applied here. It drops inputs of s B A alone, and in the merged weight W and s B A have one input
and one rounding; a dropped s B A would train another weight than the one that is rounded. The base's dropout stays.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from feathertune.kernels.matmul import matmul
from feathertune.model.adapted_linear import AdaptedLinear, TrainedLinear
from feathertune.quantization import numerics
from feathertune.quantization.integer import Int4Matmul, Int8Matmul, IntegerLinear
from feathertune.quantization.numerics import Activations, Bits, QuantizedRows


class FakeQuantizedLinear(TrainedLinear):
    """`fq(x) fq(W + s B A)' + b`, computed with the integers that `merged` hands out.

    What is trained is what was trained in the layer it replaces: the factors, or a head's own weight and bias, or
    nothing, and then its integers are made once and the float weight is let go.

    Args:
        linear: the layer to replace, in float32.
        bits: of the weight.
        compute: dtype of the answer and of the products of the backward pass.
        activations: how its inputs are quantized.
    """

    def __init__(
        self,
        linear: nn.Linear | AdaptedLinear,
        bits: Bits,
        compute: torch.dtype,
        activations: Activations = "asymmetric",
    ) -> None:
        super().__init__()
        if linear.weight.dtype != torch.float32:
            raise TypeError("what is quantized is the float32 weight, not a rounded one")
        self.bits, self.compute, self.activations = bits, compute, activations
        self.bias: Tensor | None = linear.bias
        self.lora_A: nn.Parameter | None = None
        self.lora_B: nn.Parameter | None = None
        self.weight: Tensor | None = linear.weight
        self.scaling = 0.0
        self._frozen: tuple[Tensor, Tensor, Int8Matmul | Int4Matmul] | None = None  # integers, scales, product
        if isinstance(linear, AdaptedLinear):
            self.lora_A, self.lora_B, self.scaling = linear.lora_A, linear.lora_B, linear.scaling
        elif not linear.weight.requires_grad:
            integer = IntegerLinear.of(linear.weight, linear.bias, bits)
            if bits == 8:
                self._frozen = integer.weight_OI, integer.scale_O, integer.matmul
            else:
                product_4 = Int4Matmul(integer.float_OI.to(compute), integer.bias_O)
                self._frozen = integer.weight_OI, integer.scale_OG, product_4
            self.weight = None
        self.train(linear.training)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O] in `compute`."""
        y: Tensor = _FakeQuantized.apply(  # type: ignore[no-untyped-call]
            x,
            self._product(),
            self.weight,
            self.bias,
            self.lora_A,
            self.lora_B,
            self.scaling,
            self.compute,
            self.activations,
        )
        return y

    def merged(self) -> IntegerLinear:
        """The integer layer that answers just so (for int4 in bfloat16: to the rounding of that)."""
        bias_O = None if self.bias is None else self.bias.detach()
        if self._frozen is not None:
            return IntegerLinear(*self._frozen[:2], bias_O, self.bits, self.activations)
        return IntegerLinear.of(self._weight_now(), bias_O, self.bits, self.activations)

    def _product(self) -> Int8Matmul | Int4Matmul:
        if self._frozen is not None:
            return self._frozen[2]
        bias_O = None if self.bias is None else self.bias.detach()
        if self.bits == 8:
            return Int8Matmul.of(self._weight_now(), bias_O)
        return Int4Matmul.of(self._weight_now(), bias_O, self.compute)

    def _weight_now(self) -> Tensor:
        """[O, I] float32: W + s B A."""
        assert self.weight is not None
        weight_OI = self.weight.detach()
        if self.lora_A is None or self.lora_B is None:
            return weight_OI
        return torch.addmm(weight_OI, self.lora_B.detach(), self.lora_A.detach(), alpha=self.scaling)

    def extra_repr(self) -> str:
        """For print(model)."""
        return f"bits={self.bits}, activations={self.activations}" + (
            f", scaling={self.scaling:g}" if self.lora_A is not None else ""
        )


class _FakeQuantized(torch.autograd.Function):
    """The integer layer's answer, and straight-through gradients of weight, bias and factors (not read here)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weights: Int8Matmul | Int4Matmul,
        weight_OI: Tensor | None,  # noqa: ARG004 - named for its gradient
        bias_O: Tensor | None,  # noqa: ARG004 - so is this
        a_RI: Tensor | None,
        b_OR: Tensor | None,
        scaling: float,
        compute: torch.dtype,
        activations: Activations,
    ) -> Tensor:
        """[..., I] -> [..., O] in `compute`: what the integers answer."""
        rows = numerics.quantize_rows(x.reshape(-1, x.shape[-1]).float(), activations)
        y_TO = weights.answer(rows)
        ctx.save_for_backward(rows.q_TI, rows.scale_T1, rows.zero_T1, a_RI, b_OR)
        ctx.weights, ctx.scaling, ctx.compute, ctx.shape, ctx.dtype = weights, scaling, compute, x.shape, x.dtype
        return y_TO.to(compute).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """[..., O] -> the gradients of x, weight, bias, A and B where they are wanted, as if nothing were rounded."""
        q_TI, scale_T1, zero_T1, a_RI, b_OR = ctx.saved_tensors
        gradient_TO = gradient.reshape(-1, gradient.shape[-1])
        gradient_x = gradient_weight = gradient_bias = gradient_a = gradient_b = None
        if ctx.needs_input_grad[0]:
            gradient_x = ctx.weights.gradient(gradient_TO).to(ctx.dtype).view(ctx.shape)
        if a_RI is not None or ctx.needs_input_grad[2]:
            rows = QuantizedRows(q_TI, scale_T1, zero_T1)
            x_TI = rows.centred(torch.float32).mul_(scale_T1).to(ctx.compute)
        if a_RI is not None:
            low_gradient_TR = matmul(gradient_TO, b_OR.to(ctx.compute).T).mul_(ctx.scaling)
            low_TR = matmul(x_TI, a_RI.to(ctx.compute)).mul_(ctx.scaling)
            gradient_a = (low_gradient_TR.T @ x_TI).to(a_RI.dtype)
            gradient_b = (low_TR.T @ gradient_TO).T.to(b_OR.dtype)
        if ctx.needs_input_grad[2]:
            gradient_weight = (gradient_TO.T @ x_TI).float()
        if ctx.needs_input_grad[3]:
            gradient_bias = gradient_TO.sum(0, dtype=torch.float32)
        return gradient_x, None, gradient_weight, gradient_bias, gradient_a, gradient_b, None, None, None
