"""Adapters as PEFT leaves them: evaluated, predicted with, exported and started from, without a run folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from feathertune.errors import UserError
from feathertune.export.exporting import export_run, summary_lines
from feathertune.folders.opened import OpenedRun
from feathertune.recipe.files import parse_recipe
from feathertune.run.evaluate import evaluate_run
from feathertune.run.load import load_trained
from feathertune.run.train import train
from feathertune.serving.predictor import Predictor
from lively import move_trained
from tiny import save_tiny_base, tiny_tokenizer, write_tiny_data

TEXTS = ["what is the cat ?", "how does the sun burn", "can we sing in the long train from north to south ?"]

pytestmark = [
    pytest.mark.filterwarnings("ignore:Could not find a config file in:UserWarning"),  # PEFT looks on the Hub
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Saves an adapter with PEFT, for a base that it names, as a script of PEFT's users does."""

    def save(family: str = "bert", *, classes: int = 2, **options: Any) -> Path:
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForSequenceClassification

        base, folder = tmp_path / f"{family}-base", tmp_path / f"{family}-adapter"
        save_tiny_base(base, family)
        pad = {"pad_token_id": 0} if family == "gpt2" else {}
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=classes, **pad)
        options = {"target_modules": ["c_attn"] if family == "gpt2" else ["query", "value"], "r": 4, **options}
        adapted = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", fan_in_fan_out=family == "gpt2", **options))
        move_trained(adapted)
        move_trained(adapted)
        adapted.save_pretrained(folder)
        return folder

    return save


def peft_probabilities(folder: Path, texts: list[str], classes: int = 2) -> torch.Tensor:
    """[N, C]: what PEFT and transformers compute, one text at a time."""
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=classes)
    model = PeftModel.from_pretrained(model, folder).eval()
    with torch.no_grad():
        rows = [model(**tiny_tokenizer()(text, return_tensors="pt")).logits[0] for text in texts]
    return torch.stack(rows).softmax(1)


def recipe_from(folder: Path, base: Path, data: Path, *overrides: str) -> Any:
    text = json.dumps(
        {
            "model": {"source": str(base), "max_length": 32},
            "data": {"source": str(data)},
            "method": "qat",
            "init_from": str(folder),
            "quantize": {"epochs": 1},
        }
    )
    return parse_recipe(text, list(overrides), where="test")


@pytest.mark.parametrize(
    ("family", "options"),
    [("bert", {}), ("bert", {"use_dora": True}), ("gpt2", {"rank_pattern": {"0.attn.c_attn": 2}})],
    ids=["bert", "dora", "gpt2"],
)
def test_predictions_are_pefts(save: Save, family: str, options: dict[str, Any]) -> None:
    folder = save(family, **options)
    predictions = Predictor(folder).predict(TEXTS)
    ours = torch.tensor([[p.probabilities["LABEL_0"], p.probabilities["LABEL_1"]] for p in predictions])
    assert float((ours - peft_probabilities(folder, TEXTS)).abs().max()) < 1e-6
    assert float((ours[0] - ours[1]).abs().max()) > 1e-4


def test_evaluation_names_the_classes_by_the_data(save: Save, tmp_path: Path) -> None:
    folder, data, notes = save(), write_tiny_data(tmp_path / "data", validation=20), list[str]()
    metrics = evaluate_run(folder, data=data / "validation.jsonl", say=notes.append)
    rows = [json.loads(line) for line in (data / "validation.jsonl").read_text().splitlines()]
    predicted = peft_probabilities(folder, [row["text"] for row in rows]).argmax(1).tolist()
    right = sum(["no", "yes"][index] == row["label"] for index, row in zip(predicted, rows, strict=True))
    assert metrics.accuracy == right / 20
    assert len(notes) == 1
    assert "no, yes" in notes[0]
    named = OpenedRun.at(folder, ['data.label.names=["yes","no"]'])
    assert evaluate_run(named, data=data / "validation.jsonl", say=notes.append).accuracy == 1 - right / 20
    assert len(notes) == 1


def test_columns_and_numbered_labels(save: Save, tmp_path: Path) -> None:
    """A file with other columns, whose labels are the numbers of the classes."""
    folder, data, file = save(), write_tiny_data(tmp_path / "data", validation=20), tmp_path / "queries.csv"
    rows = [json.loads(line) for line in (data / "validation.jsonl").read_text().splitlines()]
    file.write_text("query,intent\n" + "".join(f"{r['text']},{int(r['label'] == 'yes')}\n" for r in rows))
    opened = OpenedRun.at(folder, ["data.text=query", "data.label.column=intent"])
    assert evaluate_run(opened, data=file).accuracy == evaluate_run(folder, data=data / "validation.jsonl").accuracy


