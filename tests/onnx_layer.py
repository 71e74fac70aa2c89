"""One layer in ONNX, as an export has it."""

from typing import Any

import torch


def layer_proto(layer: torch.nn.Module, x_TI: torch.Tensor) -> Any:
    """The ONNX model of a layer with the input `x` [rows, I], before anything is done to its graph."""
    from feathertune.export import onnx_operators  # which needs the onnx extra

    program: Any = torch.onnx.export(
        layer,
        (x_TI,),
        input_names=["x"],
        dynamic_shapes=({0: torch.export.Dim("rows")},),
        opset_version=20,
        custom_translation_table=onnx_operators.translations(),
        dynamo=True,
        verbose=False,
    )
    return program.model_proto
