"""The page's engine in Node.js: by onnxruntime-web's wasm, it predicts from the same tokens as our runtime."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from browser_cases import MAX_LENGTH, PROMPT, TEXTS, Case, export
from browsers import NEEDS_PACKAGES
from feathertune.export.exported import ExportedModel
from feathertune.folders.export import ExportFolder
from feathertune.prediction.decision import Decision

pytest.importorskip("onnx", reason="the onnx extra is not installed")

pytestmark = NEEDS_PACKAGES

CASES = {
    "bert by a decision": Case("bert", helper=True, decision=Decision(0.7, 0.4)),
    "bert in int8 with a prompt": Case("bert", "int8", prompt=PROMPT, tolerance=3e-2),
    "bert in int4": Case("bert", "int4", tolerance=3e-2),
    "bert with a prompt, cut at the beginning": Case("bert", prompt=PROMPT, side="left"),
    "gpt2": Case("gpt2"),
    "gpt2 with a prompt": Case("gpt2", prompt=PROMPT),
    "roberta with a prompt": Case("roberta", prompt=PROMPT),
    "xlm-roberta": Case("xlm-roberta"),
    "llama with a prompt": Case("llama", prompt=PROMPT),
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[ExportFolder, dict[str, Any]]]:
    """The name of a case -> its export, and what the engine predicts for `TEXTS`."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    place = tmp_path_factory.mktemp("engine")
    folders = {name: export(case, place / name.replace(" ", "-"), "web") for name, case in CASES.items()}
    requests = json.dumps([{"folder": str(folder.path), "texts": TEXTS} for folder in folders.values()])
    script = Path(__file__).with_name("browser_engine.mjs")
    done = subprocess.run(["node", script], input=requests, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name: (folders[name], output) for name, output in zip(CASES, json.loads(done.stdout), strict=True)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_it_predicts_from_the_same_tokens(outputs: Any, name: str) -> None:
    folder, output = outputs[name]
    tokenizer = Tokenizer.from_file(str(folder.tokenizer))
    rows = output["predictions"]
    assert [row["tokens"] for row in rows] == [tokenizer.encode(text).ids for text in TEXTS]
    tokenizer.no_truncation()
    assert [row["truncated"] for row in rows] == [len(tokenizer.encode(text).ids) > MAX_LENGTH for text in TEXTS]
    assert {row["truncated"] for row in rows} == {True, False}
    ours = ExportedModel(folder.path)
    probabilities_NC = ours.decision.probabilities(ours.logits(TEXTS))
    assert probabilities_NC.std(axis=0).max() > 0.05  # the texts differ
    theirs_NC = np.array([row["probabilities"] for row in rows])
    np.testing.assert_allclose(theirs_NC, probabilities_NC, rtol=0, atol=CASES[name].tolerance)
    assert np.median(np.abs(theirs_NC - probabilities_NC)) < 1e-6
    second_N, first_N = np.sort(probabilities_NC, axis=1)[:, -2:].T
    sure_N = first_N - second_N > 2 * CASES[name].tolerance  # others may be decided by a step of the integers
    labels = [ours.label_names[one] for one in ours.decision.classes(probabilities_NC)]
    assert [row["label"] for row, sure in zip(rows, sure_N, strict=True) if sure] == [
        label for label, sure in zip(labels, sure_N, strict=True) if sure
    ]


def test_a_text_without_tokens_is_refused(outputs: Any) -> None:
    assert outputs["gpt2"][1]["refused"] == 'the text "" has no tokens'
    assert outputs["bert in int4"][1]["refused"] is None  # [CLS] [SEP]