def test_where_the_names_of_classes_come_from(save: Save, tmp_path: Path) -> None:
    folder, base = save(), tmp_path / "bert-base"

    def names(*settings: str) -> tuple[str, ...]:
        return load_trained(OpenedRun.at(folder, settings)).classifier.label_names

    assert names() == ("LABEL_0", "LABEL_1")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "id2label": {"0": "bad", "1": "good"}}))
    assert names() == ("bad", "good")
    (folder / "config.json").write_text(json.dumps({**config, "id2label": {"0": "off", "1": "on"}}))
    assert names() == ("off", "on")
    (folder / "labels.json").write_text(json.dumps({"id2label": {"0": "left", "1": "right"}}))
    assert names() == ("left", "right")
    assert names("data.label.names=[up,down]") == ("up", "down")
    with pytest.raises(UserError, match="3 names are given for 2 classes"):
        names("data.label.names=[a,b,c]")


def test_the_tokenizer_and_the_length_of_a_trainers_checkpoint(save: Save, tmp_path: Path) -> None:
    """A checkpoint folder holds the tokenizer that was trained with, and how long its texts may be."""
    folder = save()
    assert load_trained(folder).max_length == 300  # the model's positions; the tokenizer names no limit
    tokenizer = tiny_tokenizer()
    tokenizer.model_max_length = 7
    tokenizer.save_pretrained(folder)
    checkpoint = tmp_path / "output" / "checkpoint-12"
    shutil.copytree(folder, checkpoint)
    for name in ("optimizer.pt", "training_args.bin", "trainer_state.json"):
        (checkpoint / name).write_bytes(b"")
    assert load_trained(checkpoint).max_length == 7
    assert load_trained(OpenedRun.at(checkpoint, ["model.max_length=5"])).max_length == 5
    with pytest.raises(UserError, match=r"Give .*checkpoint-12"):
        OpenedRun.at(checkpoint.parent)
    with pytest.raises(UserError, match="301 tokens are more than the model's 300 positions"):
        load_trained(OpenedRun.at(checkpoint, ["model.max_length=301"]))


