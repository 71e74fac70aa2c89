"""The history of a training: metrics.jsonl -> `History`, its steps and epochs in order.

A run that was stopped and resumed may have logged a step or an epoch twice; the later line counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from feathertune.errors import UserError


class Step(BaseModel):
    """One logged optimizer step.

    Attributes:
        step: 1-based.
        epoch: epochs of data seen so far, a fraction.
        loss: cross-entropy of the step's batch in nats.
        learning_rate, gradient_norm, examples_per_second: of the step; None if unknown.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    event: Literal["step"]
    step: int
    epoch: float
    loss: float
    learning_rate: float | None = None
    gradient_norm: float | None = None
    examples_per_second: float | None = None


class ValidationScores(BaseModel):
    """The metrics on validation after an epoch: loss in nats, the others as shares of 1, None if undefined."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    loss: float | None
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None = None


class Epoch(BaseModel):
    """One epoch.

    Attributes:
        epoch: 1-based; 0 is before training.
        step: optimizer steps taken by its end.
        train_loss: mean cross-entropy over the epoch's steps in nats; None before training.
        validation: the metrics on validation at its end.
        seconds: how long it took.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    event: Literal["epoch"]
    epoch: int
    step: int
    train_loss: float | None
    validation: ValidationScores
    seconds: float | None = None


@dataclass(frozen=True)
class History:
    """Steps by number and epochs by number, each once."""

    steps: tuple[Step, ...]
    epochs: tuple[Epoch, ...]


_LINE: TypeAdapter[Step | Epoch] = TypeAdapter(Annotated[Step | Epoch, Field(discriminator="event")])


def read_history(path: Path) -> History:
    """Read metrics.jsonl. A last line that a crash cut off (no newline, not JSON) is ignored.

    Raises UserError if the file is missing, or if any other line is not a step or an epoch (`file:line`).
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise UserError("the file is missing", where=str(path)) from None
    steps: dict[int, Step] = {}
    epochs: dict[int, Epoch] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event = _LINE.validate_json(line)
        except ValidationError as error:
            if number == len(lines):  # not even a newline follows: a crash cut it off
                break
            raise UserError(
                f"not a step or an epoch: {_reason(error)}",
                where=f"{path}:{number}",
                fix="Fix or remove this line. Each line must be one JSON object.",
            ) from None
        if isinstance(event, Step):
            steps[event.step] = event
        else:
            epochs[event.epoch] = event
    return History(
        steps=tuple(steps[number] for number in sorted(steps)),
        epochs=tuple(epochs[number] for number in sorted(epochs)),
    )


def _reason(error: ValidationError) -> str:
    """The first problem, such as 'validation.loss: Field required'."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("step", "epoch"))
    return f"{place}: {first['msg']}" if place else first["msg"]
