"""The parity gate: an artefact's predictions for the whole validation split, compared with the evaluated ones.

Two runtimes round differently, and a quantized model turns the last bit of a tie into a step, which later layers
amplify: half of the rows agree to 1e-6, most others to 1e-3, and one in twenty jumps by 1e-2 (docs/DEPLOYING.md). So
the gate judges the distribution, and the labels and metrics that follow from it. A row whose two most likely classes
were nearly tied may fall to either side; as long as few do, this does not count as a change of a metric, since in a
split of 300 rows a single one moves precision by half a point. For the same reason ROC AUC, which ranks pairs of rows,
may have nearly tied rows swapped: in a split of 40 rows one swap moves it by a quarter of a point.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from feathertune.evaluation.metrics import compute_metrics
from feathertune.prediction.predictions import Predictions

NEAR_TIE = 0.05  # in logits, between the two most likely classes
AGREEMENT = 0.999  # of the labels outside near-ties
MOVEMENT = 0.002  # of a metric: 0.2 points
MAX_NEAR_TIE_CHANGES = 3  # near-tied rows may change their label in any split, or 0.2% of all rows in a large one
METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc")


@dataclass(frozen=True)
class Parity:
    """What parity.json holds.

    Attributes:
        split, rows: the split and its number of rows.
        logit_difference: `median`, `p99` and `maximum` over the rows of the largest difference in a row's logits after
            subtracting each row's mean (probabilities do not depend on it); `above_1e-4` and `above_1e-2` are the
            shares of rows above.
        label_agreement: share of rows with the same label.
        label_agreement_outside_near_ties: the same without rows whose two most likely classes were evaluated less
            than 0.05 apart in logits; 1 if there are no others.
        near_ties: how many rows those are.
        disagreeing_rows: the rows (1-based, in the data) outside near-ties with another label, at most 20.
        near_tie_changes: how many near-ties got another label. Up to 3, or 0.2% of all rows if that is more, do not
            count as a change of a metric.
        metrics: metric -> `evaluated`, `exported`, and `moved`: their difference, not counting such changes. For ROC
            AUC, rows count as evaluated if their logits differ by less than half a near-tie: two such rows can only
            swap if they were closer than a near-tie. Empty without true labels.
        refused: the reasons, one sentence each; empty if the artefact passes.
    """

    split: str
    rows: int
    logit_difference: dict[str, float]
    label_agreement: float
    label_agreement_outside_near_ties: float
    near_ties: int
    near_tie_changes: int
    disagreeing_rows: list[int]
    metrics: dict[str, dict[str, float | None]]
    refused: list[str]

    @property
    def passed(self) -> bool:
        """Whether the artefact may be used."""
        return not self.refused

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"passed": self.passed, **asdict(self)}


def compare(evaluated: Predictions, exported: Predictions, *, labels_known: bool = True) -> Parity:
    """Judge an artefact's predictions for the evaluated rows: without true labels, by logits and labels alone."""
    if not np.array_equal(evaluated.rows, exported.rows):
        raise ValueError("these are not predictions for the same rows")
    difference_N = np.abs(_centred(evaluated) - _centred(exported)).max(axis=1)
    same_N = evaluated.predicted == exported.predicted
    near_N = _margin(evaluated) < NEAR_TIE
    outside = float(same_N[~near_N].mean()) if (~near_N).any() else 1.0
    changed_N = near_N & ~same_N
    few = int(changed_N.sum()) <= max(MAX_NEAR_TIE_CHANGES, MOVEMENT * len(evaluated))
    metrics = _side_by_side(evaluated, exported, changed_N & few, difference_N < NEAR_TIE / 2) if labels_known else {}
    reasons = []
    finite = bool(np.isfinite(difference_N).all())
    if not finite:
        reasons.append("some of its logits are not finite numbers")
    if outside < AGREEMENT:
        reasons.append(
            f"{int((~same_N & ~near_N).sum())} of {int((~near_N).sum())} labels outside near-ties differ "
            f"({outside:.3%} agree; at least {AGREEMENT:.1%} must)"
        )
    reasons += [
        f"{name} moved by {100 * moved:.2f} points ({_percent(sides['evaluated'])} as evaluated, "
        f"{_percent(sides['exported'])} exported; at most {100 * MOVEMENT:.1f} are allowed)"
        for name, sides in metrics.items()
        if (moved := sides["moved"]) is not None and moved > MOVEMENT
    ]
    return Parity(
        split=evaluated.split,
        rows=len(evaluated),
        logit_difference=_distribution(difference_N) if finite else {},
        label_agreement=float(same_N.mean()),
        label_agreement_outside_near_ties=outside,
        near_ties=int(near_N.sum()),
        near_tie_changes=int(changed_N.sum()),
        disagreeing_rows=[int(row) for row in evaluated.rows[~same_N & ~near_N][:20]],
        metrics=metrics,
        refused=reasons,
    )


