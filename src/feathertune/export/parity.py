"""The parity gate: an artefact's answers for the whole validation split beside the evaluated ones.

Two runtimes round differently, and a quantized model turns the last bit of a tie into a step, which later layers turn
into more: half of the rows agree to 1e-6, most others to 1e-3, and one in twenty jumps by 1e-2 (docs/DEPLOYING.md). So
it is the distribution that is judged, and the labels and metrics that come of it. A row whose two likeliest classes
were that near to each other may fall to either side, and as long as few do, that is no movement of a metric: in a split
of 300 rows a single one moves precision by half a point. Nor is it one of ROC AUC, which asks of each two rows which is
likelier, that two change places which were that near to each other: in a split of 40 rows that is a quarter of a point.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from feathertune.evaluation.metrics import compute_metrics
from feathertune.prediction.predictions import Predictions

NEAR_TIE = 0.05  # in logits, between the two likeliest classes
AGREEMENT = 0.999  # of the labels outside near-ties
MOVEMENT = 0.002  # of a metric: 0.2 points
MAX_NEAR_TIE_CHANGES = 3  # rows at near-ties may change their label in any split, or 0.2% of them in a large one
METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc")


@dataclass(frozen=True)
class Parity:
    """What parity.json holds.

    Attributes:
        split, rows: what was compared.
        logit_difference: `median`, `p99` and `maximum` over the rows of the largest difference of a row's logits, each
            row's mean taken away (what is evaluated are probabilities, which do not know it); `above_1e-4` and
            `above_1e-2` are the shares of rows beyond.
        label_agreement: share of rows with the same label.
        label_agreement_outside_near_ties: the same without rows whose two likeliest classes, as evaluated, were less
            than 0.05 apart in logits; 1 where there are no others.
        near_ties: how many rows those are.
        disagreeing_rows: the rows (1-based, in the data) outside near-ties with another label, at most 20.
        near_tie_changes: how many of those got another label. Up to 3 of them, or 0.2% of all rows where that is more,
            are no movement of a metric.
        metrics: metric -> `evaluated`, `exported`, and `moved`: their difference, such changes not counted. For ROC AUC
            rows count as they were where their logits differ by less than half a near-tie: two of them can only have
            changed places where they were nearer than that.
        refused: why, one sentence each; empty where the artefact passes.
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


def compare(evaluated: Predictions, exported: Predictions) -> Parity:
    """Judge an artefact's answers for the rows that were evaluated."""
    if not np.array_equal(evaluated.rows, exported.rows):
        raise ValueError("the two are not answers for the same rows")
    difference_N = np.abs(_centred(evaluated) - _centred(exported)).max(axis=1)
    same_N = evaluated.predicted == exported.predicted
    near_N = _margin(evaluated) < NEAR_TIE
    outside = float(same_N[~near_N].mean()) if (~near_N).any() else 1.0
    changed_N = near_N & ~same_N
    few = int(changed_N.sum()) <= max(MAX_NEAR_TIE_CHANGES, MOVEMENT * len(evaluated))
    metrics = _side_by_side(evaluated, exported, changed_N & few, difference_N < NEAR_TIE / 2)
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
    """[N, C]: logits less each row's mean. A file of predictions holds probabilities, whose logarithms these are."""
    logits_NC = predictions.logits_NC.astype(np.float64)
    if predictions.saved_probabilities_NC is not None:
        smallest = np.finfo(np.float64).tiny
        logits_NC = np.log(np.maximum(predictions.saved_probabilities_NC, smallest))
    return np.asarray(logits_NC - logits_NC.mean(axis=1, keepdims=True))


def _margin(predictions: Predictions) -> npt.NDArray[np.float64]:
    """[N]: how far each answer is from another, in logits: the likeliest class from the next, or from the threshold."""
    threshold = predictions.decision.threshold
    if len(predictions.label_names) == 2:
        centred_N2 = _centred(predictions)
        return np.asarray(np.abs(centred_N2[:, 1] - centred_N2[:, 0] - np.log(threshold / (1 - threshold))))
    sorted_NC = np.sort(_centred(predictions), axis=1)
    return np.asarray(sorted_NC[:, -1] - sorted_NC[:, -2])


def _side_by_side(
    evaluated: Predictions,
    exported: Predictions,
    forgiven_N: npt.NDArray[np.bool_],
    stayed_N: npt.NDArray[np.bool_],
) -> dict[str, dict[str, float | None]]:
    if not np.isfinite(exported.logits_NC).all():
        return {}
    judged = replace(exported, logits_NC=np.where(forgiven_N[:, None], evaluated.logits_NC, exported.logits_NC))
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

    Both from logits: a file's probabilities and their logarithms order near-ties differently.
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
