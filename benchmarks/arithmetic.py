"""An upper limit of training speed: the necessary matrix products, at the rate at which the machine computes them.

Only the multiply-adds that the task needs are counted: no padding, and in the last layer only keys and values of all
tokens and the other rows of the pooled ones. Norms, activations, softmax, dropout, loss, optimizer and DeBERTa's
relative positions are not counted, so no implementation can reach the limit.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from shapes import Shape

_ROWS = (320, 352, 384, 400)


def multiply_adds(shape: Shape, lengths_N: np.ndarray, *, rank: int | None) -> float:
    """Mean multiply-adds of a training step, per example; `rank` is LoRA's, or None for a full fine-tune.

    A frozen linear layer needs its product and the gradient of its input; below the first adapted layer no gradient is
    needed. A trained one also needs the gradient of its weight. Each of LoRA's factors needs all three. Attention needs
    two products forward and four backward for each pair of a query and a key that it attends to.
    """
    config = shape.config(0)
    depth, tokens = config.num_hidden_layers, float(lengths_N.mean())
    total = 0.0
    for layer in range(depth):
        for name, (inputs, outputs) in layer_linears(shape).items():
            ending, rows = name.rpartition(".")[2], tokens
            if layer == depth - 1:
                share = shape.every_row.get(ending, 0.0)
                rows = share * tokens + (1 - share)
            first = layer == 0 and ending in shape.first
            if rank is None:
                total += 3 * rows * inputs * outputs
                continue
            total += (1 if first else 2) * rows * inputs * outputs
            if ending in shape.targets:
                total += 3 * rank * rows * (inputs + outputs) - (rows * rank * inputs if first else 0)
        total += 6 * config.hidden_size * _pairs(shape, lengths_N, pooled_only=layer == depth - 1)
    return total


def layer_linears(shape: Shape) -> dict[str, tuple[int, int]]:
    """Name within the layer -> (inputs, outputs), for the linear layers of one repeated layer."""
    from transformers import AutoModelForSequenceClassification
    from transformers.pytorch_utils import Conv1D

    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(shape.config(0))
    stack = next(m for m in model.base_model.modules() if isinstance(m, torch.nn.ModuleList))
    sizes: dict[str, tuple[int, int]] = {}
    for name, module in stack[0].named_modules():
        if isinstance(module, (torch.nn.Linear, Conv1D)):
            inputs, outputs = module.weight.shape if isinstance(module, Conv1D) else module.weight.shape[::-1]
            sizes[name] = (inputs, outputs)
    return sizes


def _pairs(shape: Shape, lengths_N: np.ndarray, *, pooled_only: bool) -> float:
    """Mean number of (query, key) pairs per text in one layer."""
    if pooled_only:
        return float(lengths_N.mean())
    causal = shape.model_type not in ("bert", "deberta-v2")
    return float((lengths_N * (lengths_N + 1) / 2 if causal else lengths_N**2).mean())


def matrix_rates(shape: Shape) -> dict[str, dict[str, Any]]:
    """Precision -> the machine's best rate for this model's own products, in GFLOP/s (two operations per multiply-add).

    `best` is the largest over products and kernels, with the weight in the cache: the strictest limit. `streamed` is
    the rate of all products of a layer, each on its best kernel, with the weights of all layers in turn as in a step.
    """
    rates: dict[str, dict[str, Any]] = {}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        best, operations, seconds = {"best": 0.0, "where": ""}, 0.0, 0.0
        for (inputs, outputs), count in Counter(layer_linears(shape).values()).items():
            fastest = 0.0
            for kernel, multiply in _kernels().items():
                for rows in _ROWS:
                    rate = _rate(multiply, rows, inputs, outputs, dtype, copies=1)
                    if rate > best["best"]:
                        best = {"best": rate, "where": f"{kernel}, {rows} x {inputs} x {outputs}"}
                fastest = max(fastest, _rate(multiply, _ROWS[1], inputs, outputs, dtype, copies=12))
            operations += count * inputs * outputs
            seconds += count * inputs * outputs / fastest
        rates[precision] = best | {"streamed": operations / seconds}
    return rates


def _kernels() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    kernels: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"torch": functional.linear}
    if torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        kernels["oneDNN"] = lambda x, weight: torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return kernels


def _rate(
    multiply: Callable[[Tensor, Tensor], Tensor], rows: int, inputs: int, outputs: int, dtype: torch.dtype, copies: int
) -> float:
    """GFLOP/s of [rows, inputs] times [inputs, outputs], the fastest of five repetitions."""
    x = torch.randn(rows, inputs).to(dtype)
    weights = [torch.randn(outputs, inputs).to(dtype) for _ in range(copies)]
    operations = 2 * rows * inputs * outputs * copies
    seconds = []
    with torch.no_grad():
        for repetition in range(7):
            began = time.perf_counter()
            for weight in weights:
                multiply(x, weight)
            if repetition >= 2:
                seconds.append(time.perf_counter() - began)
    return operations / min(seconds) / 1e9