def _centred(predictions: Predictions) -> npt.NDArray[np.float64]:
    """[N, C]: logits minus each row's mean. For a prediction file they are the logarithms of its probabilities."""
    logits_NC = predictions.logits_NC.astype(np.float64)
    if predictions.saved_probabilities_NC is not None:
        smallest = np.finfo(np.float64).tiny
        logits_NC = np.log(np.maximum(predictions.saved_probabilities_NC, smallest))
    return np.asarray(logits_NC - logits_NC.mean(axis=1, keepdims=True))


def _margin(predictions: Predictions) -> npt.NDArray[np.float64]:
    """[N]: the margin of each prediction in logits: the most likely class to the next, or to the threshold."""
    threshold = predictions.decision.threshold
    if len(predictions.label_names) == 2:
        centred_N2 = _centred(predictions)
        return np.asarray(np.abs(centred_N2[:, 1] - centred_N2[:, 0] - np.log(threshold / (1 - threshold))))
    sorted_NC = np.sort(_centred(predictions), axis=1)
    return np.asarray(sorted_NC[:, -1] - sorted_NC[:, -2])


def _side_by_side(
    evaluated: Predictions,
    exported: Predictions,
    ignored_N: npt.NDArray[np.bool_],
    stayed_N: npt.NDArray[np.bool_],
) -> dict[str, dict[str, float | None]]:
    if not np.isfinite(exported.logits_NC).all():
        return {}
    judged = replace(exported, logits_NC=np.where(ignored_N[:, None], evaluated.logits_NC, exported.logits_NC))
    one, other, but = (compute_metrics(predictions, intervals=False) for predictions in (evaluated, exported, judged))
    ranks = _ranks(evaluated, exported, stayed_N)
    sides: dict[str, dict[str, float | None]] = {}
    for name in METRICS:
        before, after = ranks if name == "roc_auc" else (getattr(one, name), getattr(but, name))
        moved = None if before is None or after is None else abs(before - after)
        sides[name] = {"evaluated": getattr(one, name), "exported": getattr(other, name), "moved": moved}
    sides["loss"] = {"evaluated": one.loss, "exported": other.loss, "moved": None}  # in nats: shown, not judged
    return sides


def _ranks(
    evaluated: Predictions, exported: Predictions, stayed_N: npt.NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    """ROC AUC as evaluated and as exported, where the rows `stayed_N` count as evaluated.

    Both are computed from logits, since probabilities and their logarithms order near-ties differently.
    """
    before_NC, after_NC = _centred(evaluated), _centred(exported)
    sides = (before_NC, np.where(stayed_N[:, None], before_NC, after_NC))
    before, after = (
        compute_metrics(replace(exported, logits_NC=side_NC.astype(np.float32)), intervals=False).roc_auc
        for side_NC in sides
    )
    return before, after


def _distribution(difference_N: npt.NDArray[np.float64]) -> dict[str, float]:
    return {
        "median": float(np.median(difference_N)),
        "p99": float(np.quantile(difference_N, 0.99)),
        "maximum": float(difference_N.max()),
        "above_1e-4": float((difference_N > 1e-4).mean()),
        "above_1e-2": float((difference_N > 1e-2).mean()),
    }


def _percent(share: float | None) -> str:
    return "undefined" if share is None else f"{share:.2%}"
