"""How a run is used and made again, as page and card say it: commands, Python, and PEFT's way where it is the same.

PEFT's way is left out where it would give another model than the one that was evaluated, and a sentence says why.
"""

from __future__ import annotations

import shlex
from typing import Any

from feathertune.report.facts import RunFacts
from feathertune.report.page import shown
from feathertune.report.provenance import of_base
from feathertune.stats.probabilities import BINARY_THRESHOLD

IN_PYTHON = "Made with feathertune.train in Python, from the recipe below."


def use_commands(facts: RunFacts, path: str) -> str:
    """The command line's way. A baseline is no transformer to evaluate anew or to export."""
    run = shlex.quote(path)
    commands = [
        f'feathertune predict {run} "a text of yours"',
        f"feathertune predict {run} --input texts.csv --output answers.csv",
    ]
    if facts.base is not None:
        commands.append(f"feathertune evaluate {run} --data labelled.csv")
        commands.append(f"feathertune export {run} --to onnx --output exported")
    return "\n".join(commands)


def use_python(path: str) -> str:
    """Python's way."""
    return "\n".join(
        (
            "from feathertune import Predictor",
            "",
            f"predictor = Predictor({path!r})",
            'answer = predictor.predict("a text of yours")[0]',
            "print(answer.label, answer.probabilities)",
        )
    )


def library(facts: RunFacts) -> str | None:
    """The library that the Hub may say reads these files as the model that was evaluated; None where there is none."""
    if facts.base is None or facts.recipe.quantize is not None:
        return None
    if facts.recipe.method == "full":
        return "transformers"
    return None if _of_gguf(facts) else "peft"


def peft_note(facts: RunFacts) -> str | None:
    """Why there is no `peft_python`, where one might look for it."""
    if facts.base is None or facts.recipe.method == "full":
        return None
    if facts.recipe.quantize is not None:
        return (
            "What was evaluated are the integers in the folder quantized, which PEFT and transformers do not read. The "
            "folder adapter has the float32 weights that they were made of: another model, which may answer otherwise."
        )
    hub_id = of_base(facts.base).hub_id
    if hub_id is not None and _of_gguf(facts):
        return (
            f"PEFT would put the adapter on the weights of {shown(hub_id)} that are on the Hub. Those are others than "
            "the rounded ones in the GGUF file that it was trained on, and nothing here was measured with them."
        )
    return None


def peft_python(facts: RunFacts, path: str) -> str | None:
    """PEFT's way, where there is an adapter and its base is on the Hub: it decides as the run does."""
    hub_id = of_base(facts.base).hub_id
    if library(facts) != "peft" or hub_id is None:
        return None
    names: dict[Any, Any] = dict(enumerate(facts.summary["label_names"]))
    model = facts.recipe.model
    tokenizer = hub_id if model.prompt is None else f"{path}/adapter"  # which puts the prompt around
    return "\n".join(
        (
            "from peft import PeftModel",
            "from transformers import AutoModelForSequenceClassification, AutoTokenizer",
            "",
            f"tokenizer = AutoTokenizer.from_pretrained({tokenizer!r})",
            "base = AutoModelForSequenceClassification.from_pretrained(",
            f"    {hub_id!r}, id2label={names!r}",
            ")",
            f"model = PeftModel.from_pretrained(base, {f'{path}/adapter'!r})",
            "",
            'text = "a text of yours"',
            f'tokens = tokenizer(text, truncation=True, max_length={model.max_length}, return_tensors="pt")',
            *_answer(facts),
        )
    )


def _answer(facts: RunFacts) -> list[str]:
    """Lines that print the label that the run's temperature and threshold give."""
    found, names = facts.calibration or {}, facts.summary["label_names"]
    temperature, threshold = found.get("temperature", 1.0), found.get("threshold") or BINARY_THRESHOLD
    logits = "model(**tokens).logits[0]"
    scaled = logits if temperature == 1 else f"({logits} / {temperature!r})"
    lines = [f"probabilities = {scaled}.softmax(0).tolist()"]
    if len(names) == 2:
        return [*lines, f"print({names[1]!r} if probabilities[1] >= {threshold!r} else {names[0]!r})"]
    return [*lines, f"print({names!r}[probabilities.index(max(probabilities))])"]


def made_by(facts: RunFacts) -> tuple[str | None, str]:
    """The command line that made it, or None, and a sentence that goes with it or stands in its place.

    Runs of earlier versions have whatever process they were made in as their command: only ours are one.
    """
    command = facts.environment["command"]
    if command is None:
        return None, IN_PYTHON
    if command.startswith("feathertune "):
        return command, "The command, in the folder where it was given, and the whole recipe."
    if command.startswith("trial ") and command.endswith(" of feathertune tune"):
        return None, f"Made as {command}, from the recipe below."
    return None, IN_PYTHON


def _of_gguf(facts: RunFacts) -> bool:
    """Whether the base's weights are those of a GGUF file, which rounds them."""
    return facts.base is not None and str(facts.base["folder"]).lower().endswith(".gguf")
