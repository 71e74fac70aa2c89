"""Choosing how logits become labels, and describing how well calibrated the probabilities are.

A recipe's `evaluation` section may ask for a temperature or a threshold to be chosen. `apply_decision` chooses them on
validation and applies them to every split. Whatever is chosen on some examples looks better on them than it is, so for
those `apply_decision` also gives cross-fitted predictions: each half of the examples by the choice made on the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from feathertune.errors import UserError
from feathertune.evaluation.selection import require_selectable
from feathertune.folders.evaluation import CalibrationRecord, EceRecord
from feathertune.prediction.decision import DEFAULT_DECISION, Decision
from feathertune.prediction.predictions import Predictions
from feathertune.recipe.evaluation import EvaluationSection
from feathertune.stats.calibration import best_threshold, fit_temperature
from feathertune.stats.calibration_error import expected_calibration_error
from feathertune.stats.probabilities import BINARY_THRESHOLD


def check_threshold(section: EvaluationSection, label_names: tuple[str, ...]) -> None:
    """Raise UserError where the recipe sets or chooses a threshold, and there are more than two classes."""
    if section.threshold != EvaluationSection().threshold:
        _require_two_classes(label_names)


def apply_decision(raw: Mapping[str, Predictions], section: EvaluationSection) -> dict[str, Predictions]:
    """The predictions of every split by the decision that `section` asks for, chosen on the split `validation`.

    Args:
        raw: split -> predictions by the default decision.
    """
    validation = raw["validation"]
    decision = choose_decision(validation, section)
    decided = {name: replace(predictions, decision=decision) for name, predictions in raw.items()}
    if section.chooses:
        decided["validation"] = replace(decided["validation"], cross_fitted=cross_fit(validation, section))
    return decided


def choose_decision(raw: Predictions, section: EvaluationSection) -> Decision:
    """The decision that `section` asks for, chosen on the labels and logits of `raw` where there is a choice.

    Raises UserError where something would be chosen on the test split, or a threshold for more than two classes.
    """
    _check_choice(raw, section)
    return _choose(raw.labels, raw.logits_NC, section)


def cross_fit(raw: Predictions, section: EvaluationSection, seed: int = 0) -> Predictions | None:
    """The examples of `raw`, each half predicted by the decision chosen on the other; None for a single example.

    The halves are drawn at random, with the same share of each class. Raises UserError as `choose_decision` does.
    """
    _check_choice(raw, section)
    if len(raw) < 2:
        return None
    rng = np.random.default_rng(seed)
    order_N = np.lexsort((rng.random(len(raw)), raw.labels))
    half_N = np.empty(len(raw), dtype=np.int64)
    half_N[order_N] = np.arange(len(raw)) % 2
    probabilities_NC = np.empty(raw.logits_NC.shape, dtype=np.float64)
    predicted_N = np.empty(len(raw), dtype=np.int64)
    for half in (0, 1):
        inside_N = half_N == half
        decision = _choose(raw.labels[~inside_N], raw.logits_NC[~inside_N], section)
        probabilities_NC[inside_N] = decision.probabilities(raw.logits_NC[inside_N])
        predicted_N[inside_N] = decision.classes(probabilities_NC[inside_N])
    return replace(raw, saved_probabilities_NC=probabilities_NC, saved_predicted_N=predicted_N)


def describe_calibration(
    raw: Mapping[str, Predictions], decided: Mapping[str, Predictions], section: EvaluationSection
) -> CalibrationRecord:
    """The decision, what it was chosen for and on, and each split's calibration error without and with the temperature.

    Args:
        raw: split -> predictions by the default decision.
        decided: the same by the decision that `section` asks for.
    """
    decision = decided["validation"].decision
    binary = len(decided["validation"].label_names) == 2
    return CalibrationRecord(
        temperature=decision.temperature,
        threshold=decision.threshold if binary else None,
        temperature_fitted=section.temperature,
        chosen_for=section.maximize,
        chosen_on="validation" if section.chooses else None,
        ece={
            name: EceRecord(before=_calibration_error(raw[name]), after=_calibration_error(predictions))
            for name, predictions in decided.items()
        },
    )


def read_decision(path: Path, section: EvaluationSection) -> Decision:
    """The decision stored in the calibration.json at `path`.

    Older runs have no such file: theirs is the default. Raises UserError where the file is damaged, or where it is
    missing though the recipe's `section` differs from the default.
    """
    if not path.is_file() and section == EvaluationSection():
        return DEFAULT_DECISION
    record = CalibrationRecord.read(path)
    decision = Decision(record.temperature, BINARY_THRESHOLD if record.threshold is None else record.threshold)
    if not (decision.temperature > 0 and 0 < decision.threshold < 1):
        raise UserError(
            f"temperature {decision.temperature:g} or threshold {decision.threshold:g} is out of range: the file is "
            "damaged",
            where=str(path),
        )
    return decision


def _check_choice(raw: Predictions, section: EvaluationSection) -> None:
    """Raise UserError where `section` asks for a choice that these predictions do not allow."""
    if section.temperature:
        require_selectable(raw.split, "a temperature")
    if section.maximize is not None:
        require_selectable(raw.split, "a threshold")
        _require_two_classes(raw.label_names)


def _require_two_classes(label_names: tuple[str, ...]) -> None:
    if len(label_names) != 2:
        raise UserError(
            f"a threshold decides between two classes, and the data has {len(label_names)}",
            where="evaluation.threshold",
            fix="Leave it out: with more classes the most likely one is predicted.",
        )


def _choose(
    labels_N: npt.NDArray[np.int64], logits_NC: npt.NDArray[np.float32], section: EvaluationSection
) -> Decision:
    temperature = fit_temperature(labels_N, logits_NC) if section.temperature else 1.0
    if section.maximize is None:
        return Decision(temperature, section.fixed_threshold)
    positive_N = Decision(temperature).probabilities(logits_NC)[:, 1]
    return Decision(temperature, best_threshold(labels_N, positive_N, section.maximize))


def _calibration_error(predictions: Predictions) -> float:
    return expected_calibration_error(predictions.labels, predictions.probabilities_NC)
