"""One contender of deployment.py, measured in this process: `python deployment_turn.py TURN.json` prints JSON.

It imports what the contender needs and nothing more, so that load time and memory are what a deployment would have.
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

BUDGET = 1024  # tokens of a bulk batch, for every contender that has padded batches

Answer = Callable[[Sequence[str]], np.ndarray]


def main() -> None:
    """Load, ask single queries, ask in bulk, and print what was measured."""
    turn = json.loads(Path(sys.argv[1]).read_text())
    texts: list[str] = turn["texts"]
    os.environ["OMP_NUM_THREADS"] = str(turn["threads"])
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    before = time.perf_counter()
    answer = LOADERS[turn["kind"]](Path(turn["folder"]), turn["threads"])
    answer(texts[:1])
    load_seconds = time.perf_counter() - before
    queries = [texts[number % len(texts)] for number in range(turn["queries"] + turn["warm_up"])]
    seconds = [_timed(answer, [text])[0] for text in queries][turn["warm_up"] :]
    bulk = texts[: turn["bulk"]]
    answer(bulk[: min(len(bulk), 256)])
    taken = [_timed(answer, bulk) for _ in range(turn["repeats"])]
    np.save(turn["logits"], answer(texts) if len(bulk) < len(texts) and turn["all"] else taken[0][1])
    print(
        json.dumps(
            {
                "load_seconds": load_seconds,
                "query_p50_ms": 1000 * float(np.quantile(seconds, 0.5)),
                "query_p99_ms": 1000 * float(np.quantile(seconds, 0.99)),
                "texts_per_second": len(bulk) / float(np.median([one for one, _ in taken])),
                "peak_mib": _peak_mib(),
            }
        )
    )


def _timed(answer: Answer, texts: list[str]) -> tuple[float, np.ndarray]:
    begin = time.perf_counter()
    logits_NC = answer(texts)
    return time.perf_counter() - begin, logits_NC


def _exported(folder: Path, threads: int) -> Answer:
    """An ONNX or ExecuTorch export folder. ExecuTorch decides for itself how many threads it has."""
    from feathertune.serving.exported import ExportedModel

    return ExportedModel(folder, threads).logits


def _transformers(folder: Path, threads: int) -> Answer:
    """transformers' model from a merged folder, in batches of texts of one length, as the ONNX contenders have."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    max_length = json.loads((folder / "limit.json").read_text())

    def answer(texts: Sequence[str]) -> np.ndarray:
        ids = tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]
        lengths_N = np.array([len(row) for row in ids])
        logits_NC = np.empty((len(ids), model.config.num_labels), dtype=np.float32)
        with torch.inference_mode():
            for length in np.unique(lengths_N).tolist():
                rows_N = np.flatnonzero(lengths_N == length)
                for rows_B in np.split(rows_N, range(BUDGET // length, len(rows_N), max(1, BUDGET // length))):
                    ids_BL = torch.tensor([ids[row] for row in rows_B])
                    mask_BL = torch.ones_like(ids_BL)
                    logits_NC[rows_B] = model(input_ids=ids_BL, attention_mask=mask_BL).logits.numpy()
        return logits_NC

    return answer


def _quantized(folder: Path, threads: int) -> Answer:
    """Feathertune's own integer model in torch: packed tokens, nothing padded."""
    import torch

    from feathertune.evaluation.inference import predict_logits
    from feathertune.quantization.folder import load_quantized, read_description
    from feathertune.tokens.loading import load_tokenizer
    from feathertune.tokens.tokenized import tokenize

    torch.set_num_threads(threads)
    classifier, tokenizer = load_quantized(folder), load_tokenizer(folder)
    max_length = read_description(folder).max_length
    return lambda texts: predict_logits(classifier, tokenize(tokenizer, texts, max_length))


def _packed(folder: Path, threads: int) -> Answer:
    """Feathertune's own float32 model in torch."""
    import torch

    from feathertune.evaluation.inference import predict_logits
    from feathertune.model.base import load_base
    from feathertune.model.precision import set_precision
    from feathertune.model.sources import find_base
    from feathertune.tokens.loading import load_tokenizer
    from feathertune.tokens.tokenized import tokenize

    torch.set_num_threads(threads)
    names = tuple(json.loads((folder / "labels.json").read_text()))
    classifier = load_base(find_base(str(folder)), names, 0).requires_grad_(False)
    set_precision(classifier, "fp32")
    tokenizer, max_length = load_tokenizer(folder), json.loads((folder / "limit.json").read_text())
    return lambda texts: predict_logits(classifier, tokenize(tokenizer, texts, max_length))


LOADERS: dict[str, Callable[[Path, int], Answer]] = {
    "exported": _exported,
    "transformers": _transformers,
    "packed": _packed,
    "quantized": _quantized,
}


def _peak_mib() -> Any:
    """The most memory that this process has held."""
    import resource

    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
