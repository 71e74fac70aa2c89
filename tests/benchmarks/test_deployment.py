"""The benchmark of deployments, on a tiny model: every contender has its row."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

import deployment
from shapes import Shape
from tiny import tiny_tokenizer

pytest.importorskip("onnx", reason="the onnx extra is not installed")


@pytest.mark.slow
def test_every_contender_has_its_row_and_they_agree(
    tiny_shape: Shape, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_tokenizer().save_pretrained(tmp_path / "tokenizer")
    options = ["--models", "tiny", "--tokenizer", str(tmp_path / "tokenizer"), "--output", str(tmp_path / "out.json")]
    few = ["--rounds", "1", "--queries", "3", "--warm-up", "1", "--bulk", "20", "--repeats", "1", "--threads", "1"]
    deployment.main([*options, *few, "--artefacts", str(tmp_path / "artefacts")])
    measured = json.loads((tmp_path / "out.json").read_text())["models"]["tiny"]
    table = capsys.readouterr().out
    absent = {name for name in ("executorch", "openvino", "nncf") if importlib.util.find_spec(name) is None}
    for name, one in deployment.CONTENDERS.items():
        needed = {one.made_by, one.kind.partition("-")[0]}
        assert (name in measured["rows"]) == needed.isdisjoint(absent)
    for name in absent - ({"nncf"} if "openvino" in absent else set()):
        assert f"skipped, {name} is not installed" in table
    for name, row in measured["rows"].items():
        assert row["title"] in table
        assert (tmp_path / "artefacts" / "tiny" / name).is_dir()
        assert row["size_mib"] > 0
        assert 0 < row["query_p50_ms"] <= row["query_p99_ms"]
        assert row["same_labels"] > 0.9  # only int4 of random weights need not be 1
    assert measured["rows"]["ours-onnx-fp32"]["same_labels"] == 1
    shown = [goal for goal in deployment.GOALS if {goal[1], goal[3]} <= set(measured["rows"])]
    assert table.count("goal at") == len(shown) >= 6


def row(**changes: Any) -> dict[str, Any]:
    speeds = {"texts_per_second": {"median": 100.0}, "queries_per_second": 10.0}
    return {"size_mib": 100.0, **speeds, **changes}


def test_goals_are_ratios_of_the_contenders_that_took_part() -> None:
    rows = {
        "torch-fp32": row(metrics={"accuracy": 0.80}),
        "onnx-fp32": row(),
        "ours-onnx-int8": row(
            size_mib=25.0, texts_per_second={"median": 240.0}, queries_per_second=30.0, metrics={"accuracy": 0.798}
        ),
    }
    assert deployment.goals(rows) == [
        "int8 size, of fp32: 0.250 (goal at most 0.26: reached)",
        "int8 bulk, x ONNX fp32: 2.400 (goal at least 2.5: NOT reached)",
        "int8 query p50, torch fp32's x: 3.000 (goal at least 2.5: reached)",
        "int8 accuracy, points from fp32: -0.20 (goal at least -0.3: reached)",
    ]


def test_metrics_need_the_fp32_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        deployment.main(["--runs", "int8=somewhere"])
    assert "fp32=RUN" in capsys.readouterr().err


def test_a_precision_without_a_run_is_skipped_with_the_reason(tmp_path: Path) -> None:
    subject = deployment.Subject(None, None, {"fp32": tmp_path, "int8": tmp_path})
    assert deployment._skip_reason(deployment.CONTENDERS["ours-onnx-int8"], subject) is None
    reason = deployment._skip_reason(deployment.CONTENDERS["ours-onnx-int4"], subject)
    assert reason == "--runs names no int4 run"
