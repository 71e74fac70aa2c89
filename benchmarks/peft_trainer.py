"""Training by PEFT and transformers' Trainer, as in PEFT's documentation."""

from __future__ import annotations

import tempfile
from typing import Any

import torch

from measuring import StepClock
from turns import ALPHA, DECAY, LABELS, RATE, Turn


def train(turn: Turn, clock: StepClock) -> None:
    """Train until `clock` ends the turn."""
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed

    contender = turn.contender
    if contender.flags:
        torch.set_float32_matmul_precision("medium")
    set_seed(turn.seed)
    model = _model(turn)
    pool = turn.pool()
    order = turn.order(pool)[: clock.max_steps * turn.batch]
    rows = [{"input_ids": pool[index].tolist(), "labels": int(index % 2)} for index in order]

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.start()

        def on_step_end(self, _arguments: Any, _state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = clock.tick()

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=clock.max_steps,
            per_device_train_batch_size=turn.micro_batch,
            gradient_accumulation_steps=turn.batch // turn.micro_batch,
            learning_rate=RATE,
            weight_decay=DECAY,
            bf16=contender.precision == "bf16",
            train_sampling_strategy="sequential",  # the rows are already in their random or grouped order
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        )
        collate = _Collator(model.config.pad_token_id, contender.pad_to)
        trainer = Trainer(model, arguments, data_collator=collate, train_dataset=rows, callbacks=[Watch()])
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def _model(turn: Turn) -> Any:
    """A random model of the shape, with an adapter unless all weights are trained."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification

    config = turn.shape.config(turn.dropout)
    config.num_labels = len(LABELS)
    model = AutoModelForSequenceClassification.from_config(config).float()
    if turn.contender.method == "full":
        return model
    lora = LoraConfig(
        task_type="SEQ_CLS",
        r=turn.rank,
        lora_alpha=ALPHA,
        lora_dropout=turn.dropout,
        target_modules=list(turn.shape.targets),
        fan_in_fan_out=turn.shape.model_type == "gpt2",
    )
    return get_peft_model(model, lora)


class _Collator:
    """Pads a batch on the right, to its longest text or to `pad_to`."""

    def __init__(self, pad_token: int, pad_to: int | None) -> None:
        self.pad_token, self.pad_to = pad_token, pad_to

    def __call__(self, batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        longest = self.pad_to or max(len(row["input_ids"]) for row in batch)
        ids_BL = torch.full((len(batch), longest), self.pad_token)
        mask_BL = torch.zeros_like(ids_BL)
        for position, row in enumerate(batch):
            ids_BL[position, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
            mask_BL[position, : len(row["input_ids"])] = 1
        labels_B = torch.tensor([row["labels"] for row in batch])
        return {"input_ids": ids_BL, "attention_mask": mask_BL, "labels": labels_B}
