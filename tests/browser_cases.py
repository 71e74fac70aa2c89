"""Exports of tiny models with random weights, and texts on which tokenizers for browsers may differ from ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feathertune.export.targets import TARGETS
from feathertune.folders.export import ExportDescription, ExportFolder, Target
from feathertune.folders.run import RunFolder
from feathertune.prediction.decision import DEFAULT_DECISION, Decision
from feathertune.quantization.convert import convert
from feathertune.quantization.scheme import Scheme, plan_quantization
from feathertune.recipe.files import parse_recipe
from feathertune.run.load import TrainedModel
from feathertune.tokens.prompt import add_prompt
from lively import lively_classifier
from trained_tokenizers import sample_texts, trained_tokenizer

MAX_LENGTH = 40
PROMPT = "is this a well-formed question?\n{text}\nanswer: "
TEXTS = [
    *sample_texts()[:86],
    "how far is it? " * 60,  # far too long
    "why " * 37 + "not",  # about the maximum length
    "a" * 300,
    "How DO Magnets work?",
    "où est l'hôtel à côté de la mairie ?",
    "wie heißt die Straße, über die wir gehen?",
    "什么是机器学习",
    "what is 2+2=4, 3.14 or 1,000,000?",
    "line one\nline two\tand a tab",
    "two  spaces   and some at the end  ",
    "is 🙂 an emoji, or 👩‍👩‍👧?",
    "does [SEP] </s> <|endoftext|> [PAD] end a text?",
    "[CLS]<s>",
    "it's they're I'd we've don't",
]


@dataclass(frozen=True)
class Case:
    """A model to export.

    Attributes:
        helper: predict by the example instead of the pipeline alone.
        tolerance: of a probability.
    """

    family: str
    weights: Any = "fp32"
    prompt: str | None = None
    side: str = "right"
    helper: bool = False
    decision: Decision = DEFAULT_DECISION
    tolerance: float = 1e-4


def export(case: Case, path: Path, target: Target = "onnx") -> ExportFolder:
    """Export a tiny model of that family with random weights, without training it."""
    tokenizer = trained_tokenizer(case.family)
    tokenizer.truncation_side = case.side
    labels = ("no", "yes") if case.helper else ("no", "yes", "maybe")
    classifier = lively_classifier(case.family, labels=labels, vocab_size=len(tokenizer))
    quantize = []
    if case.weights != "fp32":
        convert(classifier, plan_quantization(classifier, Scheme(case.weights)))
        quantize = ["method=qat", f"quantize={{weights: {case.weights}, training: ptq}}"]
    recipe = parse_recipe("{model: {source: random}, data: {source: sample}}", quantize, where="here")
    prompted = add_prompt(tokenizer, case.prompt, MAX_LENGTH)
    trained = TrainedModel(RunFolder(path), recipe, classifier, prompted, MAX_LENGTH, case.decision)
    path.mkdir()
    folder = ExportFolder(path)
    TARGETS[target].write(trained, folder)
    ExportDescription(
        target=target,
        precision=case.weights,
        max_length=MAX_LENGTH,
        model="random",
        method=recipe.method,
        data=recipe.data,
        inputs="",
        temperature=case.decision.temperature,
        threshold=case.decision.threshold,
    ).write(folder.description)
    return folder
