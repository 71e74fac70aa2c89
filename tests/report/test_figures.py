import json
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from feathertune.report.figures import confusion_figure, drawable_name, smooth, write_figures
from feathertune.run_folder import RunFolder


def finished_run(path: Path, *, epochs: int, names: list[str], loss: float | None = None) -> RunFolder:
    """A run folder with made-up numbers, four steps an epoch; `loss` replaces every step's."""
    run, lines = RunFolder(path), []
    for epoch in range(epochs + 1):
        rate = 1 - math.exp(-epoch - 0.7)
        scores = dict.fromkeys(("accuracy", "precision", "recall", "f1", "roc_auc"), rate) | {"loss": 1 - rate}
        if epoch > 0:
            steps = range(4 * epoch - 3, 4 * epoch + 1)
            lines += [{"event": "step", "step": step, "epoch": step / 4, "loss": loss or 1 / step} for step in steps]
        train = 1.1 - rate if epoch > 0 else None
        told = {"epoch": epoch, "step": 4 * epoch, "train_loss": train, "seconds": 1.0}
        lines.append({"event": "epoch", "validation": scores, **told})
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    summary = {"best_epoch": epochs, "majority": {"validation": {"accuracy": 0.516}}}
    run.summary.write_text(json.dumps(summary), encoding="utf-8")
    matrix = (np.eye(len(names), dtype=int) * 90 + 3).tolist()
    evaluation = run.evaluation("after", "validation")
    evaluation.parent.mkdir()
    evaluation.write_text(json.dumps({"confusion_matrix": matrix, "label_names": names}), encoding="utf-8")
    return run


@pytest.mark.parametrize(
    ("epochs", "names"),
    [
        (1, ["NEGATIVE", "POSITIVE"]),
        (100, [f"class {index}" for index in range(20)]),
        (2, ["😀 joy", "中文", "$x_$ and $", "_hidden", "a\nb", "", "very long " * 10]),
    ],
)
def test_the_three_pictures_are_drawn(tmp_path: Path, epochs: int, names: list[str]) -> None:
    run = finished_run(tmp_path, epochs=epochs, names=names)
    paths = write_figures(run)
    assert [path.name for path in paths] == ["loss.png", "metrics.png", "confusion.png"]
    for path in paths:
        height, width = imread(path).shape[:2]
        assert min(height, width) > 400  # two inches at 200 dpi
    assert sorted(run.figures.iterdir()) == sorted(paths)  # and nothing temporary


def test_what_a_run_does_not_have_is_not_drawn(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.metrics.write_text("", encoding="utf-8")
    assert write_figures(run) == []
    run.metrics.write_text('{"event": "step", "step": 1, "epoch": 0.1, "loss": 0.6}\n', encoding="utf-8")
    assert [path.name for path in write_figures(run)] == ["loss.png"]


def test_a_run_that_diverged_can_be_drawn(tmp_path: Path) -> None:
    run = finished_run(tmp_path, epochs=6, names=["A", "B"], loss=math.nan)
    assert len(write_figures(run)) == 3


def test_every_cell_of_a_confusion_matrix_has_its_text() -> None:
    axes = confusion_figure([[1400, 415], [5, 1930]], ["NEGATIVE", "POSITIVE"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["1400\n77%", "415\n23%", "5\n<1%", "1930\n>99%"]
    assert [text.get_color() for text in axes.texts] == ["white", "black", "black", "white"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted class", "True class")


def test_a_class_without_examples_leaves_an_empty_row() -> None:
    axes = confusion_figure([[3, 0], [0, 0]], ["A", "B"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["3\n100%", "0", "0", "0"]


def test_names_that_cannot_be_drawn_become_numbers() -> None:
    unknown = "\ue123"  # of the private use area: no font has it
    assert drawable_name("POSITIVE", 1) == "POSITIVE"
    assert drawable_name("two\nlines", 1) == "two lines"
    assert drawable_name(unknown, 3) == "class 3"
    assert drawable_name(f"{unknown} joy", 3) == "class 3 (joy)"
    assert len(drawable_name("long " * 20, 0)) == 24


def test_smoothing_keeps_a_line_and_leaves_out_nan() -> None:
    np.testing.assert_allclose(smooth(np.full(50, 0.7)), 0.7)
    np.testing.assert_allclose(smooth(np.array([1.0, np.nan, 3.0])), [1.0, 2.0, 3.0])
    assert np.isnan(smooth(np.array([np.nan]))).all()
