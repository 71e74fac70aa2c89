"""parity.json of an export: how its predictions compare with the evaluated ones."""

from __future__ import annotations

from typing import Any, ClassVar

from feathertune.folders.record import Part, Record


class NamedRow(Part):
    """A row whose label is another one: its text, the labels, and the evaluated margin in logits."""

    row: int
    text: str
    evaluated: str
    exported: str
    margin: float


class Check(Part):
    """One way in which the artefact predicted.

    Attributes:
        how: for a person: 'padded batches of 25', for example.
        rows: how many rows: all, or as many as export/ways.py allows.
        logit_difference: see `Parity`; only of these rows.
        changed_labels: how many of their labels are not those evaluated, near-ties included.
        refused: the reasons, one sentence each.
        milliseconds: the median time of one text, where it was measured; None in exports of earlier versions.
    """

    how: str
    rows: int
    logit_difference: dict[str, float]
    changed_labels: int
    refused: tuple[str, ...]
    milliseconds: float | None = None


class Parity(Record):
    """The content of parity.json.

    Attributes:
        split, rows: the split and its number of rows.
        counted: how many rows are no near-ties: their labels are what the gate judges. 0: it has shown nothing.
        logit_difference: `median`, `p99` and `maximum` over the rows of the largest difference in a row's logits after
            subtracting each row's mean (probabilities do not depend on it); `above_1e-4` and `above_1e-2` are the
            shares of rows above.
        label_agreement: share of rows with the same label.
        label_agreement_outside_near_ties: the same without rows whose two most likely classes were evaluated less
            than 0.05 apart in logits; None if there are no others.
        near_ties: how many rows those are.
        disagreeing_rows: the rows (1-based, in the data) outside near-ties with another label, at most 20.
        named: the first of the rows that led to a refusal, with their texts.
        near_tie_changes: how many near-ties got another label. Up to 3, or 0.2% of all rows if that is more, do not
            count as a change of a metric.
        metrics: metric -> `evaluated`, `exported`, and `moved`: their difference, not counting such changes. For ROC
            AUC, rows count as evaluated if their logits differ by less than half a near-tie: two such rows can only
            swap if they were closer than a near-tie. Empty without true labels.
        checks: the ways in which the artefact predicted. The figures above are those of the first, for all rows.
        elsewhere: the same for other runtimes that are installed here. They do not decide whether the artefact passes.
        not_checked: in which ways it did not, and why, one sentence each.
        causes: where it is refused, what probably led to it, one sentence each.
        refused: the reasons, one sentence each; empty if the artefact passes.
    """

    FORMAT: ClassVar[int] = 2  # 1 had neither `counted` nor `checks`

    split: str
    rows: int
    counted: int
    logit_difference: dict[str, float]
    label_agreement: float
    label_agreement_outside_near_ties: float | None
    near_ties: int
    near_tie_changes: int
    disagreeing_rows: tuple[int, ...]
    named: tuple[NamedRow, ...] = ()
    metrics: dict[str, dict[str, float | None]]
    checks: tuple[Check, ...] = ()
    elsewhere: tuple[Check, ...] = ()
    not_checked: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    refused: tuple[str, ...]

    @classmethod
    def upgraded(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Format 1: agreement outside near-ties was 1 where there were no others."""
        counted = content["rows"] - content["near_ties"]
        agreement = content["label_agreement_outside_near_ties"] if counted else None
        return {**content, "counted": counted, "label_agreement_outside_near_ties": agreement}

    @property
    def passed(self) -> bool:
        """Whether the artefact may be used."""
        return not self.refused

    def to_json(self) -> dict[str, Any]:
        """The content as dicts, lists and plain values, all defaults included."""
        return {"passed": self.passed, **self.model_dump(mode="json")}
