"""Predict with an ExecuTorch export without Feathertune: ExecuTorch's Python runtime, torch and tokenizers are enough.

    pip install executorch torch tokenizers
    python executorch_predict.py EXPORT_FOLDER "how do magnets work?" "how magnets does work?"

It prints one line for each text: the label, its probability and the text, separated by tabs. The predictions are those
that were evaluated: they use the temperature and the threshold in export.json, so the label need not be the most likely
one. Programs in other languages do the same with their own API. Copy what you need.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import torch
from executorch.runtime import Method, Runtime, Verification
from tokenizers import Tokenizer


def logits(method: Method, ids: list[int]) -> list[float]:
    """The model's answer for one text's token ids: a logit for each label."""
    (logits_1C,) = method.execute([torch.tensor([ids], dtype=torch.int64)])
    return logits_1C[0].tolist()


def probabilities(logits_C: list[float], temperature: float) -> list[float]:
    """The softmax of the logits divided by the temperature."""
    powers_C = [math.exp((logit - max(logits_C)) / temperature) for logit in logits_C]
    return [power / sum(powers_C) for power in powers_C]


def decide(probabilities_C: list[float], threshold: float) -> int:
    """The label's number: of two, the second if it reaches the threshold; of more, the most likely."""
    if len(probabilities_C) == 2:
        return int(probabilities_C[1] >= threshold)
    return probabilities_C.index(max(probabilities_C))


def main() -> None:
    """Predict the texts on the command line."""
    if len(sys.argv) < 3:
        sys.exit("usage: python executorch_predict.py EXPORT_FOLDER TEXT ...")
    folder, texts = Path(sys.argv[1]), sys.argv[2:]
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    export = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    program = Runtime.get().load_program(folder / "model.pte", verification=Verification.Minimal)
    method = program.load_method("forward")
    for text in texts:
        ids = tokenizer.encode(text).ids  # tokenizer.json cuts long texts by itself
        if not ids:
            sys.exit(f"{text!r} has no tokens")
        if max(ids) >= export.get("vocabulary", math.inf):
            sys.exit(f"{text!r} has a token that the model does not know")
        logits_C = logits(method, ids)
        if not all(map(math.isfinite, logits_C)):
            sys.exit("a logit is NaN or infinite: the model is damaged")
        # Exports by early versions have none of these numbers; then these defaults apply.
        probabilities_C = probabilities(logits_C, export.get("temperature", 1.0))
        chosen = decide(probabilities_C, export.get("threshold", 0.5))
        print(labels[chosen], f"{probabilities_C[chosen]:.6f}", text, sep="\t")


if __name__ == "__main__":
    main()
