"""What a comparison's pictures put where: each method at its cost, with an axis that can be read."""

from itertools import pairwise
from typing import Any

import pytest
from matplotlib.figure import Figure

from feathertune.report.figures.comparison import (
    cost_figure,
    costing,
    size,
    steps_aside,
)
from feathertune.report.figures.svg import WIDTH

MIB = 2**20


def method(name: str, artefact: int, deployed: int | None, accuracy: float = 0.8) -> dict[str, Any]:
    rates = {"accuracy": {"value": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.02}}
    return {
        "method": name, "metrics": {"test": rates}, "artefact_bytes": artefact, "deployed_bytes": deployed,
    }  # fmt: skip


ADAPTER = method("lora", 20_000, 87 * MIB + 20_000, 0.81)
WHOLE = method("full", 87 * MIB, 87 * MIB, 0.82)
INTEGERS = method("qat", 24 * MIB, 24 * MIB, 0.8)


def places(figure: Figure) -> dict[str, tuple[float, float]]:
    """Name -> the cost and the accuracy in percent at which a method's mark is."""
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    return {str(line.get_label()): (float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines}


def test_an_adapter_is_as_large_as_what_has_to_be_shipped_with_it() -> None:
    figure = cost_figure([ADAPTER, WHOLE, INTEGERS], "test", "deployed_bytes")
    assert places(figure) == {
        "lora": (87 * MIB + 20_000, 81.0),
        "full": (87 * MIB, 82.0),
        "qat": (24 * MIB, 80.0),
    }
    assert figure.axes[0].get_xlabel() == "Size of all that has to be shipped, logarithmic"


def test_where_it_is_not_known_what_is_shipped_the_artefact_is_drawn() -> None:
    old = method("old", 5 * MIB, None)
    without = {key: value for key, value in old.items() if key != "deployed_bytes"} | {"method": "older"}
    unknown = method("unknown", 0, None)
    assert [spent for _, spent in costing([old, without, unknown, ADAPTER], "deployed_bytes")] == [
        5 * MIB,
        5 * MIB,
        87 * MIB + 20_000,
    ]


def test_methods_of_almost_one_size_stand_side_by_side() -> None:
    assert steps_aside([ADAPTER, WHOLE, INTEGERS], "deployed_bytes") == [4.5, -4.5, 0]
    assert steps_aside([ADAPTER, ADAPTER, WHOLE], "deployed_bytes") == [0, 9, -9]
    assert steps_aside([WHOLE, INTEGERS], "deployed_bytes") == [0, 0]
    figure = cost_figure([ADAPTER, WHOLE, INTEGERS], "test", "deployed_bytes")
    figure.canvas.draw()
    drawn = [line.get_window_extent().x0 for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    assert drawn[0] - drawn[1] == pytest.approx(9 * figure.dpi / 72, abs=1)


@pytest.mark.parametrize("methods", [[ADAPTER], [WHOLE, ADAPTER], [WHOLE, INTEGERS], [method("one", 1, 1), WHOLE]])
def test_the_axis_has_two_marks_or_more_and_holds_every_method(methods: list[dict[str, Any]]) -> None:
    figure = cost_figure(methods, "test", "deployed_bytes")
    figure.canvas.draw()
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    assert sum(low <= tick <= high for tick in axes.get_xticks()) >= 2
    assert all(low < cost < high for cost, _ in places(figure).values())
    bottom, top = axes.get_ylim()
    accuracies = [accuracy for _, accuracy in places(figure).values()]
    assert bottom <= min(accuracies) - 2  # the intervals too
    assert top >= max(accuracies) + 2


@pytest.mark.parametrize("most", [0.5, 90, 900, 40_000])
def test_what_is_written_at_the_marks_does_not_overlap(most: float) -> None:
    seconds = [method(str(place), 1, 1) | {"train_seconds": most / 50**place} for place in range(4)]
    figure = cost_figure(seconds, "test", "train_seconds")
    figure.set_size_inches(WIDTH, 3.4)  # as on the page
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert len(boxes) >= 2
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_bytes_are_written_as_people_say_them() -> None:
    assert [size(count) for count in (88, 20_000, 2.6 * MIB, 1000 * MIB, 1023.5 * MIB, 2**30)] == [
        "88 B",
        "19.5 KiB",
        "2.6 MiB",
        "1000 MiB",
        "1024 MiB",
        "1 GiB",
    ]
