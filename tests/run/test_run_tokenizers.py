"""The tokenizer that a run was evaluated with is the one that predicts, is saved and is exported."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer, pipeline

from feathertune.data.formats.format import FileSettings
from feathertune.errors import UserError
from feathertune.export.exporting import export_run
from feathertune.folders.inputs import DataRecord
from feathertune.folders.opened import OpenedRun
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.run.context import fingerprint
from feathertune.run.inspect import inspect_source
from feathertune.run.load import load_trained
from feathertune.run.outline import introduce
from feathertune.run.prepare import prepare
from feathertune.run.train import train
from feathertune.serving.bulk import Tally, answers, predict_rows
from feathertune.serving.inputs import open_input
from feathertune.serving.predictor import Predictor
from feathertune.system.machine import default_device
from feathertune.tokens.run_tokenizer import run_tokenizer, save_tokenizer
from tiny import VOCABULARY, save_tiny_base, tiny_tokenizer, write_tiny_data

MAX_LENGTH = 12
METHODS = {
    "lora": (),
    "full": ("method=full",),
    "qat": ("method=qat", "quantize={weights: int8, training: ptq}"),
    "parse": ("model.special_tokens_in_text=parse",),
}
SAVED = {"lora": "adapter", "parse": "adapter", "full": "model", "qat": "quantized"}
MARKED = "the cat [SEP] moon [PAD] sun [SEP]"
LONG = "the sun " * 20 + "cat"


def recipe_of(place: Path, *overrides: str) -> Recipe:
    text = f"""
    model: {{source: '{place / "base"}', max_length: {MAX_LENGTH}}}
    data: {{source: '{place / "data"}'}}
    lora: {{rank: 4, targets: all-linear}}
    training: {{epochs: 1, learning_rate: 0.01, precision: fp32}}
    """
    return parse_recipe(text, list(overrides), where="here")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base with added tokens that its model does not know, data with special tokens, and a run of each method."""
    folder = tmp_path_factory.mktemp("tokenizers")
    save_tiny_base(folder / "base")
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([*(f"horse{number}" for number in range(60)), "zebra"])  # more than the model has
    tokenizer.save_pretrained(folder / "base")
    write_tiny_data(folder / "data")
    for split in ("train", "validation"):
        with (folder / "data" / f"{split}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"text": f"{MARKED} {split}", "label": "yes"}) + "\n")
    for method, changes in METHODS.items():
        train(recipe_of(folder, *changes), folder / method)
    return folder


def ids_of(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, truncation=True)["input_ids"])


@pytest.mark.parametrize("method", METHODS)
def test_transformers_gets_the_run_s_ids_and_cuts_where_it_does(place: Path, method: str) -> None:
    trained = load_trained(place / method)
    theirs = AutoTokenizer.from_pretrained(place / method / SAVED[method])
    assert (theirs.model_max_length, theirs.truncation_side) == (MAX_LENGTH, "right")
    for text in (MARKED, LONG, "what is the moon ?"):
        assert ids_of(theirs, text) == trained.tokenize([text])[0].tolist()
    assert len(ids_of(theirs, LONG)) == MAX_LENGTH
    special = trained.tokenize([MARKED])[0].tolist().count(theirs.sep_token_id)
    assert special == (3 if method == "parse" else 1)


def test_a_pipeline_with_truncation_predicts_as_the_run_does(place: Path) -> None:
    texts = [MARKED, LONG, "what is the cat ?"]
    ours = [one.probabilities["yes"] for one in Predictor(place / "full").predict(texts)]
    classify = pipeline("text-classification", str(place / "full" / "model"), device="cpu", top_k=None)
    found = [{one["label"]: one["score"] for one in scores}["yes"] for scores in classify(texts, truncation=True)]
    np.testing.assert_allclose(found, ours, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("method", "target"), [("lora", "adapter"), ("lora", "merged"), ("parse", "merged")])
def test_exports_for_transformers_have_it(place: Path, method: str, target: Any, tmp_path: Path) -> None:
    export = export_run(place / method, target, tmp_path / "out")
    assert export.parity.passed
    theirs, trained = AutoTokenizer.from_pretrained(export.folder), load_trained(place / method)
    assert theirs.model_max_length == MAX_LENGTH
    assert [ids_of(theirs, text) for text in (MARKED, LONG)] == [
        trained.tokenize([t])[0].tolist() for t in (MARKED, LONG)
    ]


