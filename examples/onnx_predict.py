"""Predict with an ONNX export without torch and without Feathertune: onnxruntime, tokenizers and NumPy are enough.

    pip install onnxruntime tokenizers numpy
    python onnx_predict.py EXPORT_FOLDER "how do magnets work?" "how magnets does work?"

It prints one line for each text: the label, its probability and the text, separated by tabs. The predictions are those
that were evaluated: they use the temperature and the threshold in export.json, so the label need not be the most likely
one. Copy what you need.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

# A known product as an ONNX model: MatMulInteger(x [rows, 64] uint8, a constant [64, 32] int8 of 127).
KNOWN_PRODUCT = base64.b64decode(
    "CAk6kgEKLAoBcxIBdyIPQ29uc3RhbnRPZlNoYXBlKhMKBXZhbHVlKgcIARADSgF/oAEEChgKAXgKAXcSAXkiDU1hdE11bEludGVn"
    "ZXISAWcqGQgCEAdCAXNKEEAAAAAAAAAAIAAAAAAAAABaFAoBeBIPCg0IAhIJCgMSAXIKAghAYhQKAXkSDwoNCAYSCQoDEgFyCgII"
    "IEIECgAQFA=="
)
OPTION = "session.x64quantprecision"


def open_session(folder: Path, export: dict[str, Any]) -> onnxruntime.InferenceSession:
    """The model, ready to predict. `export` is the content of export.json."""
    options = onnxruntime.SessionOptions()
    if "exact-int8-products" in needs(export):
        # On x86 without VNNI, int8 products are added in 16 bits, which may overflow. This option is exact and slower.
        if not products_are_exact(options):
            options.add_session_config_entry(OPTION, "1")
        if not products_are_exact(options):
            sys.exit("onnxruntime's products of 8-bit integers are not exact here: export without --tuned")
    return onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])


def needs(export: dict[str, Any]) -> list[str]:
    """What the runtime must do. Quantized exports of formats 1 and 2 do not say it; they all need exact products."""
    if export.get("format", 1) < 3 and export["precision"] != "fp32":
        return ["exact-int8-products"]
    return export.get("needs", [])


def products_are_exact(options: onnxruntime.SessionOptions) -> bool:
    """Whether onnxruntime computes the known product exactly, for a single row (another kernel) and for several."""
    session = onnxruntime.InferenceSession(KNOWN_PRODUCT, options, providers=["CPUExecutionProvider"])
    results = [session.run(None, {"x": np.full((rows, 64), 255, dtype=np.uint8)})[0] for rows in (1, 8)]
    return all((result == 255 * 127 * 64).all() for result in results)


def encode(tokenizer: Tokenizer, texts: list[str], vocabulary: int | None) -> dict[str, np.ndarray]:
    """The model's inputs, [B, L] int64 each: ids padded on the right, and a mask, 1 for a token and 0 for padding.

    tokenizer.json cuts long texts by itself, and takes a special token such as [SEP] in a text for its characters. The
    id of the padding does not matter, since it is masked. The model has embeddings for ids below `vocabulary`.
    """
    rows = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    ids_BL = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    mask_BL = np.zeros_like(ids_BL)
    for row, ids in enumerate(rows):
        if not ids:
            sys.exit(f"{texts[row]!r} has no tokens")
        if vocabulary is not None and max(ids) >= vocabulary:
            sys.exit(f"{texts[row]!r} has the token {tokenizer.id_to_token(max(ids))!r}, which the model does not know")
        ids_BL[row, : len(ids)] = ids
        mask_BL[row, : len(ids)] = 1
    return {"input_ids": ids_BL, "attention_mask": mask_BL}


def probabilities(logits_BC: np.ndarray, temperature: float) -> np.ndarray:
    """[B, C] float32 logits -> [B, C] float64: the softmax of the logits divided by the temperature."""
    scaled_BC = logits_BC / np.float32(temperature)
    powers_BC = np.exp(scaled_BC.astype(np.float64) - scaled_BC.max(axis=1, keepdims=True))
    return powers_BC / powers_BC.sum(axis=1, keepdims=True)


def decide(probabilities_BC: np.ndarray, threshold: float) -> np.ndarray:
    """[B, C] probabilities -> [B] classes: of two, the second if it reaches the threshold; of more, the most likely."""
    if probabilities_BC.shape[1] == 2:
        return (probabilities_BC[:, 1] >= threshold).astype(np.int64)
    return probabilities_BC.argmax(axis=1)


def main() -> None:
    """Predict the texts on the command line."""
    if len(sys.argv) < 3:
        sys.exit("usage: python onnx_predict.py EXPORT_FOLDER TEXT ...")
    folder, texts = Path(sys.argv[1]), sys.argv[2:]
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    export = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    inputs = encode(Tokenizer.from_file(str(folder / "tokenizer.json")), texts, export.get("vocabulary"))
    (logits_BC,) = open_session(folder, export).run(["logits"], inputs)
    if not np.isfinite(logits_BC).all():
        sys.exit("a logit is NaN or infinite: the model is damaged")
    # Exports by early versions have none of these numbers; then these defaults apply.
    probabilities_BC = probabilities(logits_BC, export.get("temperature", 1.0))
    chosen_B = decide(probabilities_BC, export.get("threshold", 0.5))
    for text, chosen, probabilities_C in zip(texts, chosen_B, probabilities_BC, strict=True):
        print(labels[chosen], f"{probabilities_C[chosen]:.6f}", text, sep="\t")


if __name__ == "__main__":
    main()
