import json
from pathlib import Path
from typing import Any

import pytest

from feathertune.errors import UserError
from feathertune.report.history import read_history

SCORES = {"loss": 0.5, "accuracy": 0.8, "precision": 0.8, "recall": 0.8, "f1": 0.8, "roc_auc": None}


def step(number: int, loss: float = 0.6) -> dict[str, Any]:
    rates = {"learning_rate": 1e-4, "gradient_norm": 1.5, "examples_per_second": 90.0}
    return {"event": "step", "step": number, "epoch": number / 10, "loss": loss, **rates}


def epoch(number: int, train_loss: float | None = 0.6) -> dict[str, Any]:
    numbers = {"epoch": number, "step": 10 * number, "train_loss": train_loss, "seconds": 3.0}
    return {"event": "epoch", "validation": SCORES, **numbers}


def write(path: Path, *lines: dict[str, Any], end: str = "") -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + end, encoding="utf-8")
    return path


def test_steps_and_epochs_come_in_order(tmp_path: Path) -> None:
    history = read_history(write(tmp_path / "metrics.jsonl", epoch(0, None), step(1), step(2), epoch(1)))
    assert [one.step for one in history.steps] == [1, 2]
    assert [one.epoch for one in history.epochs] == [0, 1]
    assert history.epochs[0].train_loss is None
    assert history.epochs[1].validation.roc_auc is None


def test_what_a_resumed_run_logs_again_counts_once(tmp_path: Path) -> None:
    history = read_history(write(tmp_path / "metrics.jsonl", step(1), step(2, 0.9), step(3), step(2, 0.5), step(3)))
    assert [one.loss for one in history.steps] == [0.6, 0.5, 0.6]


@pytest.mark.parametrize("torn", ['{"event": "st', "{", '{"event": "step"', '{"text": "é'[:-1] + "\xc3"])
def test_a_torn_last_line_is_ignored(tmp_path: Path, torn: str) -> None:
    path = write(tmp_path / "metrics.jsonl", step(1))
    path.write_bytes(path.read_bytes() + torn.encode("latin-1"))
    assert len(read_history(path).steps) == 1


def test_a_whole_last_line_without_a_newline_counts(tmp_path: Path) -> None:
    assert len(read_history(write(tmp_path / "metrics.jsonl", step(1), end=json.dumps(step(2)))).steps) == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "Invalid JSON"),
        ("12", "an object"),
        ('{"event": "lunch"}', "lunch"),
        ('{"event": "step", "step": 1, "epoch": 0.1}', "loss: Field required"),
    ],
)
def test_any_other_bad_line_is_named(tmp_path: Path, bad: str, message: str) -> None:
    path = write(tmp_path / "metrics.jsonl", step(1), end=bad + "\n")
    with pytest.raises(UserError, match=f"metrics.jsonl:2: .*{message}"):
        read_history(path)


def test_a_missing_file_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        read_history(tmp_path / "metrics.jsonl")