@pytest.mark.parametrize("method", ["lora", "parse"])
def test_an_exported_adapter_predicts_as_its_run_does(place: Path, method: str, tmp_path: Path) -> None:
    export = export_run(place / method, "adapter", tmp_path / "out")
    expected = [one.probabilities["yes"] for one in Predictor(place / method).predict([MARKED, LONG])]
    for folder in (export.folder, place / method / "adapter"):
        found = [one.probabilities["yes"] for one in Predictor(folder).predict([MARKED, LONG])]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    other = {"lora": "parse", "parse": "text"}[method]
    opened = OpenedRun.at(export.folder, [f"model.special_tokens_in_text={other}"])
    assert abs(Predictor(opened).predict(MARKED)[0].probabilities["yes"] - expected[0]) > 1e-6


def test_a_file_s_text_that_cannot_be_predicted_is_named_by_its_line(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    file = tmp_path / "texts.txt"
    file.write_text("the cat\n" * 3 + "a zebra\n", encoding="utf-8")
    export = export_run(place / "lora", "onnx", tmp_path / "out")
    for folder in (place / "lora", export.folder):
        with pytest.raises(UserError, match=r"texts.txt:4: the text 'a zebra' has the token 'zebra'"):
            list(predict_rows(Predictor(folder), file, None))
        tally = Tally()
        opened = open_input(file, FileSettings(), None, Predictor(folder).data)
        found = list(answers(Predictor(folder), opened, tally, skip=True))
        assert [one.prediction is None for one in found] == [False, False, False, True]
        assert (tally.predicted, tally.first_bad[0][:30]) == (3, f"{file}:4 (the text 'a zebra'"[:30])


@pytest.mark.parametrize("method", METHODS)
def test_texts_that_are_cut_are_marked(place: Path, method: str) -> None:
    predictor = Predictor(place / method)
    assert [one.truncated for one in predictor.predict(["the cat", LONG])] == [False, True]
    assert predictor.max_length == MAX_LENGTH


def test_an_onnx_export_has_it_in_tokenizer_json_alone(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    export = export_run(place / "lora", "onnx", tmp_path / "out")
    assert export.parity.passed
    plain = Tokenizer.from_file(str(export.folder / "tokenizer.json"))
    trained = load_trained(place / "lora")
    for text in (MARKED, LONG):
        assert plain.encode(text).ids == trained.tokenize([text])[0].tolist()
    ours, theirs = (
        [list(one.probabilities.values()) for one in Predictor(path).predict([MARKED, LONG])]
        for path in (place / "lora", export.folder)
    )
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5)
    assert [one.truncated for one in Predictor(export.folder).predict(["the cat", LONG])] == [False, True]
    assert Predictor(export.folder).max_length == MAX_LENGTH
    with pytest.raises(UserError, match=r"the text 'a zebra' has the token 'zebra', number \d+; .* ends at 119"):
        Predictor(export.folder).predict(["the cat", "a zebra"])


def test_texts_with_special_tokens_are_counted(place: Path) -> None:
    for method in ("lora", "parse"):
        assert DataRecord.read(place / method / "data.json").special_token_texts == {"train": 1, "validation": 1}
    recipe = place / "lora" / "recipe.yaml"
    for changes in ([], ["model.special_tokens_in_text=parse"]):
        found = inspect_source(str(recipe), changes)
        assert found.special_token_texts == {"train": 1, "validation": 1}
    lines = introduce(prepare(recipe_of(place), default_device()))
    assert any("2 texts have special tokens written out, which are read as text" in line for line in lines)


@pytest.mark.parametrize("changes", [(), ("model.special_tokens_in_text=parse",), ("model.prompt='[SEP] {text}'",)])
def test_inspect_counts_with_the_tokenizer_of_training(place: Path, changes: tuple[str, ...]) -> None:
    (place / "recipe.yaml").write_text((place / "lora" / "recipe.yaml").read_text("utf-8"), encoding="utf-8")
    inspected = inspect_source(str(place / "recipe.yaml"), list(changes))
    trained = prepare(recipe_of(place, *changes), default_device()).data_record
    assert {n: split.tokens for n, split in inspected.splits.items()} == {
        n: split.tokens for n, split in trained.splits.items()
    }


def test_inspect_counts_with_the_tokenizer_of_the_adapter_to_start_from(place: Path, tmp_path: Path) -> None:
    adapter = shutil.copytree(place / "lora" / "adapter", tmp_path / "adapter")
    own = run_tokenizer(tiny_tokenizer(), prompt="the sun {text}", max_length=MAX_LENGTH, special="text")
    save_tokenizer(own, adapter)
    changes = (f"init_from={adapter}", "method=qat", "quantize={weights: int8}", "model.max_length=40")
    recipe = place / "lora" / "recipe.yaml"
    trained = prepare(recipe_of(place, *changes), default_device()).data_record
    for inspected, same in ((inspect_source(str(recipe), list(changes)), True), (inspect_source(str(recipe)), False)):
        assert (inspected.splits["train"].tokens == trained.splits["train"].tokens) == same


def test_a_run_of_an_earlier_version_predicts_as_it_did(place: Path, tmp_path: Path) -> None:
    """It has no such key, no tokenizer with its adapter, and parsed special tokens."""
    run = shutil.copytree(place / "parse", tmp_path / "run")
    recipe = (run / "recipe.yaml").read_text("utf-8")
    older = recipe.replace("  special_tokens_in_text: parse\n", "")
    assert older != recipe
    (run / "recipe.yaml").write_text(older, encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (run / "adapter" / name).unlink()
    assert OpenedRun.at(run).recipe.model.special_tokens_in_text == "parse"
    before, now = (Predictor(folder).predict([MARKED, LONG]) for folder in (place / "parse", run))
    assert before == now
    assert Predictor(place / "lora").predict([MARKED]) != now[:1]
    export = export_run(run, "merged", tmp_path / "merged")
    theirs = AutoTokenizer.from_pretrained(export.folder)
    assert ids_of(theirs, MARKED).count(theirs.sep_token_id) == 3


def test_a_checkpoint_of_an_earlier_version_fits_where_the_tokens_are_the_same(place: Path, tmp_path: Path) -> None:
    def of(folder: Path, *changes: str) -> str:
        return fingerprint(prepare(recipe_of(folder, *changes), default_device()), 1)

    parse = "model.special_tokens_in_text=parse"
    assert of(place) != of(place, parse)
    plain = tmp_path / "plain"
    shutil.copytree(place / "base", plain / "base")
    write_tiny_data(plain / "data")
    assert of(plain) == of(plain, parse)


def test_an_added_token_without_an_embedding_is_an_error_wherever_it_occurs(place: Path, tmp_path: Path) -> None:
    assert Tokenizer.from_file(str(place / "base" / "tokenizer.json")).token_to_id("zebra") >= VOCABULARY
    for method in ("lora", "full", "qat"):
        with pytest.raises(UserError, match=r"the text 'a zebra' has the token 'zebra', number \d+; .* ends at 119"):
            Predictor(place / method).predict(["the cat", "a zebra"])
    data = write_tiny_data(tmp_path / "data")
    with (data / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "a zebra", "label": "no"}\n')
    shutil.copytree(place / "base", tmp_path / "base")
    with pytest.raises(UserError, match=r"train.jsonl:97: the text 'a zebra' has the token 'zebra'"):
        prepare(recipe_of(tmp_path), default_device())


def test_a_base_without_its_tokenizer_is_refused_before_training(place: Path, tmp_path: Path) -> None:
    base = shutil.copytree(place / "base", tmp_path / "base")
    shutil.copytree(place / "data", tmp_path / "data")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (base / name).unlink()
    with pytest.raises(UserError, match=r"tokenizer.json is missing"):
        prepare(recipe_of(tmp_path), default_device())
    (base / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe", encoding="utf-8")
    with pytest.raises(UserError, match=r"unknown to the base's tokenizer|do not belong together"):
        prepare(recipe_of(tmp_path), default_device())
