"""OpenVINO as a runtime of ONNX exports, on the CPU."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from feathertune.errors import UserError, in_short

OpenvinoPrecision = Literal["f32", "bf16"]


class OpenvinoRuntime:
    """model.onnx in OpenVINO.

    Precision and quantization are always stated. OpenVINO's own defaults are bf16 where the processor has it, and int8
    activations for int4 weights, whatever the file says.
    """

    def __init__(self, path: Path, threads: int | None = None, precision: OpenvinoPrecision = "f32") -> None:
        """Compile the model.

        Args:
            path: the ONNX file.
            threads: by default OpenVINO chooses.
            precision: in which float products are computed.

        Raises:
            UserError: OpenVINO is not installed, or cannot load the model.
        """
        openvino = require_openvino()
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            compiled = openvino.Core().compile_model(str(path), "CPU", options)
        except RuntimeError as error:
            raise UserError(
                f"OpenVINO {openvino.__version__.partition('-')[0]} cannot load the model: {in_short(error)}",
                where=str(path),
                fix="Use --runtime onnxruntime, or export the run again: exports of older versions have operators that "
                "OpenVINO does not know.",
            ) from None
        self._request: Any = compiled.create_infer_request()
        self._lock = Lock()  # it takes one input at a time

    def logits(
        self, ids_BL: npt.NDArray[np.int64], mask_BL: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.float32]:
        """[B, L] -> [B, C]; `mask_BL` is 1 for a token and 0 for padding on the right, by default there is none."""
        mask_BL = np.ones_like(ids_BL) if mask_BL is None else mask_BL
        with self._lock:
            outputs = self._request.infer({"input_ids": ids_BL, "attention_mask": mask_BL})
            return np.array(outputs["logits"], dtype=np.float32)


def require_openvino() -> Any:
    """The imported package. Raises a UserError that names the extra if it is not installed."""
    try:
        import openvino
    except ImportError:
        raise UserError(
            "--runtime openvino needs openvino, which is not installed", fix="pip install 'feathertune[openvino]'"
        ) from None
    return openvino
