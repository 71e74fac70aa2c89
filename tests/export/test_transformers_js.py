"""An ONNX export in transformers.js, in node: its pipeline, without options, predicts as our own runtime does.

It needs node and the package; `make node` installs the version of examples/transformers_js/package.json.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser_cases import PROMPT, TEXTS, Case, export
from browsers import NEEDS_PACKAGES
from feathertune.export.exported import ExportedModel
from feathertune.folders.export import ExportFolder
from feathertune.prediction.decision import Decision

pytest.importorskip("onnx", reason="the onnx extra is not installed")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "transformers_js"
MODULES = Path(os.environ.get("FEATHERTUNE_NODE_MODULES", EXAMPLE / "node_modules"))


CASES = {
    "bert": Case("bert"),
    "bert in int8 with a prompt": Case("bert", "int8", prompt=PROMPT, tolerance=3e-2),
    "bert in int4": Case("bert", "int4", tolerance=3e-2),
    "bert by the helper": Case("bert", helper=True, decision=Decision(0.7, 0.4)),
    "bert with a prompt, cut at the beginning": Case("bert", prompt=PROMPT, side="left", helper=True),
    "gpt2": Case("gpt2"),
    "gpt2 with a prompt": Case("gpt2", prompt=PROMPT),
    "gpt2 in int8": Case("gpt2", "int8", tolerance=3e-2),
    "roberta with a prompt": Case("roberta", prompt=PROMPT),
    "xlm-roberta": Case("xlm-roberta"),
    "llama with a prompt": Case("llama", prompt=PROMPT),
}
WEB = ("bert in int8 with a prompt", "gpt2 in int8")  # also as exports for browsers, which have more files


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts and node's packages."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not (MODULES / "@huggingface" / "transformers").is_dir():
        pytest.skip("transformers.js is not installed: make node")
    folder = tmp_path_factory.mktemp("node")
    (folder / "node_modules").symlink_to(MODULES.resolve())
    for script in (EXAMPLE / "predict.mjs", Path(__file__).with_name("pipelines.mjs")):
        shutil.copy(script, folder)
    return folder


@pytest.fixture(scope="module")
def outputs(place: Path) -> dict[str, tuple[ExportFolder, dict[str, Any]]]:
    """The name of a case -> its export, and what transformers.js predicts for `TEXTS`."""
    folders = {name: export(case, place / name.replace(" ", "-")) for name, case in CASES.items()}
    if not NEEDS_PACKAGES.args[0]:
        folders |= {f"{name}, web": export(CASES[name], place / f"web{i}", "web") for i, name in enumerate(WEB)}
    requests = [
        {"folder": str(folder.path), "texts": TEXTS, "batches": [1, 7], "helper": case_of(name).helper}
        for name, folder in folders.items()
    ]
    done = subprocess.run(
        ["node", "pipelines.mjs"], cwd=place, input=json.dumps(requests), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {name: (folders[name], output) for name, output in zip(folders, json.loads(done.stdout), strict=True)}


def case_of(name: str) -> Case:
    return CASES[name.removesuffix(", web")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", [*CASES, *(pytest.param(f"{name}, web", marks=NEEDS_PACKAGES) for name in WEB)])
def test_it_predicts_as_our_own_runtime(outputs: Any, name: str) -> None:
    folder, output = outputs[name]
    case = case_of(name)
    assert output["warned"] == []
    ours = ExportedModel(folder.path)
    probabilities_NC = ours.decision.probabilities(ours.logits(TEXTS))
    assert probabilities_NC.std(axis=0).max() > 0.05  # the texts differ
    for rows in output["rows"]:  # one by one, and in batches
        theirs_NC = np.array([[row["scores"][label] for label in ours.label_names] for row in rows])
        np.testing.assert_allclose(theirs_NC, probabilities_NC, rtol=0, atol=case.tolerance)
        if case.helper:
            classes_N = ours.decision.classes(probabilities_NC)
            assert [row["label"] for row in rows] == [ours.label_names[one] for one in classes_N]


def test_the_example_prints_a_line_for_each_text(outputs: Any, place: Path) -> None:
    folder, output = outputs["bert by the helper"]
    done = subprocess.run(["node", "predict.mjs", folder.path, *TEXTS[:3]], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(label, text) for label, _, text in lines] == [
        (row["label"], text) for row, text in zip(output["rows"][0], TEXTS[:3], strict=False)
    ]
    scores = [float(score) for _, score, _ in lines]
    assert scores == pytest.approx([row["scores"][row["label"]] for row in output["rows"][0][:3]], abs=1e-6)
