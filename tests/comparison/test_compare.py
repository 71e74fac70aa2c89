"""Whole comparisons in miniature: what is in comparison.json can be computed again from the prediction files."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

import feathertune
from feathertune.comparison import making
from feathertune.errors import UserError
from feathertune.folders.comparison import Comparison
from feathertune.folders.run import RunFolder
from feathertune.recipe.files import dump_recipe, load_recipe
from feathertune.recipe.old_names import OLD_KEYS
from feathertune.recipe.schema import Recipe
from feathertune.report.writing import write_report
from feathertune.terminal.comparison_tables import comparison_table
from feathertune.training.reporter import SilentReporter
from feathertune.wording.markdown import escaped
from tiny import save_tiny_base, write_tiny_data

METHODS = ["majority", "bag_of_words", "head", "full", "lora", "qat"]
SEEDS = 2


def write_recipe(folder: Path, epochs: int = 2) -> Path:
    """A recipe of tiny data with a tiny base, from absolute paths."""
    save_tiny_base(folder / "base")
    write_tiny_data(folder / "data", validation=40, test=24)
    path = folder / "recipe.yaml"
    value = {
        "model": {"source": str(folder / "base")},
        "data": {"source": str(folder / "data")},
        "lora": {"rank": 4, "targets": "all-linear"},
        "training": {"epochs": epochs, "batch_size": 16, "learning_rate": 0.01, "precision": "fp32", "seed": 3},
        "quantize": {"epochs": 1, "training": "ptq"},
        "compare": {"seeds": SEEDS, "full": {"learning_rate": 0.002}, "head": {"learning_rate": 0.05}},
    }
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def here(arguments: list[str], *, show: bool) -> tuple[int, str]:
    """`making.launch` in this process: importing torch again for every run takes seconds."""
    from feathertune.cli.app import main

    before, stderr = sys.argv, io.StringIO()
    sys.argv = ["feathertune", *arguments]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(stderr):
            main()
        status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 0
    finally:
        sys.argv = before
    return status, stderr.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and a finished comparison of all methods."""
    folder = tmp_path_factory.mktemp("compare")
    recipe = load_recipe(write_recipe(folder), ["quantize={epochs: 1}", "method=qat"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "launch", here)
        feathertune.compare(recipe, folder / "compared")
    return folder


@pytest.fixture
def recipe(place: Path) -> Recipe:
    return load_recipe(place / "recipe.yaml", ["quantize={epochs: 1}", "method=qat"])


@pytest.fixture
def comparison(place: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((place / "compared" / "comparison.json").read_text())
    assert value.pop("format") == 2
    return value


def predictions_of(run: Path, stage: str, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(labels, predicted, probability of `yes`) straight from a prediction file."""
    with (run / "predictions" / f"{stage}-{split}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels, predicted = (np.array([row[key] == "yes" for row in rows]) for key in ("label", "predicted"))
    return labels, predicted, np.array([float(row["probability_yes"]) for row in rows])


def test_every_method_has_run_folders_of_its_own(place: Path, comparison: dict[str, Any]) -> None:
    assert [method["method"] for method in comparison["methods"]] == METHODS
    assert comparison["seeds"] == [3, 4]
    assert comparison["splits"] == {"validation": 40, "test": 24}
    for method in comparison["methods"]:
        assert method["seeds"] == ([3] if method["method"] in ("majority", "bag_of_words") else [3, 4])
        for run in method["runs"]:
            assert (place / "compared" / run / "summary.json").is_file()
            assert load_recipe(place / "compared" / run / "recipe.yaml").method == method["method"]


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("stage", ["before", "after"])
def test_metrics_are_those_of_the_prediction_files(
    place: Path, comparison: dict[str, Any], stage: str, split: str
) -> None:
    checked = 0
    for method in comparison["methods"]:
        part = method["before" if stage == "before" else "metrics"].get(split)
        if part is None:
            assert method["method"] in ("majority", "bag_of_words")
            continue
        runs = [predictions_of(place / "compared" / run, stage, split) for run in method["runs"]]
        expected = {
            "accuracy": [float((labels == predicted).mean()) for labels, predicted, _ in runs],
            "f1": [float(f1_score(labels, predicted, zero_division=0)) for labels, predicted, _ in runs],
            "roc_auc": [float(roc_auc_score(labels, scores)) for labels, _, scores in runs],
        }
        for metric, values in expected.items():
            assert part[metric]["by_seed"] == pytest.approx(values, abs=1e-6)
            assert part[metric]["value"] == pytest.approx(np.mean(values), abs=1e-6)
            checked += 1
        assert {"loss", "precision", "recall", "ece"} <= part.keys()
        accuracy = part["accuracy"]
        assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert checked == 3 * (6 if stage == "after" else 4)


def test_pairs_are_compared_on_the_same_examples(place: Path, comparison: dict[str, Any]) -> None:
    values = {method["method"]: method["metrics"] for method in comparison["methods"]}
    runs = {method["method"]: [place / "compared" / run for run in method["runs"]] for method in comparison["methods"]}
    pairs = [pair for pair in comparison["pairs"] if pair["metric"] == "accuracy" and pair["split"] == "test"]
    assert [(pair["first"], pair["second"]) for pair in pairs] == list(combinations(METHODS, 2))
    for pair in pairs:
        first, second = (values[pair[side]]["test"]["accuracy"]["value"] for side in ("first", "second"))
        assert pair["difference"] == pytest.approx(first - second, abs=1e-6)
        assert pair["p_adjusted"] >= pair["p_value"]
        assert pair["sentence"] in "\n".join(comparison["sentences"])
    lora, head = (
        [labels == predicted for labels, predicted, _ in (predictions_of(run, "after", "test") for run in runs[method])]
        for method in ("lora", "head")
    )
    counted = [(int((h & ~r).sum()), int((~h & r).sum())) for h, r in zip(head, lora, strict=True)]
    pair = next(pair for pair in pairs if (pair["first"], pair["second"]) == ("head", "lora"))
    assert [(test["b"], test["c"]) for test in pair["mcnemar"]] == counted


def test_costs_are_the_runs_own(place: Path, comparison: dict[str, Any]) -> None:
    methods = {method["method"]: method for method in comparison["methods"]}

    def summaries(method: str) -> list[dict[str, Any]]:
        return [json.loads((place / "compared" / run / "summary.json").read_text()) for run in methods[method]["runs"]]

    seconds = {method: np.median([one["train_seconds"] for one in summaries(method)]) for method in METHODS}
    assert methods["full"]["train_seconds"] == pytest.approx(seconds["full"])
    assert comparison["time_ratio_lora_full"] == pytest.approx(seconds["lora"] / seconds["full"])
    both = [
        own["train_seconds"] + start["train_seconds"]
        for own, start in zip(*map(summaries, ("qat", "lora")), strict=True)
    ]
    assert methods["qat"]["train_seconds"] == pytest.approx(np.median(both)), "what it starts from was trained too"
    weights = place / "base" / "model.safetensors"
    for name, method in methods.items():
        assert method["latency_ms"] > 0
        assert method["peak_memory_mib"] > 10
        assert method["trainable_parameters"] == summaries(name)[0]["trainable_parameters"]
        with_base = name in ("head", "lora")
        assert (method["deployed_bytes"] > method["artefact_bytes"] + weights.stat().st_size) == with_base
    adapter = place / "compared" / methods["lora"]["runs"][0] / "adapter"
    assert methods["lora"]["artefact_bytes"] == sum(
        path.stat().st_size for path in adapter.iterdir() if "tokenizer" not in path.name
    )
    assert methods["qat"]["learning_rate"] == methods["lora"]["learning_rate"] == 0.01
    assert (methods["full"]["learning_rate"], methods["head"]["learning_rate"]) == (0.002, 0.05)


@pytest.mark.parametrize("method", METHODS)
def test_every_methods_run_has_a_report(place: Path, method: str, tmp_path: Path) -> None:
    """Of the very files that the run left, which differ from method to method."""
    shutil.copytree(place / "compared" / "runs" / f"{method}-seed3", tmp_path / method)
    run = RunFolder(tmp_path / method)
    write_report(run.path)
    assert "<h1" in run.report.read_text()
    assert ("tokens are cut" in run.report.read_text()) == (method not in ("majority", "bag_of_words"))


def test_qat_started_from_its_own_seeds_lora_run(place: Path) -> None:
    for seed in (3, 4):
        run = place / "compared" / "runs" / f"qat-seed{seed}"
        _, _, floats = predictions_of(run, "float", "validation")
        _, _, lora = predictions_of(place / "compared" / "runs" / f"lora-seed{seed}", "after", "validation")
        np.testing.assert_allclose(floats, lora, atol=1e-5)


def test_the_readme_and_the_tables_hold_what_the_json_holds(place: Path, comparison: dict[str, Any]) -> None:
    assert not (place / "compared" / "comparison.md").exists(), "README.md holds it all"
    page = (place / "compared" / "README.md").read_text(encoding="utf-8")
    for sentence in [*comparison["budget"], *comparison["sentences"], *comparison["notes"]]:
        assert escaped(sentence) in page
    lora = next(method for method in comparison["methods"] if method["method"] == "lora")
    row = next(line for line in page.splitlines() if line.startswith("| LoRA |"))
    assert f"{lora['before']['validation']['accuracy']['value']:.1%}" in row
    assert f"{lora['metrics']['validation']['accuracy']['value']:.1%}" in row
    from rich.console import Console

    console = Console(width=100, file=io.StringIO())
    console.print(comparison_table(Comparison.of({"format": 2} | comparison, where="comparison.json")))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "LoRA + QAT" in shown
    assert "…" not in shown
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 100


def times_of(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.glob("runs/*/summary.json")}


def test_finished_runs_are_kept_and_others_added(
    place: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "launch", here)
    folder = tmp_path / "compared"
    feathertune.compare(recipe, folder, methods=["head"], seeds=1)
    first = times_of(folder)
    more = feathertune.compare(recipe, folder, methods=["head", "bag_of_words"], seeds=2)
    after = times_of(folder)
    assert first.items() <= after.items()
    assert set(after) == {f"runs/{name}/summary.json" for name in ("head-seed3", "head-seed4", "bag_of_words-seed3")}
    assert [method["seeds"] for method in more["methods"]] == [[3, 4], [3]]
    again = feathertune.compare(recipe, folder, methods=["head", "bag_of_words"], seeds=2)
    assert again == more
    assert times_of(folder) == after


def as_format_1(folder: Path) -> None:
    """Rewrite a comparison as versions with format 1 left it: the method `words`, older keys, no format numbers."""
    (folder / "runs" / "bag_of_words-seed3").rename(folder / "runs" / "words-seed3")
    renamed = {new: old for old, new in OLD_KEYS.items()} | {"bag_of_words": "words"}
    for path in [*folder.rglob("recipe.yaml"), *folder.rglob("*.json")]:
        text = path.read_text(encoding="utf-8")
        for new, old in renamed.items():
            text = text.replace(new, old)
        path.write_text(text, encoding="utf-8")
        if path.suffix == ".json" and isinstance(content := json.loads(text), dict) and content.get("format") == 2:
            del content["format"]
            path.write_text(json.dumps(content), encoding="utf-8")


def test_a_comparison_of_an_earlier_version_is_reported_and_continued(
    place: Path, recipe: Recipe, comparison: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "launch", here)
    folder = tmp_path / "compared"
    shutil.copytree(place / "compared", folder)
    as_format_1(folder)
    assert "words" in {method["method"] for method in json.loads((folder / "comparison.json").read_text())["methods"]}
    write_report(folder)
    assert "| bag of words | " in (folder / "README.md").read_text(encoding="utf-8")
    before = times_of(folder)
    again = feathertune.compare(recipe, folder)
    assert times_of(folder) == before, "every run is kept"
    assert [method["method"] for method in again["methods"]] == METHODS
    assert again["methods"][1]["runs"] == ["runs/words-seed3"]
    again["methods"][1]["runs"] = comparison["methods"][1]["runs"]
    assert again == comparison


def test_another_recipe_and_other_data_are_refused(
    place: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "launch", here)
    shutil.copytree(place / "data", tmp_path / "data")
    own_recipe = load_recipe(place / "recipe.yaml", [f"data.source={tmp_path / 'data'}", "training.epochs=1"])
    folder = tmp_path / "compared"
    feathertune.compare(own_recipe, folder, methods=["majority"], seeds=1)
    other = load_recipe(place / "recipe.yaml", [f"data.source={tmp_path / 'data'}", "training.epochs=2"])
    with pytest.raises(UserError, match="the comparison in this folder was made with another recipe"):
        feathertune.compare(other, folder, methods=["majority"], seeds=1)
    own = folder / "runs" / "majority-seed3" / "recipe.yaml"
    written = own.read_text(encoding="utf-8")
    own.write_text(written.replace("max_length: 128", "max_length: 64"), encoding="utf-8")
    with pytest.raises(UserError, match="the run in this folder was made with another recipe"):
        feathertune.compare(own_recipe, folder, methods=["majority"], seeds=1)
    own.write_text(written, encoding="utf-8")
    with (tmp_path / "data" / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "one more cat", "label": "yes"}\n')
    with pytest.raises(UserError, match="data that has changed since"):
        feathertune.compare(own_recipe, folder, methods=["majority", "bag_of_words"], seeds=1)


def test_a_decision_chosen_on_validation_does_not_flatter_there(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "launch", here)
    chosen = load_recipe(place / "recipe.yaml", ["evaluation={temperature: true, threshold: {maximize: f1}}"])
    folder = tmp_path / "compared"
    comparison = feathertune.compare(chosen, folder, methods=["bag_of_words", "head"], seeds=1)
    for method in comparison["methods"]:
        summary = json.loads((folder / method["runs"][0] / "summary.json").read_text())
        for split in ("validation", "test"):
            after = summary["after"][split]
            unbiased = after["cross_fitted"] or after
            for metric in ("accuracy", "f1", "loss", "ece"):
                assert method["metrics"][split][metric]["value"] == pytest.approx(unbiased[metric], abs=1e-4), metric
            assert method["metrics"][split]["roc_auc"]["value"] == pytest.approx(after["roc_auc"])
        assert summary["after"]["validation"]["cross_fitted"] is not None
    assert any("chosen on validation" in sentence for sentence in comparison["budget"])


def test_a_recipe_that_cannot_run_leaves_nothing_behind(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "launch", here)
    wrong = load_recipe(place / "recipe.yaml", ["data.source=./nowhere"])
    with pytest.raises(UserError, match="nowhere"):
        feathertune.compare(wrong, tmp_path / "compared")
    assert not (tmp_path / "compared").exists()
    with pytest.raises(UserError, match="cannot compare this"):
        feathertune.compare(wrong, tmp_path / "compared", seeds=0)


def test_what_is_no_comparison_is_left_as_it_is(place: Path, recipe: Recipe, tmp_path: Path) -> None:
    wrong = load_recipe(place / "recipe.yaml", ["data.source=./nowhere"])
    run = place / "compared" / "runs" / "majority-seed3"  # its recipe.yaml is as a comparison's would be
    shutil.copytree(run, tmp_path / "run")
    search = tmp_path / "search"
    search.mkdir()
    (search / "recipe.yaml").write_text(dump_recipe(wrong), encoding="utf-8")
    (search / "study.db").write_bytes(b"")
    for folder, kind in ((tmp_path / "run", "run"), (search, "search")):
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for refused in (wrong, load_recipe(folder / "recipe.yaml")):
            with pytest.raises(UserError, match=f"holds a {kind}, not a comparison"):
                feathertune.compare(refused, folder)
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_recipe_in_the_output_folder_is_not_overwritten(place: Path, tmp_path: Path) -> None:
    text = (place / "recipe.yaml").read_text(encoding="utf-8") + "# what I know of it"
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="written by hand"):
        feathertune.compare(load_recipe(tmp_path / "recipe.yaml"), tmp_path)
    assert (tmp_path / "recipe.yaml").read_text(encoding="utf-8") == text


def start(recipe: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "feathertune.cli", "compare", str(recipe), "--methods", "lora"]
    command += ["--seeds", "1", "--output", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_killed_and_started_again_it_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    recipe, folder = write_recipe(tmp_path, epochs=12), tmp_path / "compared"
    run = folder / "runs" / "lora-seed3"
    process = start(recipe, folder)
    deadline = time.monotonic() + 120
    while not list(run.glob("checkpoints/step-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (run / "summary.json").exists(), "it was to be killed before it was done"
    assert list(run.glob("checkpoints/step-*"))

    again = start(recipe, folder)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output.decode()
    assert "lora, seed 3 (1 of 1): resuming" in output.decode()
    assert "LoRA" in output.decode()
    whole = tmp_path / "whole"
    feathertune.train(load_recipe(run / "recipe.yaml"), whole)
    for name in ("predictions/after-test.csv", "adapter/adapter_model.safetensors"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name


def test_the_columns_that_were_found_are_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Lines(SilentReporter):
        def say(self, line: str) -> None:
            said.append(line)

    monkeypatch.setattr(making, "launch", here)
    recipe = load_recipe(write_recipe(tmp_path))
    feathertune.compare(recipe, tmp_path / "out", methods=["majority"], seeds=1, reporter=Lines())
    assert said[0] == "note: text: 'text', label: 'label'"
    assert not any("text: " in line for line in said[1:])
