"""The parity gate: an artefact's predictions for the whole validation split, compared with the evaluated ones.

Two runtimes round differently, and a quantized model turns the last bit of a tie into a step, which later layers
amplify: half of the rows agree to 1e-6, most others to 1e-3, and one in twenty jumps by 1e-2 (docs/DEPLOYING.md). So
the gate judges the distribution, and the labels and metrics that follow from it. A row whose two most likely classes
were nearly tied may fall to either side; as long as few do, this does not count as a change of a metric, since in a
split of 300 rows a single one moves precision by half a point. For the same reason ROC AUC, which ranks pairs of rows,
may have nearly tied rows swapped: in a split of 40 rows one swap moves it by a quarter of a point.

An artefact predicts in several ways, since the padding and the other texts of a batch must not matter; each is judged
alike, on all rows, where those that were not predicted in this way count as they did in the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from feathertune.evaluation.metrics import compute_metrics
from feathertune.folders.parity import Check, NamedRow, Parity
from feathertune.prediction.predictions import Predictions

NEAR_TIE = 0.05  # in logits, between the two most likely classes
AGREEMENT = 0.999  # of the labels outside near-ties
MOVEMENT = 0.002  # of a metric: 0.2 points
MAX_NEAR_TIE_CHANGES = 3  # near-tied rows may change their label in any split, or 0.2% of all rows in a large one
NAMED = 5  # rows that a refusal names
METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc")


@dataclass(frozen=True)
class Outputs:
    """The logits of an artefact, predicted in one way.

    Attributes:
        how: for a person.
        logits_KC: [K, C] float32.
        rows_K: [K] int64, the indices of the texts; None: all.
        decides: whether the artefact passes only if these are right; not of another runtime that happens to be here.
        refused: what else is wrong with them, one sentence each: other tokens, for example.
        milliseconds: the median time of one text, where it was measured.
    """

    how: str
    logits_KC: npt.NDArray[np.float32]
    rows_K: npt.NDArray[np.int64] | None = None
    decides: bool = True
    refused: tuple[str, ...] = ()
    milliseconds: float | None = None


def judge(
    evaluated: Predictions, outputs: Sequence[Outputs], not_checked: Sequence[str] = (), *, labels_known: bool = True
) -> Parity:
    """Judge an artefact by its outputs; the first must be for all rows. Without true labels no metric is judged."""
    parities, checks = [], []
    logits_NC = outputs[0].logits_KC
    for one in outputs:
        rows_K = np.arange(len(evaluated)) if one.rows_K is None else one.rows_K
        overlaid_NC = logits_NC.copy()
        overlaid_NC[rows_K] = one.logits_KC
        exported = replace(evaluated, logits_NC=overlaid_NC, saved_probabilities_NC=None, saved_predicted_N=None)
        parity = compare(evaluated, exported, labels_known=labels_known)
        parities.append(parity.model_copy(update={"refused": (*one.refused, *parity.refused)}))
        difference_K = _difference(evaluated, exported)[rows_K]
        checks.append(
            Check(
                how=one.how,
                rows=len(rows_K),
                logit_difference=_distribution(difference_K) if np.isfinite(difference_K).all() else {},
                changed_labels=int((evaluated.predicted != exported.predicted)[rows_K].sum()),
                refused=parities[-1].refused,
                milliseconds=one.milliseconds,
            )
        )
    deciding = [index for index, one in enumerate(outputs) if one.decides]
    first = next((parities[index] for index in deciding if parities[index].refused), parities[0])
    # What every way has in common is listed once.
    common = set(parities[0].refused)
    ways = [checks[index] for index in deciding]
    others = [f"{one.how}: {reason}" for one in ways[1:] for reason in one.refused if reason not in common]
    return parities[0].model_copy(
        update={
            "named": first.named,
            "checks": tuple(ways),
            "elsewhere": tuple(check for check, one in zip(checks, outputs, strict=True) if not one.decides),
            "not_checked": tuple(not_checked),
            "refused": (*parities[0].refused, *others),
        }
    )


def compare(evaluated: Predictions, exported: Predictions, *, labels_known: bool = True) -> Parity:
    """Judge one set of predictions for the evaluated rows: without true labels, by logits and labels alone."""
    if not np.array_equal(evaluated.rows, exported.rows):
        raise ValueError("these are not predictions for the same rows")
    difference_N = _difference(evaluated, exported)
    finite = bool(np.isfinite(difference_N).all())
    same_N = evaluated.predicted == exported.predicted
    near_N = margins(evaluated) < NEAR_TIE
    counted = int((~near_N).sum())
    outside = float(same_N[~near_N].mean()) if counted else None
    changed_N = near_N & ~same_N
    few = int(changed_N.sum()) <= max(MAX_NEAR_TIE_CHANGES, MOVEMENT * len(evaluated))
    stayed_N = difference_N < NEAR_TIE / 2
    metrics = _side_by_side(evaluated, exported, changed_N & few, stayed_N) if finite and labels_known else {}
    reasons = [] if finite else ["some of its logits are not finite numbers"]
    if outside is not None and outside < AGREEMENT:
        reasons.append(
            f"{int((~same_N & ~near_N).sum())} of {counted} labels outside near-ties differ "
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
        counted=counted,
        logit_difference=_distribution(difference_N) if finite else {},
        label_agreement=float(same_N.mean()),
        label_agreement_outside_near_ties=outside,
        near_ties=int(near_N.sum()),
        near_tie_changes=int(changed_N.sum()),
        disagreeing_rows=tuple(int(row) for row in evaluated.rows[~same_N & ~near_N][:20]),
        named=_named(evaluated, exported, near_N, difference_N) if reasons else (),
        metrics=metrics,
        refused=tuple(reasons),
    )


def _named(
    evaluated: Predictions, exported: Predictions, near_N: npt.NDArray[np.bool_], difference_N: npt.NDArray[np.float64]
) -> tuple[NamedRow, ...]:
    """The rows that led to a refusal: broken logits, other labels, near-ties last; or those that differ most."""
    margin_N = margins(evaluated)
    changed_N = evaluated.predicted != exported.predicted
    broken_N = ~np.isfinite(difference_N)
    order = [np.flatnonzero(mask) for mask in (broken_N, changed_N & ~near_N & ~broken_N, changed_N & near_N)]
    chosen = np.concatenate(order) if any(map(len, order)) else np.argsort(-difference_N, kind="stable")
    names = evaluated.label_names
    return tuple(
        NamedRow(
            row=int(evaluated.rows[index]),
            text=evaluated.texts[index],
            evaluated=names[int(evaluated.predicted[index])],
            exported="not a number" if broken_N[index] else names[int(exported.predicted[index])],
            margin=float(margin_N[index]),
        )
        for index in chosen[:NAMED].tolist()
    )


def _difference(evaluated: Predictions, exported: Predictions) -> npt.NDArray[np.float64]:
    """[N]: the largest difference in a row's centred logits; NaN where a logit is not finite."""
    difference_N = np.full(len(evaluated), np.nan)
    finite_N = np.asarray(np.isfinite(exported.logits_NC).all(axis=1))
    difference_NC = np.abs(_centred(evaluated, finite_N) - _centred(exported, finite_N))
    difference_N[finite_N] = difference_NC.max(axis=1)
    return difference_N


def _centred(predictions: Predictions, rows: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.float64]:
    """[N, C]: logits minus each row's mean. For a prediction file they are the logarithms of its probabilities."""
    logits_NC = predictions.logits_NC.astype(np.float64)
    if predictions.saved_probabilities_NC is not None:
        smallest = np.finfo(np.float64).tiny
        logits_NC = np.log(np.maximum(predictions.saved_probabilities_NC, smallest))
    if rows is not None:
        logits_NC = logits_NC[rows]
    return np.asarray(logits_NC - logits_NC.mean(axis=1, keepdims=True))


def margins(predictions: Predictions) -> npt.NDArray[np.float64]:
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
