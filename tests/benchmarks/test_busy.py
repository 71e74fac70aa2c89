"""The benchmark of training beside other processes."""

import json
from pathlib import Path
from typing import Any

import psutil
import pytest

import busy


def test_the_other_processes_run_and_end() -> None:
    with busy.busy(2):
        children = psutil.Process().children()
        others = [one for one in children if busy._BUSY in one.cmdline()]
        assert len(others) == 2
    assert not any(one.is_running() for one in others)


def test_the_contenders_take_turns_under_each_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turns: list[tuple[str, Path]] = []

    def turn(name: str, place: Path, *_: Any) -> float:
        turns.append((name, place))
        return 100.0 / len(turns)

    monkeypatch.setattr(busy, "_turn", turn)
    output = tmp_path / "busy.json"
    busy.main(["--others", "0", "1", "--rounds", "1", "--baseline", str(tmp_path), "--output", str(output)])
    names = ["PEFT + Trainer", "Feathertune", "Feathertune, baseline"]
    assert turns == [(name, tmp_path if "base" in name else busy.ROOT) for name in names * 2]
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()[2:5]]
    assert [row[0] for row in rows] == names
    assert [row[-1].strip() for row in rows] == ["0.25", "0.40", "0.50"]
    measured = json.loads(output.read_text())["models"]["minilm"]
    assert measured["Feathertune"] == {"0": [50.0], "1": [20.0]}
