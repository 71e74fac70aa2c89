"""The files that make an ONNX export a model folder of transformers.js; test_transformers_js.py opens them there."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from feathertune.export.exported import ExportedModel
from feathertune.export.exporting import export_run
from feathertune.export.padded import Ending, ending_after
from feathertune.export.web import tokenizer_settings
from feathertune.folders.export import ExportFolder
from feathertune.tokens.loading import load_tokenizer
from feathertune.tokens.prompt import add_prompt
from tiny import tiny_tokenizer

pytest.importorskip("onnx", reason="the onnx extra is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

TrainedRun = Callable[[str, str], Path]
LONG = "what is the long long river " * 200


@pytest.fixture(scope="module")
def exported(trained_run: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], ExportFolder]:
    """(family, weights) -> the run's ONNX export."""
    place = tmp_path_factory.mktemp("web")

    def find(base: str, weights: str) -> ExportFolder:
        path = place / f"{base}-{weights}"
        if not path.is_dir():
            assert export_run(trained_run(base, weights), "onnx", path).parity.passed
        return ExportFolder(path)

    return find


@pytest.mark.parametrize(
    ("base", "weights", "name", "dtype", "kind"),
    [
        ("bert", "fp32", "model.onnx", "fp32", "bert"),
        ("bert", "int8", "model_int8.onnx", "int8", "bert"),
        ("gpt2", "int4", "model_q4.onnx", "q4", "bert"),  # GPT-2 is no classifier there
    ],
)
def test_the_pipeline_finds_the_model_by_the_config(
    exported: Callable[[str, str], ExportFolder], base: str, weights: str, name: str, dtype: str, kind: str
) -> None:
    folder = exported(base, weights)
    config = json.loads(folder.config.read_text())
    assert config["transformers.js_config"] == {"dtype": dtype}
    assert config["model_type"] == kind
    assert config["architectures"] == [{"bert": "Bert", "gpt2": "GPT2"}[base] + "ForSequenceClassification"]
    assert config["id2label"] == {"0": "no", "1": "yes"}
    assert config["problem_type"] == "single_label_classification"
    assert [path.name for path in (folder.path / "onnx").iterdir()] == [name]


def test_the_two_names_of_the_model_are_one_file(exported: Callable[[str, str], ExportFolder], tmp_path: Path) -> None:
    folder = exported("bert", "int8")
    assert folder.onnx == folder.path / "model.onnx"
    assert folder.onnx.samefile(folder.web_onnx("int8"))
    expected = ExportedModel(folder.path).logits(["what is the cat"])
    for place in ("onnx", "model.onnx"):  # either may be left out: exports by early versions have no onnx/
        copy = shutil.copytree(folder.path, tmp_path / place)
        shutil.rmtree(copy / place) if place == "onnx" else (copy / place).unlink()
        np.testing.assert_array_equal(ExportedModel(copy).logits(["what is the cat"]), expected)


@pytest.mark.parametrize("base", ["bert", "gpt2"])
def test_transformers_reads_the_same_tokenizer(exported: Callable[[str, str], ExportFolder], base: str) -> None:
    folder = exported(base, {"bert": "fp32", "gpt2": "int4"}[base])
    limit = json.loads(folder.description.read_text())["max_length"]
    theirs, ours = load_tokenizer(folder.path), Tokenizer.from_file(str(folder.tokenizer))
    assert theirs.model_max_length == limit
    assert (theirs.padding_side, theirs.pad_token) == ("right", "[PAD]")
    for text in ("what is the cat", "sun", LONG):
        assert theirs(text, truncation=True)["input_ids"] == ours.encode(text).ids
    assert len(ours.encode(LONG).ids) == limit
    assert set(theirs("sun")) == {"input_ids", "attention_mask"}


def test_a_text_cut_by_slicing_gives_the_evaluated_logits(exported: Callable[[str, str], ExportFolder]) -> None:
    """transformers.js drops what is beyond the maximum length: the closing [SEP], too."""
    folder = exported("bert", "fp32")
    tokenizer: Any = Tokenizer.from_file(str(folder.tokenizer))
    right = tokenizer.encode(LONG).ids
    tokenizer.no_truncation()
    sliced = tokenizer.encode(LONG).ids[: len(right)]
    assert sliced != right
    logits = [ExportedModel(folder.path)._runtime.logits(np.array([ids])) for ids in (right, sliced, sliced[:-1])]
    np.testing.assert_array_equal(logits[0], logits[1])
    assert np.abs(logits[0] - logits[2]).max() > 0


def test_only_texts_of_the_maximum_length_get_the_ending() -> None:
    prompted = add_prompt(tiny_tokenizer(), "what {text} moon ?", 8)
    ending = ending_after(prompted, 8)
    assert isinstance(ending, Ending)
    moon, question = prompted.convert_tokens_to_ids(["moon", "?"])
    ids_BL = torch.arange(20, 36).view(2, 8)
    expected = [*range(20, 25), moon, question, 2]
    assert ending(ids_BL, torch.tensor([8, 7])).tolist() == [expected, [*range(28, 36)]]
    assert ending(ids_BL[:, :7], torch.tensor([7, 7])).tolist() == ids_BL[:, :7].tolist()


def test_nothing_is_put_after_a_text_that_has_no_ending() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = None
    assert ending_after(tokenizer, 8) is None


def test_padding_needs_a_token_that_the_model_knows() -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer_settings(tokenizer, 8, 100)["pad_token"] == "[PAD]"
    tokenizer.add_special_tokens({"pad_token": "[BEYOND]", "eos_token": "[SEP]"})  # a new token, after the last one
    known = len(tokenizer) - 1
    assert tokenizer_settings(tokenizer, 8, known)["pad_token"] == "[SEP]"
    assert tokenizer_settings(tokenizer, 8, known + 1)["pad_token"] == "[BEYOND]"
    tokenizer.eos_token = None
    assert tokenizer_settings(tokenizer, 8, known)["pad_token"] == "[PAD]"  # the first of all tokens
