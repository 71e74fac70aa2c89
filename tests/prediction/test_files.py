import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feathertune.errors import UserError
from feathertune.evaluation.metrics import compute_metrics
from feathertune.prediction.decision import Decision
from feathertune.prediction.files import read_predictions, write_predictions
from feathertune.prediction.predictions import Predictions

AWKWARD = [
    'say "hi", twice',
    "two\nlines",
    "dos\r\nlines",
    "mac\rline",
    "\ttab\t",
    "😀 中文",
    "=1+1",
    "",
    " ",
    "x" * 200_000,
]


def predictions(texts: list[str], ratings: list[float] | None = None) -> Predictions:
    rng = np.random.default_rng(0)
    return Predictions(
        split="validation",
        label_names=("NEGATIVE", 'PO,SI"TIVE'),
        rows=np.arange(7, 7 + len(texts)),
        texts=texts,
        labels=rng.integers(2, size=len(texts)),
        ratings=None if ratings is None else np.array(ratings),
        logits_NC=(rng.normal(size=(len(texts), 2)) * 5).astype(np.float32),
    )


def test_awkward_texts_and_every_bit_of_the_probabilities_come_back(tmp_path: Path) -> None:
    written = predictions(AWKWARD, ratings=[0.1, np.nan, 1 / 3, *[0.5] * (len(AWKWARD) - 3)])
    write_predictions(tmp_path / "after-validation.csv", written)
    read = read_predictions(tmp_path / "after-validation.csv", "validation")
    assert list(read.texts) == AWKWARD
    assert read.label_names == written.label_names
    for name in ("rows", "labels", "predicted", "ratings", "probabilities_NC"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert compute_metrics(read) == compute_metrics(written)


@given(texts=st.lists(st.text(), min_size=1, max_size=5))
def test_any_text_comes_back(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("predictions") / "file.csv"
    write_predictions(path, predictions(texts))
    assert list(read_predictions(path, "test").texts) == texts


def test_the_columns_are_the_documented_ones(tmp_path: Path) -> None:
    for ratings, columns in ((None, []), ([0.5], ["rating"])):
        write_predictions(tmp_path / "file.csv", predictions(["a"], ratings))
        with (tmp_path / "file.csv").open(encoding="utf-8", newline="") as file:
            header = next(csv.reader(file))
        expected = ["row", "text", "label", "predicted", *columns, "probability_NEGATIVE", 'probability_PO,SI"TIVE']
        assert header == expected


HEADER = "row,text,label,predicted,probability_A,probability_B\r\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "file.csv:1: the columns are missing"),
        ("text,label\r\n", "file.csv:1: the columns are text, label"),
        (HEADER + "1,t,A,A,0.7,0.2\r\n", "file.csv:2: not a prediction: .* sum to 1"),
        (HEADER + "1,t,A,A,0.7,0.3\r\n2,t,A,B,0.7,0.3\r\n", "file.csv:3: the column `predicted`"),
        (HEADER + "1,t,C,A,0.7,0.3\r\n", "file.csv:2: not a prediction"),
        (HEADER + "1,t,A,A,0.7\r\n", "1 probabilities for 2 classes"),
        (HEADER + "1,t,A,A,nan,0.3\r\n", "file.csv:2: not a prediction"),
        (HEADER + "1,t\r\n", "file.csv:2: not a prediction"),
        (HEADER + '1,"t', "not a CSV file"),
    ],
)
def test_a_damaged_file_is_reported_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "file.csv"
    path.write_text(content, encoding="utf-8", newline="")
    with pytest.raises(UserError, match=message):
        read_predictions(path, "validation")


def test_a_missing_file_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        read_predictions(tmp_path / "none.csv", "validation")


def test_a_threshold_explains_the_column_predicted(tmp_path: Path) -> None:
    labels = np.array([0, 1, 1])
    logits = np.log(np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]], dtype=np.float32))
    decided = Predictions("dev", ("a", "b"), labels, ["x"] * 3, labels, None, logits, decision=Decision(1.0, 0.25))
    write_predictions(tmp_path / "p.csv", decided)
    assert read_predictions(tmp_path / "p.csv", "dev").predicted.tolist() == [0, 1, 1]
    assert read_predictions(tmp_path / "p.csv", "dev", 0.25).decision.threshold == 0.25
    with pytest.raises(UserError, match="does not follow from the probabilities"):
        read_predictions(tmp_path / "p.csv", "dev", 0.5)


def test_no_threshold_explains_a_file_edited_by_hand(tmp_path: Path) -> None:
    lines = ["row,text,label,predicted,probability_a,probability_b", "1,x,a,b,0.9,0.1", "2,x,a,a,0.7,0.3"]
    (tmp_path / "p.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match=r"p\.csv:2"):
        read_predictions(tmp_path / "p.csv", "dev")
