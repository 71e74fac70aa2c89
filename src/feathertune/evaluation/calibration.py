"""Calibration: whether probabilities mean what they say, and how logits become answers.

`expected_calibration_error` and `reliability_bins` describe; see `reliability` for what is claimed of what.
`fit_temperature` and `choose_threshold` choose on validation what a recipe's `evaluation` section asks for, and
`apply_decision` applies it to every split. What is chosen on some examples looks better on them than it is, so there
`apply_decision` also gives cross-fitted predictions: each half of the examples by what was chosen on the other half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from feathertune.errors import UserError
from feathertune.evaluation.selection import require_selectable
from feathertune.prediction.decision import PLAIN, Decision
from feathertune.prediction.predictions import Predictions
from feathertune.recipe.schema import EvaluationSection, ThresholdMetric
from feathertune.stats.calibration_error import expected_calibration_error
from feathertune.stats.probabilities import BINARY_THRESHOLD
from feathertune.system.files import read_json

TEMPERATURES = (0.05, 20.0)  # where all answers are right, the loss would have it at 0


def fit_temperature(predictions: Predictions) -> float:
    """The number to divide the logits by that makes their mean cross-entropy smallest (Guo et al. 2017), 0.05 to 20.

    Raises UserError for the test split.
    """
    require_selectable(predictions.split, "a temperature")
    return _temperature(predictions.labels, predictions.logits_NC)


def choose_threshold(predictions: Predictions, metric: ThresholdMetric) -> float:
    """The threshold on the positive class's probability with the largest accuracy, F1 or balanced accuracy.

    It lies midway between two examples' probabilities; of several equally good ones it is the nearest to 0.5.
    Raises UserError for the test split, and where there are more than two classes.
    """
    require_selectable(predictions.split, "a threshold")
    _require_two_classes(predictions.label_names)
    return _threshold(predictions.labels, predictions.probabilities_NC[:, 1], metric)


def check_threshold(section: EvaluationSection, label_names: tuple[str, ...]) -> None:
    """Raise a UserError where a threshold is wanted for more than two classes."""
    if section.threshold != EvaluationSection().threshold:
        _require_two_classes(label_names)


def _require_two_classes(label_names: tuple[str, ...]) -> None:
    if len(label_names) != 2:
        raise UserError(
            f"a threshold decides between two classes, and the data has {len(label_names)}",
            where="evaluation.threshold",
            fix="Leave it out: of several classes the likeliest is chosen.",
        )


def apply_decision(raw: Mapping[str, Predictions], section: EvaluationSection) -> dict[str, Predictions]:
    """Every split's predictions by the decision that `section` asks for, chosen on the split `validation`."""
    validation = raw["validation"]
    decision = choose_decision(validation, section)
    decided = {name: replace(predictions, decision=decision) for name, predictions in raw.items()}
    if section.chooses:
        decided["validation"] = replace(decided["validation"], cross_fitted=cross_fit(validation, section))
    return decided


def choose_decision(raw: Predictions, section: EvaluationSection) -> Decision:
    """What `section` asks for, chosen on `raw`, the model's answers as it gave them. Raises as those who choose do."""
    temperature = fit_temperature(raw) if section.temperature else 1.0
    scaled = replace(raw, decision=Decision(temperature))
    threshold = section.fixed_threshold if section.maximize is None else choose_threshold(scaled, section.maximize)
    return Decision(temperature, threshold)


def cross_fit(raw: Predictions, section: EvaluationSection, seed: int = 0) -> Predictions | None:
    """The examples of `raw`, each half by the decision chosen on the other; None of a single example.

    The halves are drawn at random, with the same share of each class.
    """
    if len(raw) < 2:
        return None
    rng = np.random.default_rng(seed)
    order_N = np.lexsort((rng.random(len(raw)), raw.labels))
    half_N = np.empty(len(raw), dtype=np.int64)
    half_N[order_N] = np.arange(len(raw)) % 2
    probabilities_NC = np.empty(raw.logits_NC.shape, dtype=np.float64)
    predicted_N = np.empty(len(raw), dtype=np.int64)
    for half in (0, 1):
        decision = choose_decision(_part(raw, half_N != half), section)
        inside_N = half_N == half
        probabilities_NC[inside_N] = decision.probabilities(raw.logits_NC[inside_N])
        predicted_N[inside_N] = decision.classes(probabilities_NC[inside_N])
    return replace(raw, saved_probabilities_NC=probabilities_NC, saved_predicted_N=predicted_N)


