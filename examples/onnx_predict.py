"""Predict with an ONNX export without torch and without Feathertune: onnxruntime, tokenizers and NumPy are enough.

    pip install onnxruntime tokenizers numpy
    python onnx_predict.py EXPORT_FOLDER "how do magnets work?" "how magnets does work?"

It prints one line for each text: the label, its probability and the text, separated by tabs. The predictions are those
that were evaluated: they use the temperature and the threshold in export.json, so the label need not be the most likely
one. Copy what you need.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


def open_session(folder: Path) -> onnxruntime.InferenceSession:
    """The model, ready to predict."""
    options = onnxruntime.SessionOptions()
    processor = Path("/proc/cpuinfo")
    description = processor.read_text() if processor.is_file() else ""
    if "avx512_vnni" not in description and "avx_vnni" not in description:
        # Without VNNI, x86 adds int8 products in 16 bits, which may overflow. This option is exact and slower.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])


def encode(tokenizer: Tokenizer, texts: list[str]) -> dict[str, np.ndarray]:
    """The model's inputs, [B, L] int64 each: ids padded on the right, and a mask, 1 for a token and 0 for padding.

    tokenizer.json cuts long texts by itself. The id of the padding does not matter, since it is masked.
    """
    rows = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    ids_BL = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    mask_BL = np.zeros_like(ids_BL)
    for row, ids in enumerate(rows):
        if not ids:
            sys.exit(f"{texts[row]!r} has no tokens")
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
    inputs = encode(Tokenizer.from_file(str(folder / "tokenizer.json")), texts)
    (logits_BC,) = open_session(folder).run(["logits"], inputs)
    if not np.isfinite(logits_BC).all():
        sys.exit("a logit is NaN or infinite: the model is damaged")
    # Exports by early versions have neither number; then these defaults apply.
    probabilities_BC = probabilities(logits_BC, export.get("temperature", 1.0))
    chosen_B = decide(probabilities_BC, export.get("threshold", 0.5))
    for text, chosen, probabilities_C in zip(texts, chosen_B, probabilities_BC, strict=True):
        print(labels[chosen], f"{probabilities_C[chosen]:.6f}", text, sep="\t")


if __name__ == "__main__":
    main()
