import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from changed_runs import read_facts
from feathertune.report.figures.canvas import drawable_name
from feathertune.report.figures.training import confusion_figure, loss_figure, smooth
from feathertune.report.history import History, Step
from feathertune.report.pictures import run_pictures, write_figures
from made_up import made_up_run

OF_A_RUN = {"accuracy", "loss", "metrics", "confusion", "roc", "precision-recall", "reliability"}


@pytest.mark.parametrize(
    ("epochs", "names"),
    [
        (2, ["NEGATIVE", "POSITIVE"]),
        (100, [f"class {index}" for index in range(20)]),
        (2, ["😀 joy", "中文", "$x_$ and $", "_hidden", "a\nb", "", "very long " * 10]),
    ],
)
def test_all_pictures_are_drawn(tmp_path: Path, epochs: int, names: list[str]) -> None:
    run = made_up_run(tmp_path, epochs=epochs, names=names)
    paths = write_figures(run_pictures(read_facts(run.path)), run.figures)
    of_errors = {"rating"} if len(names) == 2 else set()  # and its texts are all of one length
    assert {path.stem for path in paths} == OF_A_RUN | of_errors
    for path in paths:
        height, width = imread(path).shape[:2]
        assert width > 400  # two inches at 200 dpi
        assert height > 200
    assert sorted(run.figures.iterdir()) == sorted(paths)  # and nothing temporary


def test_what_a_run_does_not_have_is_not_drawn(tmp_path: Path) -> None:
    run = made_up_run(tmp_path, epochs=1)
    shutil.rmtree(tmp_path / "predictions")
    run.errors("validation").unlink()
    pictures = run_pictures(read_facts(run.path))
    assert list(pictures) == ["accuracy", "loss", "metrics", "confusion"]
    run.metrics.write_text("", encoding="utf-8")
    assert list(run_pictures(read_facts(run.path))) == ["accuracy", "confusion"]


def test_a_run_that_diverged_can_be_drawn() -> None:
    steps = tuple(Step(event="step", step=step, epoch=step / 4, loss=float("nan")) for step in range(1, 40))
    assert loss_figure(History(steps, ())).axes


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
