"""The pictures of a run, with captions: which ones there are depends on the files in its folder."""

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
from feathertune.report.figures.training import SPLIT, confusion_figure, loss_figure, metrics_figure
from feathertune.report.history import History
from feathertune.report.trainings import trainings
from feathertune.stats.reliability import reliability_bins

QAT = "quantization-aware training (QAT)"


def run_pictures(facts: RunFacts) -> dict[str, Picture]:
    """Name -> picture.

    Without logged steps or epochs there is no picture of the training; without prediction files there are no curves.
    """
    pictures = [
        _accuracy(facts),
        *_training(facts),
        _confusion(facts),
        *_curves(facts),
        *_errors(facts),
    ]
    if facts.qat_history is not None:
        pictures += _qat(facts, facts.qat_history)
    return {picture.name: picture for picture in pictures}


def write_figures(pictures: dict[str, Picture], folder: Path) -> list[Path]:
    """Write each picture to `folder` as a PNG file, atomically."""
    return [save_png(picture.figure, folder / f"{picture.name}.png") for picture in pictures.values()]


def _accuracy(facts: RunFacts) -> Picture:
    stages = facts.cross_fitted_stages(facts.split)
    caption = f"Accuracy on {facts.split} with 95% intervals."
    if "float" in stages:
        caption += " PTQ is post-training quantization, without further training."
    if stages["after"].cross_fitted is not None:
        caption += " Cross-fitted: each half is predicted with the temperature or threshold chosen on the other half."
    return Picture("accuracy", accuracy_figure(stages), caption)


def _training(facts: RunFacts) -> list[Picture]:
    """The pictures of the first training, which is QAT in a run with `init_from`."""
    members, done = facts.summary.members, trainings(facts)
    training = QAT if done and done[0].quantized else "training"
    best = facts.summary.best_epoch
    if members:
        training, best = f"training of the first of {len(members)} adapters", members[0].best_epoch
    return _of_history(facts, facts.history, training, best)


def _qat(facts: RunFacts, history: History) -> list[Picture]:
    """The pictures of QAT after a first training."""
    quantization = facts.summary.quantization
    training = None if quantization is None else quantization.training
    return _of_history(facts, history, QAT, None if training is None else training.best_epoch, "-qat")


def _of_history(
    facts: RunFacts, history: History, training: str, best_epoch: int | None, suffix: str = ""
) -> list[Picture]:
    pictures = []
    if history.steps or history.epochs:
        pictures.append(Picture(f"loss{suffix}", loss_figure(history), f"Loss during {training}. Lower is better."))
    if len(history.epochs) > 1:  # a single epoch is in the table
        majority = facts.summary.majority.get(SPLIT)
        figure = metrics_figure(history.epochs, best_epoch, None if majority is None else majority.accuracy)
        caption = f"Metrics on {SPLIT} after each epoch of {training}."
        pictures.append(Picture(f"metrics{suffix}", figure, caption))
    return pictures


def _confusion(facts: RunFacts) -> Picture:
    figure = confusion_figure(facts.after.confusion_matrix, facts.after.label_names)
    return Picture("confusion", figure, f"Confusion matrix on {facts.split}: predictions for each true class.")


def _curves(facts: RunFacts) -> list[Picture]:
    stages = facts.predictions
    if "after" not in stages:
        return []
    predictions = stages["after"]
    binary = len(predictions.label_names) == 2
    pictures = []
    if has_curves(predictions):
        classes = "" if binary else " The most frequent classes, each against the rest."
        pictures = [
            Picture("roc", roc_figure(stages), f"ROC curve: true positive rate against false positive rate.{classes}"),
            Picture(
                "precision-recall",
                precision_recall_figure(stages),
                f"Precision-recall curve: precision against recall.{classes}",
            ),
        ]
    bins = reliability_bins(predictions.labels, predictions.probabilities_NC)
    figure = reliability_figure(bins, predictions.label_names[1] if binary else None)
    axes = "observed frequency against predicted probability" if binary else "accuracy against confidence"
    caption = f"Reliability diagram: {axes}, with 95% intervals. Larger dots stand for more examples."
    return [*pictures, Picture("reliability", figure, caption)]


def _errors(facts: RunFacts) -> list[Picture]:
    errors = facts.errors
    if errors is None:
        return []
    accuracy = facts.after.accuracy
    pictures = []
    if errors.by_rating:
        caption = "Accuracy by rating, with 95% intervals."
        if errors.ceiling is not None:
            caption += " Where raters disagree, the label is uncertain, which limits the accuracy that can be expected."
        pictures.append(Picture("rating", rating_figure(errors.by_rating, accuracy, errors.ceiling), caption))
    if len(errors.by_length) > 1:
        figure = length_figure(errors.by_length, accuracy)
        pictures.append(Picture("length", figure, "Accuracy by length of the text, with 95% intervals."))
    return pictures
