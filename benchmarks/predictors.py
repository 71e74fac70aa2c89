"""The contenders of prediction_speed.py. Each loads the same base and adapter from disk, as its users would.

The base and the adapter are random, with large weights (see `save_model`), in files of transformers and PEFT.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from measuring import peak_mib, quieten
from shapes import MAX_LENGTH, Shape, find_tokenizer

LABELS = ("no", "yes")

WARM_UP_TEXTS = 128  # for every contender


@dataclass(frozen=True)
class Contender:
    """One way to predict many texts."""

    title: str
    kind: Literal["pipeline", "padded", "feathertune"]
    precision: Literal["fp32", "bf16"] = "fp32"
    sorted_by_length: bool = False


CONTENDERS: dict[str, Contender] = {
    "pipeline": Contender("transformers.pipeline, fp32", "pipeline"),
    "padded": Contender("PEFT merged, dynamic padding, fp32", "padded"),
    "sorted": Contender("PEFT merged, sorted by length, fp32", "padded", sorted_by_length=True),
    "pipeline-bf16": Contender("transformers.pipeline, bf16", "pipeline", "bf16"),
    "sorted-bf16": Contender("PEFT merged, sorted by length, bf16", "padded", "bf16", sorted_by_length=True),
    "ours-fp32": Contender("Feathertune, fp32", "feathertune"),
    "ours-bf16": Contender("Feathertune, bf16", "feathertune", "bf16"),
}


@dataclass(frozen=True)
class Turn:
    """One contender's turn. `folder` holds base/ and adapter/; `batch` is for the peers, ours has a token budget."""

    shape: Shape
    contender: Contender
    folder: Path
    texts: list[str]
    tokenizer: str | None
    batch: int


@dataclass(frozen=True)
class Result:
    """The result of one turn: seconds for all texts, from strings and from token ids, and [N, 2] probabilities."""

    seconds: float
    seconds_from_tokens: float
    probabilities_NC: np.ndarray
    peak_mib: float


def predict(turn: Turn) -> Result:
    """Take the turn in this process: load, warm up, then predict everything twice."""
    quieten()
    tokenizer = find_tokenizer(turn.shape, turn.tokenizer)
    build = {"pipeline": _pipeline, "padded": _padded, "feathertune": _feathertune}[turn.contender.kind]
    from_texts, tokens_of, from_tokens = build(turn, tokenizer)
    from_texts(turn.texts[:WARM_UP_TEXTS])
    began = time.perf_counter()
    probabilities_NC = from_texts(turn.texts)
    between = time.perf_counter()
    tokens = tokens_of(turn.texts)
    began_again = time.perf_counter()
    from_tokens(tokens)
    return Result(between - began, time.perf_counter() - began_again, probabilities_NC, peak_mib())


_Ways = tuple[Callable[[list[str]], np.ndarray], Callable[[list[str]], Any], Callable[[Any], np.ndarray]]


def _feathertune(turn: Turn, tokenizer: Any) -> _Ways:
    from feathertune.model.adapt import merge
    from feathertune.model.base import load_base
    from feathertune.model.peft_files import load_adapter
    from feathertune.model.precision import set_precision
    from feathertune.model.sources import find_base
    from feathertune.prediction.inference import predict_logits
    from feathertune.tokens.tokenized import TokenizedTexts, tokenize

    classifier = load_base(find_base(str(turn.folder / "base")), LABELS, 0)
    load_adapter(classifier, turn.folder / "adapter")
    set_precision(classifier, turn.contender.precision)
    merge(classifier)

    def tokens_of(texts: list[str]) -> TokenizedTexts:
        return tokenize(tokenizer, texts, MAX_LENGTH)

    def from_tokens(tokens: TokenizedTexts) -> np.ndarray:
        return torch.from_numpy(predict_logits(classifier, tokens)).softmax(dim=1).numpy()

    return lambda texts: from_tokens(tokens_of(texts)), tokens_of, from_tokens


def _merged_peft(turn: Turn) -> Any:
    """Transformers' model with the adapter merged by PEFT."""
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    base = AutoModelForSequenceClassification.from_pretrained(turn.folder / "base", dtype=torch.float32)
    merged = PeftModel.from_pretrained(base, str(turn.folder / "adapter")).merge_and_unload().eval()
    return merged.to(torch.bfloat16 if turn.contender.precision == "bf16" else torch.float32)


