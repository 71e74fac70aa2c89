"""The scaling benchmark, with sizes that take seconds."""

import json
from pathlib import Path

import pytest

import scaling
from generated import MAX_LENGTH, write_data


def test_generated_rows_are_always_the_same(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    write_data(tmp_path / "one", 50)
    write_data(tmp_path / "other", 50)
    text = (tmp_path / "one" / "train.jsonl").read_text()
    assert text == (tmp_path / "other" / "train.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    assert len(rows) == 50
    assert {row["label"] for row in rows} == {"no", "yes"}
    assert all(4 <= len(row["text"].split()) <= 11 for row in rows)


def test_ratios_are_to_the_previous_size() -> None:
    result = {
        "rows": 10,
        "tokens": 100,
        "steps": 1,
        "seconds": dict.fromkeys(scaling.STAGES, 1.0),
        "microseconds": dict.fromkeys(scaling.STAGES, 2.0),
        "own_memory_mib": 100.0,
        "peak_memory_mib": 200.0,
    }
    larger = {**result, "rows": 1000, "microseconds": dict.fromkeys(scaling.STAGES, 5.0), "own_memory_mib": 110.0}
    lines = scaling.table([result, larger]).splitlines()
    assert lines[0].split() == ["rows", "10", "1,000"]
    assert sum(line.endswith("5.000 (2.50x)") for line in lines) == len(scaling.STAGES)
    assert lines[-2].split()[-4:] == ["MiB", "100", "110", "(1.10x)"]


@pytest.mark.slow
def test_a_complete_run_in_miniature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scaling.main(["--sizes", "320", "640", "--output", str(tmp_path / "scaling.json")])
    results = json.loads((tmp_path / "scaling.json").read_text())
    assert [result["rows"] for result in results] == [320, 640]
    assert [result["steps"] for result in results] == [10, 20]  # limited by the number of rows
    for result in results:
        assert result["rows"] * 4 < result["tokens"] < result["rows"] * MAX_LENGTH
        assert all(seconds > 0 for seconds in result["seconds"].values())
        assert 0 < result["own_memory_mib"] <= result["peak_memory_mib"]
    assert capsys.readouterr().out.splitlines()[0].split() == ["rows", "320", "640"]
