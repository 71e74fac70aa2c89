"""How to use and reproduce a run, for the page and the card: commands, Python, and PEFT if it loads the same model.

PEFT is left out if it would load another model than the one that was evaluated; a sentence gives the reason.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from feathertune.report.facts import RunFacts
from feathertune.report.provenance import of_base
from feathertune.stats.probabilities import BINARY_THRESHOLD
from feathertune.wording.visible import shown

IN_PYTHON = "Made with feathertune.train in Python, from the recipe below."


def commands(facts: RunFacts, path: str) -> str:
    """Commands that use the run. A baseline cannot be evaluated again or exported."""
    run = shlex.quote(path)
    lines = [
        f'feathertune predict {run} "your text"',
        f"feathertune predict {run} --input texts.csv --output predictions.csv",
    ]
    if facts.base is not None:
        lines.append(f"feathertune evaluate {run} --data labelled.csv")
        lines.append(f"feathertune export {run} --to onnx --output exported")
    return "\n".join(lines)


def python(path: str) -> str:
    """Python code that predicts."""
    return "\n".join(
        (
            "from feathertune import Predictor",
            "",
            f"predictor = Predictor({path!r})",
            'prediction = predictor.predict("your text")[0]',
            "print(prediction.label, prediction.probabilities)",
        )
    )


def library(facts: RunFacts) -> str | None:
    """The library, by the Hub's name, that loads the evaluated model from these files; None if there is none."""
    if facts.base is None or facts.recipe.quantize is not None:
        return None
    if facts.recipe.method == "full":
        return "transformers"
    return None if _is_gguf(facts) else "peft"


def peft_note(facts: RunFacts) -> str | None:
    """Why there is no `peft_python`, if a reader might look for it."""
    if facts.base is None or facts.recipe.method == "full":
        return None
    if facts.recipe.quantize is not None:
        return (
            "The evaluated model is the integer model in the folder quantized, which PEFT and transformers cannot "
            "read. The folder adapter holds the float32 weights it was made from: a different model, whose predictions "
            "may differ."
        )
    hub_id = of_base(facts.base).hub_id
    if hub_id is not None and _is_gguf(facts):
        return (
            f"PEFT would load the adapter onto the weights of {shown(hub_id)} from the Hub. These differ from the "
            "quantized weights in the GGUF file that it was trained on, and nothing here was measured with them."
        )
    return None


def peft_python(facts: RunFacts, path: str) -> str | None:
    """Python code that predicts with PEFT as the run does; None without an adapter or a base on the Hub."""
    hub_id = of_base(facts.base).hub_id
    if library(facts) != "peft" or hub_id is None:
        return None
    names: dict[Any, Any] = dict(enumerate(facts.summary.label_names))
    model = facts.recipe.model
    # What was evaluated; earlier versions saved one only with a prompt, and else used the base's.
    saved = (facts.run.adapter / "tokenizer.json").is_file() or model.prompt is not None
    tokenizer = f"{path}/adapter" if saved else hub_id
    return "\n".join(
        (
            "from peft import PeftModel",
            "from transformers import AutoModelForSequenceClassification, AutoTokenizer",
            "",
            f"tokenizer = AutoTokenizer.from_pretrained({tokenizer!r})",
            "base = AutoModelForSequenceClassification.from_pretrained(",
            f"    {hub_id!r}, id2label={names!r}",
            ")",
            *(["base.config.pad_token_id = tokenizer.pad_token_id  # never pooled"] if saved else []),
            f"model = PeftModel.from_pretrained(base, {f'{path}/adapter'!r})",
            "",
            'text = "your text"',
            f'tokens = tokenizer(text, truncation=True, max_length={model.max_length}, return_tensors="pt")',
            *_decision(facts),
        )
    )


def _decision(facts: RunFacts) -> list[str]:
    """Lines of Python that print the label by the run's temperature and threshold."""
    calibration, names = facts.calibration, list(facts.summary.label_names)
    temperature = 1.0 if calibration is None else calibration.temperature
    threshold = (None if calibration is None else calibration.threshold) or BINARY_THRESHOLD
    logits = "model(**tokens).logits[0]"
    scaled = logits if temperature == 1 else f"({logits} / {temperature!r})"
    lines = [f"probabilities = {scaled}.softmax(0).tolist()"]
    if len(names) == 2:
        return [*lines, f"print({names[1]!r} if probabilities[1] >= {threshold!r} else {names[0]!r})"]
    return [*lines, f"print({names!r}[probabilities.index(max(probabilities))])"]


def origin(facts: RunFacts) -> tuple[str | None, str]:
    """The command line that made the run, or None, and a sentence that introduces or replaces it.

    Runs of earlier versions record the command line of any process: only one of ours is shown.
    """
    command, processes = facts.environment.command, facts.environment.processes
    in_python = IN_PYTHON if processes == 1 else IN_PYTHON.replace(" in Python,", f" in {processes} Python processes,")
    if command is None:
        return None, in_python
    if re.match(r"(feathertune|torchrun .*-m feathertune\.cli) ", command):
        return command, "The command, relative to the folder where it was run, and the complete recipe:"
    if command.startswith("trial ") and command.endswith(" of feathertune tune"):
        return None, f"Made as {command}, from the recipe below."
    return None, in_python


def _is_gguf(facts: RunFacts) -> bool:
    """Whether the weights of the base come from a GGUF file, in which they are quantized."""
    return facts.base is not None and facts.base.folder.lower().endswith(".gguf")