def _pipeline(turn: Turn, tokenizer: Any) -> _Ways:
    from transformers import TextClassificationPipeline

    class FromTokens(TextClassificationPipeline):  # type: ignore[misc]
        def preprocess(self, inputs: Any, **_: Any) -> Any:
            return inputs["encoded"]

    model = _merged_peft(turn)
    options = {"model": model, "tokenizer": tokenizer, "batch_size": turn.batch, "top_k": None}
    pipeline, pipeline_from_tokens = TextClassificationPipeline(**options), FromTokens(**options)

    def tokens_of(texts: list[str]) -> list[Any]:
        return [{"encoded": pipeline.preprocess(text, truncation=True, max_length=MAX_LENGTH)} for text in texts]

    def table(predictions: list[list[dict[str, Any]]]) -> np.ndarray:
        by_label = [{entry["label"]: entry["score"] for entry in scores} for scores in predictions]
        return np.array([[scores[model.config.id2label[index]] for index in (0, 1)] for scores in by_label])

    return (
        lambda texts: table(pipeline(texts, truncation=True, max_length=MAX_LENGTH)),
        tokens_of,
        lambda tokens: table(pipeline_from_tokens(tokens)),
    )


def _padded(turn: Turn, tokenizer: Any) -> _Ways:
    model = _merged_peft(turn)

    def tokens_of(texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
        return ids

    @torch.inference_mode()
    def from_tokens(tokens: list[list[int]]) -> np.ndarray:
        lengths = np.array([len(ids) for ids in tokens])
        order = np.argsort(lengths, kind="stable") if turn.contender.sorted_by_length else np.arange(len(tokens))
        probabilities_NC = np.empty((len(tokens), len(LABELS)), dtype=np.float32)
        for begin in range(0, len(order), turn.batch):
            indices = order[begin : begin + turn.batch]
            batch = tokenizer.pad({"input_ids": [tokens[index] for index in indices]}, return_tensors="pt")
            probabilities_NC[indices] = model(**batch).logits.float().softmax(dim=1).numpy()
        return probabilities_NC

    return lambda texts: from_tokens(tokens_of(texts)), tokens_of, from_tokens


def save_model(shape: Shape, folder: Path, tokens: list[list[int]]) -> None:
    """Write a random base and a random adapter whose predictions differ from text to text.

    With transformers' small initial weights, texts would hardly affect the pooled row, and rounding would be invisible.
    So matrices preserve the size of their input, LoRA's B is not zero, and the head reads what differs between the
    given texts: its logits for them have a standard deviation of 1 and a mean of 0.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification

    quieten()
    torch.manual_seed(0)
    config = shape.config(0)
    config.num_labels = len(LABELS)
    config.problem_type = "single_label_classification"
    model = AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.base_model.named_parameters():
            if parameter.ndim > 1 and "embed" not in name and not name.startswith(("wte", "wpe")):
                parameter.normal_(std=parameter.shape[0 if shape.model_type == "gpt2" else 1] ** -0.5)
    model.save_pretrained(folder / "base")
    lora = LoraConfig(
        task_type="SEQ_CLS",
        r=8,
        lora_alpha=32,
        target_modules=list(shape.targets),
        fan_in_fan_out=shape.model_type == "gpt2",
    )
    adapted = get_peft_model(model, lora).eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.01)
        _spread_logits(adapted, tokens)
    adapted.save_pretrained(folder / "adapter")


def _spread_logits(adapted: Any, tokens: list[list[int]]) -> None:
    """Set the trained copy of the head so that its logits differ between these texts."""
    head = next(m for name, m in adapted.named_modules() if name.endswith("modules_to_save.default"))
    rows: list[torch.Tensor] = []
    handle = head.register_forward_pre_hook(lambda _module, inputs: rows.append(inputs[0]))
    for ids in tokens:
        adapted(input_ids=torch.tensor([ids]))
    handle.remove()
    pooled_ND = torch.stack([row.reshape(-1, head.in_features)[-1] for row in rows])
    mean_D, directions_DD = pooled_ND.mean(0), torch.linalg.svd(pooled_ND - pooled_ND.mean(0), full_matrices=False)[2]
    weight_CD = torch.randn(len(LABELS), len(directions_DD)) @ directions_DD
    weight_CD -= (weight_CD @ mean_D)[:, None] * mean_D / mean_D.dot(mean_D)
    weight_CD /= (pooled_ND @ weight_CD.T).std(0)[:, None]
    head.weight.copy_(weight_CD)
    if head.bias is not None:
        head.bias.zero_()