def test_a_tokenizer_of_its_own_that_git_lfs_did_not_fetch(save: Save) -> None:
    folder = save()
    tiny_tokenizer().save_pretrained(folder)
    (folder / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\nsize 1234\n")
    with pytest.raises(UserError, match=r"tokenizer\.json: this is a Git LFS pointer, not the file of 1,234 bytes"):
        Predictor(folder)


def test_an_adapter_exported_from_a_run_keeps_the_runs_rules(save: Save, tmp_path: Path) -> None:
    """Its export.json holds the maximum length, and how logits become labels."""
    folder, data = save(), write_tiny_data(tmp_path / "data")
    export_run(folder, "adapter", tmp_path / "out", data=data / "validation.jsonl")
    description = json.loads((tmp_path / "out" / "export.json").read_text())
    changed = {**description, "max_length": 5, "temperature": 2.0, "threshold": 0.25}
    (tmp_path / "out" / "export.json").write_text(json.dumps(changed))
    trained = load_trained(tmp_path / "out")
    assert (trained.max_length, trained.decision.temperature, trained.decision.threshold) == (5, 2.0, 0.25)
    assert trained.classifier.label_names == ("no", "yes")


def test_the_base_may_be_elsewhere(save: Save, tmp_path: Path) -> None:
    folder = save()
    before = Predictor(folder).predict(TEXTS)
    (tmp_path / "bert-base").rename(tmp_path / "moved")
    with pytest.raises(
        UserError, match="the adapter's base model cannot be used: there is no such model folder"
    ) as caught:
        Predictor(folder)
    assert "Or give its location with --base" in str(caught.value)
    assert Predictor(folder, base=str(tmp_path / "moved")).predict(TEXTS) == before
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": None}))
    with pytest.raises(UserError, match="the adapter names no base model"):
        Predictor(folder)


def test_what_is_not_for_an_adapters_folder(save: Save, tmp_path: Path) -> None:
    folder, data = save(), write_tiny_data(tmp_path / "data")
    with pytest.raises(UserError, match="an adapter has no data of its own"):
        evaluate_run(folder)
    with pytest.raises(UserError, match="only texts and labels can be described"):
        OpenedRun.at(folder, ["lora.rank=3"])
    with pytest.raises(UserError, match="unknown label 'no'"):
        evaluate_run(OpenedRun.at(folder, ["data.label.names=[a,b]"]), data=data / "validation.jsonl")
    (data / "validation.jsonl").write_text("".join(f'{{"text": "{n}", "label": "{n}"}}\n' for n in ("a", "b", "c")))
    with pytest.raises(UserError, match=r"2 classes without names, and .* has 3 labels"):
        evaluate_run(folder, data=data / "validation.jsonl")


def test_a_regression_is_no_classifier(save: Save) -> None:
    folder = save(classes=1)
    with pytest.raises(UserError, match="the adapter predicts a number \\(regression\\)"):
        Predictor(folder)


@pytest.mark.parametrize("to", ["onnx", "merged", "adapter"])
def test_an_export_is_compared_on_the_data(save: Save, tmp_path: Path, to: Any) -> None:
    pytest.importorskip("onnx", reason="the onnx extra is not installed")
    folder, data = save(), write_tiny_data(tmp_path / "data")
    export = export_run(folder, to, tmp_path / "out", data=data / "validation.jsonl")
    assert export.parity.passed, export.parity.refused
    assert (export.parity.split, export.parity.rows) == ("validation", 32)
    assert export.parity.logit_difference["maximum"] < 1e-5
    assert export.parity.metrics["accuracy"]["moved"] == 0
    if to == "onnx":
        theirs = peft_probabilities(folder, TEXTS)
        predictions = Predictor(tmp_path / "out").predict(TEXTS)
        assert [p.label for p in predictions] == [["no", "yes"][index] for index in theirs.argmax(1).tolist()]
        assert predictions[0].probabilities["yes"] == pytest.approx(float(theirs[0, 1]), abs=1e-6)


def test_an_export_without_data_reports_what_it_was_compared_on(save: Save, tmp_path: Path) -> None:
    folder, notes = save("gpt2"), list[str]()
    export = export_run(folder, "merged", tmp_path / "out", say=notes.append)
    assert export.parity.passed
    assert export.parity.split == "the built-in sample, texts only"
    assert export.parity.metrics == {}
    assert "texts of the built-in sample" in notes[0]
    assert "labels agree in 100.000%" in summary_lines(export)[0]


@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed:UserWarning")
@pytest.mark.filterwarnings("ignore:Adapter 'default'.* invalid shape:UserWarning")
def test_a_bias_that_transformers_has_no_place_for_is_not_merged(save: Save, tmp_path: Path) -> None:
    folder = save("llama", lora_bias=True, target_modules=["q_proj"])
    with pytest.raises(UserError, match=r"transformers' model has no model\.layers\.0\.self_attn\.q_proj\.bias"):
        export_run(folder, "merged", tmp_path / "out")


def test_qat_starts_from_it(save: Save, tmp_path: Path) -> None:
    folder, data = save(rank_pattern={"value": 2}), write_tiny_data(tmp_path / "data")
    recipe = recipe_from(folder, tmp_path / "bert-base", data)
    summary = train(recipe, tmp_path / "run")
    float_stage = summary["float"]["validation"]["loss"]
    assert float_stage == pytest.approx(evaluate_run(folder, data=data / "validation.jsonl").loss, abs=1e-6)
    tensors = json.loads((tmp_path / "run" / "adapter" / "adapter_config.json").read_text())
    assert set(tensors["rank_pattern"].values()) == {2}
    assert Predictor(tmp_path / "run").predict(TEXTS)
    assert summary.get("start") is None  # nothing is known about its epochs and its data


def test_training_does_not_start_from_dora_or_other_classes(save: Save, tmp_path: Path) -> None:
    folder, data = save(use_dora=True), write_tiny_data(tmp_path / "data")
    recipe = recipe_from(folder, tmp_path / "bert-base", data)
    with pytest.raises(UserError, match="training cannot continue from an adapter with use_dora=True"):
        train(recipe, tmp_path / "run")
    shutil.rmtree(folder)
    folder = save()
    (folder / "labels.json").write_text(json.dumps({"id2label": {"0": "yes", "1": "no"}}))
    with pytest.raises(UserError, match="the adapter has the classes"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_command_line(save: Save, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from feathertune.cli.app import app

    folder, data = save(), write_tiny_data(tmp_path / "data")
    run = CliRunner().invoke(
        app, ["predict", str(folder), TEXTS[0], "--format", "json", "--set", "data.label.names=[un,deux]"]
    )
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)[0]["label"] in ("un", "deux")
    run = CliRunner().invoke(app, ["evaluate", str(folder), "--data", str(data), "--format", "json"])
    assert json.loads(run.stdout)["num_examples"] == 32
    assert "the adapter does not name its classes" in run.stderr
    arguments = ["export", str(folder), "--to", "merged", "--output", str(tmp_path / "out"), "--data", str(data)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