def describe_calibration(
    raw: Mapping[str, Predictions], decided: Mapping[str, Predictions], section: EvaluationSection
) -> dict[str, Any]:
    """What calibration.json holds: the decision, what it was chosen for and on, and each split's calibration error.

    `ece` has for each split `before` (plain softmax) and `after` (with the temperature).
    """
    decision = decided["validation"].decision
    binary = len(decided["validation"].label_names) == 2
    return {
        "temperature": decision.temperature,
        "threshold": decision.threshold if binary else None,
        "temperature_fitted": section.temperature,
        "chosen_for": section.maximize,
        "chosen_on": "validation" if section.chooses else None,
        "ece": {
            name: {
                "before": expected_calibration_error(raw[name].labels, raw[name].probabilities_NC),
                "after": expected_calibration_error(predictions.labels, predictions.probabilities_NC),
            }
            for name, predictions in decided.items()
        },
    }


def read_decision(path: Path, section: EvaluationSection) -> Decision:
    """The decision in the calibration.json at `path`.

    Runs from before there was one decided plainly. Raises UserError where it is damaged, or missing though the recipe's
    `section` asks for more than that.
    """
    if not path.is_file() and section == EvaluationSection():
        return PLAIN
    value = read_json(path)
    try:
        temperature, threshold = float(value["temperature"]), value["threshold"]
        decision = Decision(temperature, BINARY_THRESHOLD if threshold is None else float(threshold))
    except (KeyError, TypeError, ValueError):
        decision = Decision(0.0)
    if not (decision.temperature > 0 and 0 < decision.threshold < 1):
        raise UserError("there is no temperature and threshold in it: the file is damaged", where=str(path))
    return decision


def _part(raw: Predictions, chosen_N: npt.NDArray[np.bool_]) -> Predictions:
    """Labels and logits of some of the examples."""
    (indices,) = np.nonzero(chosen_N)
    texts, labels_N = [""] * len(indices), raw.labels[indices]
    return Predictions(raw.split, raw.label_names, raw.rows[indices], texts, labels_N, None, raw.logits_NC[indices])


def _temperature(labels_N: npt.NDArray[np.int64], logits_NC: npt.NDArray[np.float32]) -> float:
    logits_NC = logits_NC.astype(np.float64)
    true_N = logits_NC[np.arange(len(labels_N)), labels_N]

    def loss(logarithm: float) -> float:
        scale = np.exp(-logarithm)
        return float((logsumexp(scale * logits_NC, axis=1) - scale * true_N).mean())

    # convex in 1/T, so that there is one minimum
    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def _threshold(labels_N: npt.NDArray[np.int64], scores_N: npt.NDArray[np.float64], metric: ThresholdMetric) -> float:
    """The best of the G + 1 thresholds that lie between the G different scores."""
    values_G, group_N = np.unique(scores_N, return_inverse=True)
    total_G = np.bincount(group_N)
    positive_G = np.bincount(group_N, weights=labels_N == 1)
    said = np.append(np.cumsum(total_G[::-1])[::-1], 0)  # [G + 1] examples at or above each threshold, from the lowest
    hits = np.append(np.cumsum(positive_G[::-1])[::-1], 0)
    positives, count = int(positive_G.sum()), len(labels_N)
    rejected = count - positives - (said - hits)
    worth = {
        "accuracy": (hits + rejected) / count,
        "f1": 2 * hits / np.maximum(said + positives, 1),
        "balanced_accuracy": (hits / max(positives, 1) + rejected / max(count - positives, 1)) / 2,
    }[metric]
    below, above = np.append(0.0, values_G), np.append(values_G, 1.0)
    middle = (below + above) / 2
    middle = np.where((below < BINARY_THRESHOLD) & (above >= BINARY_THRESHOLD), BINARY_THRESHOLD, middle)
    possible = (middle > below) & (middle < 1)  # between 0.0 and the score 0.0, or two neighbouring floats, is nothing
    best = possible & (worth >= worth[possible].max() - 1e-12)
    return float(middle[best][np.abs(middle[best] - BINARY_THRESHOLD).argmin()])
