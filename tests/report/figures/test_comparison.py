"""The figures of a comparison: each method at its cost, with an axis that can be read."""

from itertools import pairwise

import pytest
from matplotlib.figure import Figure

from feathertune.folders.comparison import Estimate, MethodResult
from feathertune.report.figures.comparison import (
    cost_figure,
    costing,
    steps_aside,
)
from feathertune.report.figures.svg import WIDTH

MIB = 2**20


def method(name: str, artefact: int, deployed: int | None, accuracy: float = 0.8) -> MethodResult:
    estimate = Estimate(value=accuracy, low=accuracy - 0.02, high=accuracy + 0.02)
    return MethodResult(
        method=name,
        name=name,
        seeds=(0,),
        metrics={"test": {"accuracy": estimate}},
        artefact_bytes=artefact,
        deployed_bytes=deployed,
    )


ADAPTER = method("lora", 20_000, 87 * MIB + 20_000, 0.81)
WHOLE = method("full", 87 * MIB, 87 * MIB, 0.82)
INTEGERS = method("qat", 24 * MIB, 24 * MIB, 0.8)


def places(figure: Figure) -> dict[str, tuple[float, float]]:
    """Name -> the cost and the accuracy in percent at which a method is drawn."""
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    return {str(line.get_label()): (float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines}


def test_an_adapter_is_as_large_as_what_has_to_be_shipped_with_it() -> None:
    figure = cost_figure([ADAPTER, WHOLE, INTEGERS], "test", "deployed_bytes")
    assert places(figure) == {
        "LoRA": (87 * MIB + 20_000, 81.0),
        "full fine-tuning": (87 * MIB, 82.0),
        "LoRA + QAT": (24 * MIB, 80.0),
    }
    assert figure.axes[0].get_xlabel() == "Deployed size (log scale)"


def test_the_artefact_is_drawn_if_the_deployed_size_is_not_known() -> None:
    old = method("old", 5 * MIB, None)
    without = MethodResult(method="older", name="older", seeds=(0,), metrics=old.metrics, artefact_bytes=5 * MIB)
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
def test_the_axis_has_at_least_two_ticks_and_holds_every_method(methods: list[MethodResult]) -> None:
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
def test_the_labels_of_the_ticks_do_not_overlap(most: float) -> None:
    seconds = [method(str(place), 1, 1).model_copy(update={"train_seconds": most / 50**place}) for place in range(4)]
    figure = cost_figure(seconds, "test", "train_seconds")
    figure.set_size_inches(WIDTH, 3.4)  # as on the page
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert len(boxes) >= 2
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
