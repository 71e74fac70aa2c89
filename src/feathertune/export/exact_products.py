"""Whether onnxruntime multiplies uint8 by int8 exactly on this machine, shown by one known product.

On x86 without VNNI it adds pairs of products in 16 bits, which saturate, unless the session option `OPTION` is "1".
A file that leaves this to its reader has it among its `needs` in export.json (`ExportDescription`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from feathertune.errors import UserError

OPTION = "session.x64quantprecision"

INPUTS, OUTPUTS = 64, 32
EXACT = 255 * 127 * INPUTS  # every element: 255 and 127 are the largest factors
ROWS = (1, 8)  # a single row has a kernel of its own
# MatMulInteger(x [rows, 64] uint8, a constant [64, 32] int8 of 127), opset 20: tests/export/test_exact_products.py
# builds the same bytes with the onnx package, which need not be installed here.
MODEL = base64.b64decode(
    "CAk6kgEKLAoBcxIBdyIPQ29uc3RhbnRPZlNoYXBlKhMKBXZhbHVlKgcIARADSgF/oAEEChgKAXgKAXcSAXkiDU1hdE11bEludGVn"
    "ZXISAWcqGQgCEAdCAXNKEEAAAAAAAAAAIAAAAAAAAABaFAoBeBIPCg0IAhIJCgMSAXIKAghAYhQKAXkSDwoNCAYSCQoDEgFyCgII"
    "IEIECgAQFA=="
)

Product = Callable[[npt.NDArray[np.uint8], bool], npt.NDArray[np.int32]]


@cache
def option_is_needed() -> bool:
    """Whether the option has to be set here, computed once in a process. Raises UserError if not even it helps."""
    return needs_option(_product)


def needs_option(product: Product) -> bool:
    """The same for a runtime that computes `product(x, with the option)`."""
    for option in (False, True):
        if all(_is_exact(product(np.full((rows, INPUTS), 255, dtype=np.uint8), option)) for rows in ROWS):
            return option
    raise UserError(
        "onnxruntime's products of 8-bit integers are not exact on this machine, so the predictions would not be those "
        "that were evaluated",
        fix="Export the run without --tuned, or update onnxruntime.",
    )


def _is_exact(y_RO: npt.NDArray[np.int32]) -> bool:
    return bool((y_RO == EXACT).all())


def _product(x_RI: npt.NDArray[np.uint8], option: bool) -> npt.NDArray[np.int32]:
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if option:
        options.add_session_config_entry(OPTION, "1")
    session: Any = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
    y_RO: npt.NDArray[np.int32] = session.run(None, {"x": x_RI})[0]
    return y_RO
