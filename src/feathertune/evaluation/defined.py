"""What a recipe chooses by must be defined on validation: the metric of the best epoch, and that of a threshold.

A metric that has no value there, whatever the model predicts, would choose nothing: all epochs would be equal.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feathertune.errors import UserError
from feathertune.recipe.evaluation import EvaluationSection
from feathertune.recipe.schema import BestMetric
from feathertune.wording.numbers import count

POSITIVE_ONLY = ("precision", "recall", "f1")  # with two classes they are those of the last one


def check_metric(metric: BestMetric, labels_N: npt.NDArray[np.int64], label_names: tuple[str, ...]) -> None:
    """Raise a UserError if `metric` (training.best_metric) is undefined on validation, whose labels are `labels_N`.

    ROC AUC needs two classes with examples. With two classes in all, precision, recall and F1 are those of the last
    one, and without an example of it they are 0 or 0 / 0. With more classes their averages are always defined.
    """
    occurring = np.unique(labels_N)
    if metric == "roc_auc" and len(occurring) < 2:
        needed = label_names
    elif metric in POSITIVE_ONLY and len(label_names) == 2 and 1 not in occurring:
        needed = label_names[1:]
    else:
        return
    raise _undefined(metric, labels_N, label_names, needed, "training.best_metric", "Set it to accuracy or loss")


def check_maximized(section: EvaluationSection, labels_N: npt.NDArray[np.int64], label_names: tuple[str, ...]) -> None:
    """Raise a UserError if the threshold of two classes would be chosen by a metric that is undefined on validation."""
    needed = {"accuracy": (), "f1": (1,), "balanced_accuracy": (0, 1), None: ()}[section.maximize]
    if not set(needed) <= set(np.unique(labels_N).tolist()):
        names = tuple(label_names[index] for index in needed)
        where, fix = "evaluation.threshold", "Give a number"
        raise _undefined(str(section.maximize), labels_N, label_names, names, where, fix)


def _undefined(
    metric: str,
    labels_N: npt.NDArray[np.int64],
    label_names: tuple[str, ...],
    needed: tuple[str, ...],
    where: str,
    fix: str,
) -> UserError:
    """The error; `needed` are the classes of which validation would need examples."""
    (only,) = np.unique(labels_N).tolist()
    others = [name for name in needed if name != label_names[only]]
    lacking = repr(others[0]) if len(others) == 1 else "another class"
    found = f"{count(len(labels_N), 'example')} of {label_names[only]!r}"
    return UserError(
        f"{metric} is undefined on validation: it has {found}, and none of {lacking}",
        where=where,
        fix=f"{fix}, or use a validation split with examples of {lacking}; if it is made from train, a larger "
        "data.validation_fraction or another data.validation_seed can help.",
    )
