"""ExecuTorch: a program for phones and embedded Linux whose linear layers XNNPACK computes.

A quantized layer is written in the operators that XNNPACK's partitioner maps to its own kernels: rows dynamically
quantized to int8 (qd8) times int8 weights per channel (qc8w) or int4 weights in groups of 32 (qb4w). The integers and
scales are the run's own: nothing is quantized here.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from feathertune.errors import UserError, in_short
from feathertune.export.onnx_layers import OnnxEmbedding
from feathertune.export.single import SingleTextClassifier
from feathertune.quantization.integer import IntegerEmbedding, IntegerLinear
from feathertune.quantization.numerics import ACTIVATION_RANGE, GROUP, WEIGHT_RANGE
from feathertune.system.files import atomic_path


class XnnpackLinear(nn.Module):
    """An `IntegerLinear` in operators that XNNPACK's partitioner knows."""

    bias_O: Tensor | None

    def __init__(self, linear: IntegerLinear) -> None:
        super().__init__()
        if linear.activations != "asymmetric":
            raise ValueError("XNNPACK quantizes activations asymmetrically, and this layer's are symmetric")
        self.bits = linear.bits
        scale = linear.scale_O if self.bits == 8 else linear.scale_OG
        # XNNPACK's int4 kernels need whole groups. Zeros change no row's range, which includes 0 anyway.
        self.missing = 0 if self.bits == 8 else scale.shape[1] * GROUP - linear.in_features
        self.register_buffer("weight_OI", functional.pad(linear.weight_OI, (0, self.missing)))
        self.register_buffer("scale", scale)
        self.register_buffer("zero", torch.zeros(scale.shape, dtype=torch.int8))
        self.register_buffer("bias_O", linear.bias_O)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O]."""
        if self.missing:
            x = functional.pad(x, (0, self.missing))
        ops: Any = torch.ops.quantized_decomposed
        scale, zero = ops.choose_qparams_per_token_asymmetric(x, torch.int8)
        q = ops.quantize_per_token(x, scale, zero, *ACTIVATION_RANGE, torch.int8)
        near = ops.dequantize_per_token(q, scale, zero, *ACTIVATION_RANGE, torch.int8, torch.float32)
        if self.bits == 8:
            weight_OI = ops.dequantize_per_channel(
                self.weight_OI, self.scale, self.zero, 0, *WEIGHT_RANGE[8], torch.int8
            )
        else:
            weight_OI = ops.dequantize_per_channel_group(
                self.weight_OI, self.scale, self.zero, *WEIGHT_RANGE[4], torch.int8, GROUP, torch.float32
            )
        return functional.linear(near, weight_OI, self.bias_O)


def write_executorch(classifier: SingleTextClassifier, path: Path) -> None:
    """Write the program: `input_ids` [1, L] int64, L from 1 to the maximum length -> logits [1, C].

    Raises:
        UserError: the extra is not installed.
    """
    require_executorch()
    _replace_integer_layers(classifier.model)
    classifier.eval()
    with _quiet():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

        length = torch.export.Dim("sequence", min=1, max=classifier.max_length)
        ids_1L = torch.ones(1, min(5, classifier.max_length), dtype=torch.int64)
        program = torch.export.export(classifier, (ids_1L,), dynamic_shapes=({1: length},), strict=False)
        lowered = to_edge_transform_and_lower(
            program,
            partitioner=[XnnpackPartitioner()],
            compile_config=EdgeCompileConfig(_check_ir_validity=False, _skip_dim_order=True),
        ).to_executorch()
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        lowered.write_to_file(file)


class ExecutorchRuntime:
    """model.pte in ExecuTorch's own runtime, one text at a time."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()  # the program takes one input at a time
        _import("executorch.runtime")
        with _quiet():
            from executorch.runtime import Runtime, Verification

            try:
                program = Runtime.get().load_program(path, verification=Verification.Minimal)
                self._forward: Any = program.load_method("forward")
            except RuntimeError as error:
                raise UserError(f"ExecuTorch cannot load the program: {in_short(error)}", where=str(path)) from None

    def logits(self, ids_BL: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """[B, L] -> [B, C]."""
        with self._lock:
            rows = [self._forward.execute([torch.from_numpy(ids_L[None])])[0].numpy().copy() for ids_L in ids_BL]
        return np.concatenate(rows)


def require_executorch() -> None:
    """Raise a UserError that names the extra if the exporter is not installed."""
    _import("executorch.exir")


def _import(name: str) -> None:
    """Import a part of executorch or raise a UserError; running a program needs far less of it than writing one."""
    try:
        with _quiet():
            importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"the target executorch needs {error.name}, which is not installed",
            fix="pip install 'feathertune[executorch]'",
        ) from None


def _replace_integer_layers(model: nn.Module) -> None:
    for name, module in list(model.named_modules()):
        if isinstance(module, IntegerLinear):
            model.set_submodule(name, XnnpackLinear(module))
        elif isinstance(module, IntegerEmbedding):
            model.set_submodule(name, OnnxEmbedding(module))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence executorch's and torchao's messages while they are imported and while they lower the model."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
