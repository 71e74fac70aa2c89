"""Typed, versioned JSON: what is written is read, older files too; later and damaged ones are one clear error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from feathertune.errors import UserError
from feathertune.folders.comparison import Comparison
from feathertune.folders.evaluation import CalibrationRecord, ErrorAnalysis, LatencyRecord
from feathertune.folders.export import ExportDescription
from feathertune.folders.inputs import BaseRecord, DataRecord, EnvironmentRecord
from feathertune.folders.metrics import Metrics
from feathertune.folders.record import Part, Record
from feathertune.folders.search import Search
from feathertune.folders.summary import Summary
from made_up import made_up_comparison, made_up_run, made_up_search


class Wheel(Part):
    spokes: int
    weight: float | None = None


class Bicycle(Record):
    FORMAT: ClassVar[int] = 3
    name: str
    wheels: tuple[Wheel, ...]
    colour: str = "black"

    @classmethod
    def upgraded(cls, content: dict[str, Any]) -> dict[str, Any]:
        return {**content, "name": content["name"].title()}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "bicycle.json"
    bicycle = Bicycle(name="Ж", wheels=(Wheel(spokes=36, weight=0.1 + 0.2), Wheel(spokes=28)))
    bicycle.write(path)
    assert Bicycle.read(path) == bicycle
    assert list(path.parent.iterdir()) == [path]


def test_the_file_has_its_format_and_the_keys_that_were_given(tmp_path: Path) -> None:
    Bicycle(name="a", wheels=(Wheel(spokes=36), Wheel(spokes=28, weight=None))).write(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "format": 3,
        "name": "a",
        "wheels": [{"spokes": 36}, {"spokes": 28, "weight": None}],
    }


@pytest.mark.parametrize("older", [{}, {"format": 1}, {"format": 2}])
def test_an_older_file_is_upgraded(older: dict[str, int]) -> None:
    assert Bicycle.of({**older, "name": "a tandem", "wheels": []}, where="a.json").name == "A Tandem"
    assert Bicycle.of({"format": 3, "name": "a tandem", "wheels": []}, where="a.json").name == "a tandem"


def test_a_key_of_another_version_is_ignored() -> None:
    bicycle = Bicycle.of({"format": 3, "name": "a", "wheels": [{"spokes": 1, "rim": "red"}], "bell": 1}, where="a.json")
    assert bicycle == Bicycle(name="a", wheels=(Wheel(spokes=1),))


def test_a_later_file_is_refused_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"format": 4, "anything": "else"}', encoding="utf-8")
    with pytest.raises(UserError) as error:
        Bicycle.read(tmp_path / "a.json")
    sentence = "a later version of Feathertune wrote this file (format 4, this version reads up to 3)"
    assert str(error.value) == f"{tmp_path / 'a.json'}: {sentence}\n  Install a newer version of Feathertune."


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], "it holds no JSON object"),
        ("text", "it holds no JSON object"),
        ({"format": 3, "name": "a"}, "it has no key 'wheels'"),
        ({"format": 3, "name": "a", "wheels": [{"spokes": 1}, {}]}, "it has no key 'wheels.1.spokes'"),
        ({"format": 3, "name": 1, "wheels": []}, "name: Input should be a valid string"),
        ({"format": 3, "name": "a", "wheels": [{"spokes": "many"}]}, "wheels.0.spokes: Input should be"),
        ({"format": 1, "wheels": []}, "it does not have the layout of its format"),
        ({"format": 1, "name": 1, "wheels": []}, "it does not have the layout of its format"),
        ({"format": "3", "name": "a", "wheels": []}, "format: this must be a positive whole number"),
        ({"format": True, "name": "a", "wheels": []}, "format: this must be a positive whole number"),
        ({"format": 0, "name": "a", "wheels": []}, "format: this must be a positive whole number"),
    ],
)
def test_a_damaged_file_is_named_with_its_key(content: object, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError) as error:
        Bicycle.read(tmp_path / "a.json")
    assert str(error.value).startswith(f"{tmp_path / 'a.json'}: the file is damaged: {problem}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.json: the file is missing"):
        Bicycle.read(tmp_path / "a.json")


def records(folder: Path) -> list[tuple[Path, type[Record]]]:
    """Every JSON file of ours in a folder, with its record."""
    names: dict[str, type[Record]] = {
        "summary.json": Summary,
        "data.json": DataRecord,
        "base.json": BaseRecord,
        "environment.json": EnvironmentRecord,
        "calibration.json": CalibrationRecord,
        "latency.json": LatencyRecord,
        "comparison.json": Comparison,
        "tune.json": Search,
    }
    files = [(folder / name, record) for name, record in names.items() if (folder / name).is_file()]
    evaluations = sorted((folder / "evaluation").glob("*.json"))
    return files + [(path, ErrorAnalysis if path.name.startswith("errors-") else Metrics) for path in evaluations]


@pytest.mark.parametrize("quantized", [False, True])
def test_every_file_of_a_run_is_read_and_written_as_it_was(quantized: bool, tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", quantized=quantized)
    files = records(run.path)
    assert {Summary, DataRecord, BaseRecord, EnvironmentRecord, ErrorAnalysis, Metrics} <= {kind for _, kind in files}
    for path, record in files:
        content = json.loads(path.read_text(encoding="utf-8"))
        assert record.read(path).to_json() == {key: value for key, value in content.items() if key != "format"}


def test_comparisons_and_searches_are_read_and_written_as_they_were(tmp_path: Path) -> None:
    made_up_comparison(tmp_path / "comparison")
    made_up_search(tmp_path / "search")
    for path, record in (*records(tmp_path / "comparison"), *records(tmp_path / "search")):
        content = json.loads(path.read_text(encoding="utf-8"))
        assert record.read(path).to_json() == {key: value for key, value in content.items() if key != "format"}


def test_the_old_name_of_a_method_is_read_in_older_files_alone(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run")
    summary = Summary.read(run.summary).to_json()
    for older in ({}, {"format": 1}):
        assert Summary.of({**older, **summary, "method": "words"}, where="summary.json").method == "bag_of_words"
    folder = made_up_comparison(tmp_path / "comparison")
    comparison = Comparison.read(folder / "comparison.json").to_json()
    text = json.dumps(comparison).replace('"method1"', '"words"')
    older_comparison = Comparison.of(json.loads(text), where="comparison.json")
    assert [one.method for one in older_comparison.methods] == ["method0", "bag_of_words", "method2"]
    assert {(pair.first, pair.second) for pair in older_comparison.pairs} == {
        ("method0", "bag_of_words"),
        ("method0", "method2"),
        ("bag_of_words", "method2"),
    }


def test_an_export_of_each_format_is_read_and_an_unknown_key_refused() -> None:
    oldest = {
        "format": 1,
        "target": "onnx",
        "precision": "int8",
        "max_length": 128,
        "model": "m",
        "method": "qat",
        "data": {"source": "d", "text": "text", "label": {"column": "label"}},
        "inputs": "ids",
    }
    described = ExportDescription.of(oldest, where="export.json")
    assert (described.temperature, described.threshold) == (1.0, 0.5)
    assert {"validation_fraction", "on_bad_row"} <= described.to_json()["data"].keys()
    chosen = ExportDescription.of({**oldest, "format": 2, "temperature": 2.0, "threshold": 0.3}, where="export.json")
    assert (chosen.temperature, chosen.threshold) == (2.0, 0.3)
    for wrong in ({"bias": 1.0}, {"temperature": 0.0}, {"threshold": 1.0}, {"target": "tensorrt"}):
        with pytest.raises(UserError, match=f"the file is damaged: {next(iter(wrong))}: "):
            ExportDescription.of({**oldest, **wrong}, where="export.json")
    with pytest.raises(UserError, match="a later version of Feathertune"):
        ExportDescription.of({**oldest, "format": 5}, where="export.json")
    portable = ExportDescription.of({**oldest, "format": 3, "needs": []}, where="export.json")
    assert (portable.needs, chosen.needs, portable.base_sha256) == ((), ("exact-int8-products",), None)
