"""One contender of deployment.py, measured in this process: `python deployment_turn.py TURN.json` prints JSON.

It imports only what the contender needs, so that load time and memory are those of a deployment.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PADDED_BATCH = 32  # texts per batch of transformers

Predict = Callable[[Sequence[str]], np.ndarray]


def main() -> None:
    """Load, predict single queries, predict in bulk, and print the measurements."""
    turn = json.loads(Path(sys.argv[1]).read_text())
    texts: list[str] = turn["texts"]
    os.environ["OMP_NUM_THREADS"] = str(turn["threads"])
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    begin = time.perf_counter()
    predict = LOADERS[turn["kind"]](Path(turn["folder"]), turn["threads"])
    predict(texts[:1])
    load_seconds = time.perf_counter() - begin
    queries = [texts[number % len(texts)] for number in range(turn["queries"] + turn["warm_up"])]
    seconds = [_timed(predict, [text])[0] for text in queries][turn["warm_up"] :]
    bulk = texts[: turn["bulk"]]
    predict(bulk[: min(len(bulk), 256)])
    taken = [_timed(predict, bulk) for _ in range(turn["repeats"])]
    np.save(turn["logits"], predict(texts) if len(bulk) < len(texts) else taken[0][1])
    print(
        json.dumps(
            {
                "load_seconds": load_seconds,
                "query_ms": [1000 * one for one in seconds],
                "texts_per_second": len(bulk) / float(np.median([one for one, _ in taken])),
                "peak_mib": _peak_mib(),
            }
        )
    )


def _timed(predict: Predict, texts: list[str]) -> tuple[float, np.ndarray]:
    begin = time.perf_counter()
    logits_NC = predict(texts)
    return time.perf_counter() - begin, logits_NC


def _exported(folder: Path, threads: int) -> Predict:
    """An ONNX or ExecuTorch export. ExecuTorch chooses its number of threads itself."""
    from feathertune.export.exported import ExportedModel

    return ExportedModel(folder, threads).logits


def _openvino(name: str, precision: str) -> Callable[[Path, int], Predict]:
    """An ONNX file, or OpenVINO's own, in OpenVINO."""

    def load(folder: Path, threads: int) -> Predict:
        from feathertune.export.exported import ExportedModel
        from feathertune.export.openvino import OpenvinoRuntime

        return ExportedModel(folder, runtime=OpenvinoRuntime(folder / name, threads, precision)).logits

    return load


def _transformers(folder: Path, threads: int) -> Predict:
    """Transformers' model from a merged folder, as its pipeline runs it: padded to the longest text of each batch."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="right")
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    max_length = json.loads((folder / "limit.json").read_text())

    def predict(texts: Sequence[str]) -> np.ndarray:
        logits = []
        with torch.inference_mode():
            for begin in range(0, len(texts), PADDED_BATCH):
                batch = list(texts[begin : begin + PADDED_BATCH])
                inputs = tokenizer(batch, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
                logits.append(model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits)
        return torch.cat(logits).numpy()

    return predict


def _quantized(folder: Path, threads: int) -> Predict:
    """Feathertune's own integer model in torch, with packed tokens."""
    import torch

    from feathertune.prediction.inference import predict_logits
    from feathertune.quantization.folder import load_quantized, read_description
    from feathertune.tokens.loading import load_tokenizer
    from feathertune.tokens.tokenized import tokenize

    torch.set_num_threads(threads)
    classifier, tokenizer = load_quantized(folder), load_tokenizer(folder)
    max_length = read_description(folder).max_length
    return lambda texts: predict_logits(classifier, tokenize(tokenizer, texts, max_length))


def _packed(folder: Path, threads: int) -> Predict:
    """Feathertune's own float32 model in torch."""
    import torch

    from feathertune.model.base import load_base
    from feathertune.model.precision import set_precision
    from feathertune.model.sources import find_base
    from feathertune.prediction.inference import predict_logits
    from feathertune.tokens.loading import load_tokenizer
    from feathertune.tokens.tokenized import tokenize

    torch.set_num_threads(threads)
    names = tuple(json.loads((folder / "labels.json").read_text()))
    classifier = load_base(find_base(str(folder)), names, 0).requires_grad_(False)
    set_precision(classifier, "fp32")
    tokenizer, max_length = load_tokenizer(folder), json.loads((folder / "limit.json").read_text())
    return lambda texts: predict_logits(classifier, tokenize(tokenizer, texts, max_length))


LOADERS: dict[str, Callable[[Path, int], Predict]] = {
    "exported": _exported,
    "openvino-f32": _openvino("model.onnx", "f32"),
    "openvino-bf16": _openvino("model.onnx", "bf16"),
    "openvino-nncf": _openvino("model.xml", "f32"),
    "transformers": _transformers,
    "packed": _packed,
    "quantized": _quantized,
}


def _peak_mib() -> Any:
    """The peak memory of this process."""
    import resource

    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
