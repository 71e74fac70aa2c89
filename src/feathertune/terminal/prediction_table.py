"""Predictions as a table."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from feathertune.serving.outputs import Answer
from feathertune.wording.numbers import percent
from feathertune.wording.visible import visible


def predictions_table(answers: Iterable[Answer], label_names: tuple[str, ...]) -> Table:
    """One line for each text: the text, the predicted label, and the probability of each label in percent."""
    table = Table()
    table.add_column("text", overflow="fold", ratio=1)
    table.add_column("label")
    for name in label_names:
        table.add_column(Text(visible(name)), justify="right")
    for answer in answers:
        prediction = answer.prediction
        if prediction is None:
            table.add_row(Text(visible(answer.text or "")), "", *[""] * len(label_names))
            continue
        shares = [percent(prediction.probabilities[name]) for name in label_names]
        table.add_row(Text(visible(prediction.text)), Text(visible(prediction.label)), *shares)
    return table
