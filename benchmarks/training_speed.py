"""Examples per second of one LoRA training step: PEFT + Trainer, as people run it, beside Feathertune.

Every contender trains the same random-weight model of a true shape on the same token sequences (the lengths are those
of Google's queries or, without them, of the built-in sample), with AdamW, the same batch, targets, rank and dropout.
They take turns, round after round, in one process, so that a drift of the machine's speed meets all of them.

    python benchmarks/training_speed.py --model gpt2 --steps 12 --rounds 3
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from feathertune.data.loading import load_dataset
from feathertune.model.adapt import LoraShape, add_lora, find_targets
from feathertune.model.base import build_random
from feathertune.recipe import DataSection
from feathertune.tokens.tokenized import TokenizedTexts
from feathertune.training.loop import LoopSettings, TrainingSet, train_loop
from feathertune.training.optimizer import build_optimizer
from feathertune.training.progress import SilentReporter
from feathertune.training.record import Places

WARM_UP = 3  # steps of each turn that are not counted
RATE = 1e-4


@dataclass(frozen=True)
class Setting:
    """What all contenders share. `targets` are PEFT's name endings."""

    config: Callable[[], Any]
    targets: tuple[str, ...]
    rank: int
    dropout: float
    batch: int
    steps: int
    texts: TokenizedTexts


def shapes() -> dict[str, tuple[Callable[[], Any], tuple[str, ...]]]:
    """Model name -> (config of the true shape, LoRA targets)."""
    from transformers import BertConfig, GPT2Config, LlamaConfig

    llama = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9}
    bert = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 12}
    return {
        "gpt2": (GPT2Config, ("c_attn", "c_proj")),
        "minilm": (lambda: BertConfig(**bert), ("query", "key", "value")),
        "smollm2": (
            lambda: LlamaConfig(**llama, num_key_value_heads=3, vocab_size=49152, pad_token_id=2),
            ("q_proj", "k_proj", "v_proj", "o_proj"),
        ),
    }


def query_like_texts(count: int, vocabulary: int, data: str) -> TokenizedTexts:
    """Random tokens in the lengths of real queries: words and marks, and a fifth of them split in two."""
    section = DataSection.model_validate(
        {"source": data, "text": "content", "label": {"rating": "rating", "above": 0.5}}
    )
    texts = load_dataset(section, 0).splits["train"].texts.to_pylist()
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(texts), size=count)
    lengths = [round(len(texts[index].replace("?", " ?").split()) * 1.2) + 1 for index in chosen]
    ids = rng.integers(100, vocabulary, size=sum(lengths)).astype(np.int32)
    return TokenizedTexts(ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def peft_seconds(setting: Setting, *, pad_to: int | None) -> list[float]:
    """Seconds of each step of PEFT + Trainer, padded to the longest text of the batch, or to `pad_to`."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

    config = setting.config()
    config.pad_token_id = config.eos_token_id if config.pad_token_id is None else config.pad_token_id
    model = AutoModelForSequenceClassification.from_config(config).float()
    lora = LoraConfig(
        task_type="SEQ_CLS",
        r=setting.rank,
        lora_alpha=32,
        lora_dropout=setting.dropout,
        target_modules=list(setting.targets),
    )
    rows = [{"input_ids": setting.texts[index].tolist(), "labels": index % 2} for index in range(len(setting.texts))]
    seconds: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append(time.perf_counter() - self.began)

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        longest = pad_to or max(len(row["input_ids"]) for row in batch)
        ids = torch.full((len(batch), longest), config.pad_token_id)
        mask = torch.zeros_like(ids)
        for position, row in enumerate(batch):
            ids[position, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
            mask[position, : len(row["input_ids"])] = 1
        return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row["labels"] for row in batch])}

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=setting.steps,
            per_device_train_batch_size=setting.batch,
            learning_rate=RATE,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            dataloader_num_workers=0,
        )
        Trainer(
            get_peft_model(model, lora), arguments, data_collator=collate, train_dataset=rows, callbacks=[Clock()]
        ).train()
    return seconds


class _Clock(SilentReporter):
    """Notes when each step ended."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last = 0.0

    def start(self, total_steps: int, done_steps: int) -> None:
        self._last = time.perf_counter()

    def step(self, step: int, loss: float, examples_per_second: float) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now


def our_seconds(setting: Setting) -> list[float]:
    """Seconds of each step of Feathertune's own loop."""
    classifier = build_random(setting.config(), ("no", "yes"), 0)
    names = find_targets(classifier, setting.targets)
    add_lora(classifier, LoraShape(setting.rank, 32.0, setting.dropout, False, names), 0)
    optimizer = build_optimizer(classifier, learning_rate=RATE, head_learning_rate=None, weight_decay=0.01)
    labels = np.arange(len(setting.texts)) % 2
    clock = _Clock()
    metrics = dict.fromkeys(("loss", "accuracy", "precision", "recall", "f1", "roc_auc"), 0.5)
    with tempfile.TemporaryDirectory() as folder:
        train_loop(
            classifier,
            optimizer,
            TrainingSet(setting.texts, labels, labels),
            lambda: metrics,
            LoopSettings(1, setting.batch, 1, 0.0, "linear", 1.0, "loss", None, 0),
            Places(Path(folder) / "metrics.jsonl", Path(folder) / "checkpoints", "benchmark"),
            clock,
            Accelerator(cpu=True),
        )
    return clock.seconds


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=sorted(shapes()), default="gpt2")
    parser.add_argument("--data", default="sample", help="a source with the columns content and rating")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--pad-to-128", action="store_true", help="also the notebook's way, many times slower")
    options = parser.parse_args()
    config, targets = shapes()[options.model]
    texts = query_like_texts(options.batch * options.steps, config().vocab_size, options.data)
    setting = Setting(config, targets, options.rank, options.dropout, options.batch, options.steps, texts)
    contenders: dict[str, Callable[[], list[float]]] = {
        "PEFT + Trainer, dynamic padding, fp32": lambda: peft_seconds(setting, pad_to=None),
        "Feathertune, fp32": lambda: our_seconds(setting),
    }
    if options.pad_to_128:
        contenders["PEFT + Trainer, padded to 128, fp32"] = lambda: peft_seconds(setting, pad_to=128)
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, contender in contenders.items():
            speeds[name].append(options.batch / statistics.median(contender()[WARM_UP:]))
    reference = statistics.median(speeds["PEFT + Trainer, dynamic padding, fp32"])
    print(
        f"{options.model}, batch {options.batch}, {texts.lengths.mean():.1f} tokens a text, dropout {options.dropout}"
    )
    for name, values in speeds.items():
        middle = statistics.median(values)
        print(f"{name:40} {middle:7.1f} examples/s ({min(values):.1f} to {max(values):.1f})  {middle / reference:.2f}x")


if __name__ == "__main__":
    main()
