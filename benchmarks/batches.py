"""How much a text's logits depend on the other texts of its batch, for ONNX exports and for quantize_dynamic.

    python benchmarks/batches.py FP32_EXPORT INT8_EXPORT

Each validation text of the sample is predicted alone, and in a batch of --batch texts, padded on the right. The table
shows the differences between the two. onnxruntime's quantize_dynamic, applied to the first export, has one scale for
the activations of a whole batch, so that a text is rounded by the largest number in any of them; ours have one for each
token. Takes seconds.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np

from feathertune.data.rows import Row
from feathertune.data.sources import open_source
from feathertune.export.exported import ExportedModel
from feathertune.folders.export import ExportFolder
from measuring import in_columns


def main(arguments: list[str] | None = None) -> None:
    """Predict with the three models and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fp32", type=Path, help="an export to ONNX in float32")
    parser.add_argument("int8", type=Path, help="an export to ONNX in int8")
    parser.add_argument("--batch", type=int, default=25)
    options = parser.parse_args(arguments)
    rows = open_source("sample").splits["validation"].read(None)
    texts = [str(row.fields["content"]) for row in rows if isinstance(row, Row)]
    table = [("", "median", "maximum", "other labels")]
    with tempfile.TemporaryDirectory() as place:
        dynamic = quantize_dynamically(options.fp32, Path(place, "dynamic"))
        names = ("ours, fp32", "quantize_dynamic, int8", "ours, int8")
        for name, path in zip(names, (options.fp32, dynamic, options.int8), strict=True):
            difference_N, changed = dependence(ExportedModel(path), texts, options.batch)
            table.append((name, f"{np.median(difference_N):.1e}", f"{difference_N.max():.1e}", f"{changed:,}"))
    print(f"{len(texts):,} texts, logits alone and in batches of {options.batch}\n")
    print(in_columns(table))


def dependence(model: ExportedModel, texts: list[str], batch: int) -> tuple[np.ndarray, int]:
    """[N]: the largest change of each text's logits by its batch; and how many labels change."""
    alone_NC, together_NC = (model.padded_logits(texts, size) for size in (1, batch))
    changed = alone_NC.argmax(axis=1) != together_NC.argmax(axis=1)
    return np.abs(alone_NC - together_NC).max(axis=1), int(changed.sum())


def quantize_dynamically(export: Path, path: Path) -> Path:
    """A copy of an export whose model is quantized by onnxruntime's quantize_dynamic, with int8 weights."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    shutil.copytree(export, path, ignore=shutil.ignore_patterns("*.onnx"))
    quantize_dynamic(ExportFolder(export).onnx, path / "model.onnx", weight_type=QuantType.QInt8)
    return path


if __name__ == "__main__":
    main()
