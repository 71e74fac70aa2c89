"""The model card: README.md of a run folder, with the metadata that the Hub reads.

What the Hub would not accept is left out of the metadata, and said in the text: a base or data that is not on the Hub
has no id there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from feathertune.report import training_words, use, wording
from feathertune.report.answer import answer, caveat, rounding
from feathertune.report.facts import RunFacts, fair
from feathertune.report.figures.canvas import Picture
from feathertune.report.provenance import (
    Provenance,
    name_of_data,
    of_base,
    of_data,
)
from feathertune.terminal.run_tables import ROWS, before_after_markdown, escaped

METRICS = ["accuracy", "precision", "recall", "f1", "roc_auc"]  # by the Hub's names


def run_card(facts: RunFacts, pictures: Mapping[str, Picture]) -> str:
    """The whole file."""
    name = facts.run.path.resolve().name
    found = answer(facts)
    command, made = use.made_by(facts)
    parts = [
        f"---\n{metadata(facts, name)}\n---",
        f"# {escaped(name)}",
        f"**{escaped(found.headline)}.** {escaped(' '.join(found.sentences))}",
        *_paragraphs(rounding(facts), caveat(facts), training_words.trained(facts)),
        "## Results",
        before_after_markdown(training_words.summary_for_table(facts)).strip(),
        *(f"![{escaped(picture.caption)}](figures/{picture.name}.png)" for picture in pictures.values()),
        *_section("## Can its probabilities be trusted?", wording.decision_lines(facts)),
        "## How to use it",
        _code("console", use.use_commands(facts, name)),
        _code("python", use.use_python(name)),
        *([_code("python", peft)] if (peft := use.peft_python(facts, name)) else []),
        *_paragraphs(use.peft_note(facts)),
        "## Data and licences",
        _list(f"{what}: {value}" for what, value in wording.data_lines(facts)),
        _licences(of_base(facts.base), of_data(facts.data), facts),
        "## Limits",
        _list(wording.limits(facts)),
        "## How it was made",
        *([_code("console", command)] if command else _paragraphs(made)),
        _list(f"{what}: {value}" for what, value in wording.environment_lines(facts)),
        _code("yaml", facts.recipe_text.strip()),
        "Written by `feathertune report`. [report.html](report.html) shows the same with the pictures.",
    ]
    return "\n\n".join(parts) + "\n"


def metadata(facts: RunFacts, name: str) -> str:
    """The YAML between the two lines of dashes: ids of the Hub, licence, and the results as a model index."""
    base, data = of_base(facts.base), of_data(facts.data)
    tags = ["feathertune", "text-classification", *(["lora"] if facts.recipe.method in ("lora", "qat") else [])]
    card = ModelCardData(
        model_name=name,
        base_model=base.hub_id,
        datasets=[data.hub_id] if data.hub_id else None,
        library_name=use.library(facts),
        license=base.licence,
        metrics=METRICS,
        pipeline_tag="text-classification",
        tags=tags,
        eval_results=_results(facts),
    )
    return str(card.to_yaml())


def _results(facts: RunFacts) -> list[EvalResult]:
    """One entry for each split and metric, of those that do not flatter; those that are undefined are left out."""
    known = name_of_data(facts.data)
    revision = facts.data["origin"].get("revision")
    return [
        EvalResult(
            task_type="text-classification",
            dataset_type=known,
            dataset_name=known,
            dataset_split=split,
            dataset_revision=revision,
            metric_type=metric,
            metric_value=round(metrics[metric], 4),
            metric_name=ROWS[metric],
        )
        for split, metrics in _fair_after(facts)
        for metric in METRICS
        if metrics[metric] is not None
    ]


def _fair_after(facts: RunFacts) -> list[tuple[str, Mapping[str, Any]]]:
    return [(split, fair(metrics)) for split, metrics in facts.summary["after"].items()]


def _licences(base: Provenance, data: Provenance, facts: RunFacts) -> str:
    """What is known of the licences that a copy of this model stands under."""
    of_the_data = f"Licence of the data: {data.licence_in_words}."
    if facts.base is None:
        return of_the_data
    return (
        f"Licence of the base ({escaped(facts.base['source'])}): {base.licence_in_words}. {of_the_data} "
        "Whoever passes this model on has to keep to both."
    )


def _paragraphs(*texts: str | None) -> list[str]:
    return [escaped(text) for text in texts if text]


def _section(title: str, lines: list[str]) -> list[str]:
    return [title, _list(lines)] if lines else []


def _list(lines: Any) -> str:
    return "\n".join(f"- {escaped(line)}" for line in lines)


def _code(language: str, text: str) -> str:
    """A fenced block, its fence longer than any run of backticks in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"
