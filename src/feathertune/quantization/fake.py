"""Fake quantization for quantization-aware training (QAT): a trainable layer with the outputs of its integer version.

Both the input and the merged weight W + s B A are quantized (Jacob et al. 2018, arXiv:1712.05877) as `numerics`
specifies. Because the merged weight is quantized, merging changes nothing. Gradients ignore the rounding (the
straight-through estimator, Bengio et al. 2013, arXiv:1308.3432) and treat scales as constants. So dL/dW of the merged
weight [O, I] is never computed: A and B get LoRA's usual gradients, for quantized inputs.

LoRA's dropout is not applied here. It drops inputs of s B A only, but in the merged weight W and s B A share one input
and one rounding, so dropout would train a weight other than the one that is rounded. The base's own dropout stays.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from feathertune.kernels.matmul import matmul
from feathertune.model.adapted_linear import AdaptedLinear, MergeableLinear
from feathertune.quantization import numerics
from feathertune.quantization.integer import Int4Matmul, Int8Matmul, IntegerLinear
from feathertune.quantization.numerics import Activations, Bits, QuantizedRows


class FakeQuantizedLinear(MergeableLinear):
    """`fq(x) fq(W + s B A)' + b`, computed with the same integers that `merged` returns.

    It trains what the replaced layer trained: the factors, or a head's weight and bias, or nothing. In the last case
    the integers are computed once, and the float weight is freed.

    Args:
        linear: the layer to replace, in float32.
        bits: of the weight.
        compute_dtype: dtype of the output and of the products of the backward pass.
        activations: how inputs are quantized.
    """

    def __init__(
        self,
        linear: nn.Linear | AdaptedLinear,
        bits: Bits,
        compute_dtype: torch.dtype,
        activations: Activations = "asymmetric",
    ) -> None:
        super().__init__()
        if linear.weight.dtype != torch.float32:
            raise TypeError("only float32 weights are quantized, not weights that were rounded before")
        self.bits, self.compute_dtype, self.activations = bits, compute_dtype, activations
        self.bias: Tensor | None = linear.bias
        self.lora_A: nn.Parameter | None = None
        self.lora_B: nn.Parameter | None = None
        self.weight: Tensor | None = linear.weight
        self.scaling = 0.0
        self._frozen: tuple[Tensor, Tensor, Int8Matmul | Int4Matmul] | None = None  # integers, scales, matmul
        if isinstance(linear, AdaptedLinear):
            self.lora_A, self.lora_B, self.scaling = linear.lora_A, linear.lora_B, linear.scaling
        elif not linear.weight.requires_grad:
            integer = IntegerLinear.of(linear.weight, linear.bias, bits)
            if bits == 8:
                self._frozen = integer.weight_OI, integer.scale_O, integer.matmul
            else:
                matmul_4 = Int4Matmul(integer.float_OI.to(compute_dtype), integer.bias_O)
                self._frozen = integer.weight_OI, integer.scale_OG, matmul_4
            self.weight = None
        self.train(linear.training)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O] in the compute dtype."""
        y: Tensor = _FakeQuantized.apply(  # type: ignore[no-untyped-call]
            x,
            self._integer_matmul(),
            self.weight,
            self.bias,
            self.lora_A,
            self.lora_B,
            self.scaling,
            self.compute_dtype,
            self.activations,
        )
        return y

    def merged(self) -> IntegerLinear:
        """The integer layer with the same outputs (up to bfloat16 rounding for int4 in bfloat16)."""
        bias_O = None if self.bias is None else self.bias.detach()
        if self._frozen is not None:
            return IntegerLinear(*self._frozen[:2], bias_O, self.bits, self.activations)
        return IntegerLinear.of(self._merged_weight(), bias_O, self.bits, self.activations)

    def _integer_matmul(self) -> Int8Matmul | Int4Matmul:
        if self._frozen is not None:
            return self._frozen[2]
        bias_O = None if self.bias is None else self.bias.detach()
        if self.bits == 8:
            return Int8Matmul.of(self._merged_weight(), bias_O)
        return Int4Matmul.of(self._merged_weight(), bias_O, self.compute_dtype)

    def _merged_weight(self) -> Tensor:
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
    """The outputs of the integer layer, with straight-through gradients of weight, bias and factors."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        integers: Int8Matmul | Int4Matmul,
        weight_OI: Tensor | None,  # noqa: ARG004 - only its gradient is needed
        bias_O: Tensor | None,  # noqa: ARG004 - likewise
        a_RI: Tensor | None,
        b_OR: Tensor | None,
        scaling: float,
        compute_dtype: torch.dtype,
        activations: Activations,
    ) -> Tensor:
        """[..., I] -> [..., O] in `compute_dtype`."""
        rows = numerics.quantize_rows(x.reshape(-1, x.shape[-1]).float(), activations)
        y_TO = integers.forward(rows)
        ctx.save_for_backward(rows.q_TI, rows.scale_T1, rows.zero_T1, a_RI, b_OR)
        ctx.integers, ctx.scaling, ctx.compute_dtype = integers, scaling, compute_dtype
        ctx.shape, ctx.dtype = x.shape, x.dtype
        return y_TO.to(compute_dtype).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """[..., O] -> the gradients of x, weight, bias, A and B that are needed, as if nothing were rounded."""
        q_TI, scale_T1, zero_T1, a_RI, b_OR = ctx.saved_tensors
        gradient_TO = gradient.reshape(-1, gradient.shape[-1])
        gradient_x = gradient_weight = gradient_bias = gradient_a = gradient_b = None
        if ctx.needs_input_grad[0]:
            gradient_x = ctx.integers.input_gradient(gradient_TO).to(ctx.dtype).view(ctx.shape)
        if a_RI is not None or ctx.needs_input_grad[2]:
            rows = QuantizedRows(q_TI, scale_T1, zero_T1)
            x_TI = rows.centred(torch.float32).mul_(scale_T1).to(ctx.compute_dtype)
        if a_RI is not None:
            low_gradient_TR = matmul(gradient_TO, b_OR.to(ctx.compute_dtype).T).mul_(ctx.scaling)
            low_TR = matmul(x_TI, a_RI.to(ctx.compute_dtype)).mul_(ctx.scaling)
            gradient_a = (low_gradient_TR.T @ x_TI).to(a_RI.dtype)
            gradient_b = (low_TR.T @ gradient_TO).T.to(b_OR.dtype)
        if ctx.needs_input_grad[2]:
            gradient_weight = (gradient_TO.T @ x_TI).float()
        if ctx.needs_input_grad[3]:
            gradient_bias = gradient_TO.sum(0, dtype=torch.float32)
        return gradient_x, None, gradient_weight, gradient_bias, gradient_a, gradient_b, None, None, None
