"""The figures of `inspect data`."""

import numpy as np
import pytest

from feathertune.report.figures.canvas import plain
from feathertune.report.figures.data import label_shares_figure, text_lengths_figure


@pytest.mark.parametrize("lengths", [[3, 4, 4, 9], [7, 7, 7], [1, 100_000] * 50])
def test_bars_are_shares_of_all_texts(lengths: list[int]) -> None:
    figure = text_lengths_figure({"train": np.array(lengths), "test": np.array([5, 6])}, "tokens", limit=5)
    plain(figure).canvas.draw()
    patches = [patch for patch in figure.axes[0].patches if hasattr(patch, "get_data")]
    assert [round(patch.get_data().values.sum(), 6) for patch in patches] == [100, 100]
    assert "tokens" in figure.axes[0].get_xlabel()


def test_labels_are_bars_and_only_the_most_frequent_of_many() -> None:
    figure = label_shares_figure({"train": {"no": 3, "yes": 1}, "validation": {"no": 1, "yes": 1}})
    plain(figure).canvas.draw()
    widths = [[bar.get_width() for bar in bars] for bars in figure.axes[0].containers]
    assert widths == [[75, 25], [50, 50]]
    many = {f"label {index}": index for index in range(100)}
    figure = label_shares_figure({"train": many})
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert (len(shown), shown[0]) == (20, "label 99")
    assert "the 20 most frequent of 100 labels" in figure.axes[0].get_xlabel()
