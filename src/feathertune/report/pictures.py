"""Which pictures a run has, from what its files hold: each with a caption, and written as a PNG file."""

from __future__ import annotations

from pathlib import Path

from feathertune.report.facts import RunFacts
from feathertune.report.figures.canvas import Picture, save_png
from feathertune.report.figures.curves import (
    accuracy_figure,
    has_curves,
    precision_recall_figure,
    reliability_figure,
    roc_figure,
)
from feathertune.report.figures.errors import length_figure, rating_figure
from feathertune.report.figures.training import (
    SPLIT,
    confusion_figure,
    loss_figure,
    metrics_figure,
)
from feathertune.report.history import History
from feathertune.stats.reliability import reliability_bins


def run_pictures(facts: RunFacts) -> dict[str, Picture]:
    """Name -> picture, of what the files have.

    Without a step or an epoch there is nothing of the training; without prediction files there are no curves.
    """
    pictures = [
        *_accuracy(facts),
        *_training(facts, facts.history, ""),
        *_confusion(facts),
        *_curves(facts),
        *_errors(facts),
    ]
    if facts.qat_history is not None:
        pictures += _training(facts, facts.qat_history, "-qat")
    return {picture.name: picture for picture in pictures}


def write_figures(pictures: dict[str, Picture], folder: Path) -> list[Path]:
    """Write each picture to `folder` as a PNG file, atomically."""
    return [save_png(picture.figure, folder / f"{picture.name}.png") for picture in pictures.values()]


def _accuracy(facts: RunFacts) -> list[Picture]:
    stages = facts.cross_fitted_stages(facts.split)
    caption = f"Accuracy on {facts.split}, each with its 95% interval."
    if stages["after"].get("cross_fitted"):
        caption += " How to decide was chosen on one half of the examples for the other, so that nothing flatters."
    return [Picture("accuracy", accuracy_figure(stages), caption)]


def _training(facts: RunFacts, history: History, suffix: str) -> list[Picture]:
    pictures = []
    rounded = facts.recipe.init_from is not None  # what it trained, it trained with the quantizers on
    which = " with the quantizers on" if suffix or rounded else ""
    if facts.members and not suffix:
        which = f" of the first of {len(facts.members)} adapters"
    if history.steps or history.epochs:
        caption = f"Loss during training{which}: lower is better, and validation is what counts."
        pictures.append(Picture(f"loss{suffix}", loss_figure(history), caption))
    if len(history.epochs) > 1:  # one is in the table
        summary = facts.summary
        majority = summary.get("majority", {}).get(SPLIT, {}).get("accuracy")
        best = facts.members[0]["best_epoch"] if facts.members else summary.get("best_epoch")
        if suffix:
            best = (summary.get("quantization", {}).get("training") or {}).get("best_epoch")
        caption = f"Scores on {SPLIT} at the end of each epoch{which}."
        pictures.append(Picture(f"metrics{suffix}", metrics_figure(history.epochs, best, majority), caption))
    return pictures


def _confusion(facts: RunFacts) -> list[Picture]:
    metrics = facts.summary["after"][facts.split]
    caption = f"How often each true class of {facts.split} was given each answer."
    return [
        Picture("confusion", confusion_figure(metrics["confusion_matrix"], metrics["label_names"]), caption),
    ]


def _curves(facts: RunFacts) -> list[Picture]:
    stages = facts.predictions
    if "after" not in stages:
        return []
    answers = stages["after"]
    binary = len(answers.label_names) == 2
    pictures = []
    if has_curves(answers):
        more = "" if binary else " Of the most frequent classes, each against the rest."
        pictures = [
            Picture("roc", roc_figure(stages), f"ROC: what is found, for what is wrongly called so.{more}"),
            Picture(
                "precision-recall",
                precision_recall_figure(stages),
                f"Precision and recall: what a stricter threshold buys, and costs.{more}",
            ),
        ]
    bins = reliability_bins(answers.labels, answers.probabilities_NC)
    figure = reliability_figure(bins, answers.label_names[1] if binary else None)
    what = "of texts given 70% just 70% would be so" if binary else "of answers given 70% just 70% would be right"
    caption = f"Reliability: on the grey line, {what}. Larger dots, more examples."
    return [*pictures, Picture("reliability", figure, caption)]


def _errors(facts: RunFacts) -> list[Picture]:
    errors = facts.errors
    if errors is None:
        return []
    accuracy = facts.summary["after"][facts.split]["accuracy"]
    pictures = []
    if errors["by_rating"]:
        figure = rating_figure(errors["by_rating"], accuracy, errors["ceiling"])
        limit = "; dashed, the most that anyone could expect" if errors["ceiling"] else ""
        caption = (
            f"Accuracy by rating, with 95% intervals{limit}. Where raters disagree, the label itself is uncertain."
        )
        pictures.append(Picture("rating", figure, caption))
    if len(errors["by_length"]) > 1:
        figure = length_figure(errors["by_length"], accuracy)
        pictures.append(Picture("length", figure, "Accuracy by the length of the text, with 95% intervals."))
    return pictures
