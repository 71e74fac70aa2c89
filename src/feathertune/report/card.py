"""The model card: README.md of a run folder, with the metadata that the Hub reads.

The metadata names only bases and data that are on the Hub; for others, the text has their name.
"""

from __future__ import annotations

from collections.abc import Mapping

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from feathertune.report import sentences, usage
from feathertune.report.before_after import caption, split_tables
from feathertune.report.facts import RunFacts
from feathertune.report.figures.canvas import Picture
from feathertune.report.headline import caveat, headline, quantization_effect
from feathertune.report.page import render_markdown
from feathertune.report.provenance import name_of_data, of_base, of_data
from feathertune.report.training_sentences import summary_for_table, training_paragraph
from feathertune.wording.metrics import TITLES

METRICS = ["accuracy", "precision", "recall", "f1", "roc_auc"]  # as the Hub calls them
CARD = "---\n{{ card_data }}\n---\n\n{{ body }}"


def run_card(facts: RunFacts, pictures: Mapping[str, Picture]) -> str:
    """The whole file. The Hub's own classes check the metadata."""
    name = facts.run.path.resolve().name
    body = render_markdown("run.md", _content(facts, name, pictures))
    return str(ModelCard.from_template(metadata(facts, name), template_str=CARD, body=body))


def metadata(facts: RunFacts, name: str) -> ModelCardData:
    """The ids on the Hub, the licence, and the results as a model index."""
    base, data = of_base(facts.base), of_data(facts.data)
    tags = ["feathertune", "text-classification", *(["lora"] if facts.recipe.method in ("lora", "qat") else [])]
    return ModelCardData(
        model_name=name,
        base_model=base.hub_id,
        datasets=[data.hub_id] if data.hub_id else None,
        library_name=usage.library(facts),
        license=base.licence,
        metrics=METRICS,
        pipeline_tag="text-classification",
        tags=tags,
        eval_results=_results(facts),
    )


def _results(facts: RunFacts) -> list[EvalResult]:
    """One entry for each split and metric, cross-fitted where needed; undefined ones are left out."""
    name, revision = name_of_data(facts.data), facts.data.origin.get("revision")
    results = []
    for split, metrics in facts.summary.after.items():
        for metric in METRICS:
            value = metrics.prefer_cross_fitted().value(metric)
            if value is not None:
                results.append(
                    EvalResult(
                        task_type="text-classification",
                        dataset_type=name,
                        dataset_name=name,
                        dataset_split=split,
                        dataset_revision=revision,
                        metric_type=metric,
                        metric_value=round(value, 4),
                        metric_name=TITLES[metric],
                    )
                )
    return results


def _content(facts: RunFacts, name: str, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """What the template shows."""
    summary = summary_for_table(facts)
    command, introduction = usage.origin(facts)
    paragraphs = [quantization_effect(facts), caveat(facts), training_paragraph(facts)]
    return {
        "name": name,
        "headline": headline(facts),
        "paragraphs": [paragraph for paragraph in paragraphs if paragraph],
        "tables": split_tables(summary),
        "caption": caption(summary),
        "pictures": pictures,
        "calibration_lines": sentences.calibration_lines(facts),
        "commands": usage.commands(facts, name),
        "python": usage.python(name),
        "peft_python": usage.peft_python(facts, name),
        "peft_note": usage.peft_note(facts),
        "data_lines": sentences.data_lines(facts),
        "base_source": None if facts.base is None else facts.base.source,
        "base_licence": of_base(facts.base).licence_in_words,
        "data_licence": of_data(facts.data).licence_in_words,
        "limits": sentences.limits(facts),
        "command": command,
        "introduction": introduction,
        "environment": sentences.environment_lines(facts),
        "recipe_text": facts.recipe_text.strip(),
    }
