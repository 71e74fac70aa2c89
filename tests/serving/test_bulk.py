"""Predicting files: what a text may contain, the size of chunks, and what is left after an error."""

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from feathertune.data.formats.opening import read_rows
from feathertune.data.rows import Row
from feathertune.recipe.files import parse_recipe
from feathertune.run.train import train
from feathertune.serving import bulk
from feathertune.serving.bulk import predict_rows, write_rows
from feathertune.serving.predictor import Prediction, Predictor
from shell import feathertune
from tiny import write_tiny_data

TEXTS = ["a cat", "the\rmoon", "a\r\nb", "one\ntwo", 'a "quoted", text', "\r", "the sun"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a run without a base: `bag_of_words`."""
    folder = tmp_path_factory.mktemp("bulk")
    write_tiny_data(folder / "data")
    text = f"{{model: {{source: none}}, data: {{source: '{folder / 'data'}'}}, method: bag_of_words}}"
    train(parse_recipe(text, [], where="here"), folder / "bag_of_words")
    return folder


def written(texts: list[str], names: tuple[str, ...] = ("no", "yes")) -> str:
    out = io.StringIO()
    predictions = (Prediction(text, names[0], 0.75, dict.fromkeys(names, 0.5)) for text in texts)
    assert write_rows(enumerate(predictions, start=1), names, out, "csv") == len(texts)
    return out.getvalue()


def test_written_csv_can_be_read_again_whatever_the_texts_contain(tmp_path: Path) -> None:
    content = written(TEXTS)
    assert [row["text"] for row in csv.DictReader(io.StringIO(content, newline=""))] == TEXTS
    (tmp_path / "out.csv").write_text(content, encoding="utf-8", newline="")
    rows = list(read_rows(tmp_path / "out.csv"))
    assert [row.fields["text"] for row in rows if isinstance(row, Row)] == TEXTS
    assert written(["a cat"]).splitlines()[1] == "1,a cat,no,0.75,0.5,0.5"  # other texts are not quoted


def test_a_label_may_hold_a_carriage_return_too() -> None:
    (row,) = csv.DictReader(io.StringIO(written(["a cat"], ("n\ro", "yes")), newline=""))
    assert (row["label"], row["probability_n\ro"]) == ("n\ro", "0.5")


@pytest.mark.parametrize(("limit", "sizes"), [("CHUNK_ROWS", [3, 3, 2]), ("CHUNK_CHARACTERS", [2, 1, 2, 3])])
def test_rows_are_predicted_a_few_at_a_time(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, sizes: list[int]
) -> None:
    texts = ["the cat", "a moon", "the cat can sing", "sun", "a red moon", "a", "b", "c"]
    (tmp_path / "many.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    predictor = Predictor(place / "bag_of_words")
    whole = list(predict_rows(predictor, tmp_path / "many.txt", None))
    chunks: list[list[str]] = []
    predict = predictor.predict
    monkeypatch.setattr(predictor, "predict", lambda texts: chunks.append(list(texts)) or predict(texts))
    monkeypatch.setattr(bulk, limit, {"CHUNK_ROWS": 3, "CHUNK_CHARACTERS": 12}[limit])
    assert list(predict_rows(predictor, tmp_path / "many.txt", None)) == whole
    assert [row for row, _ in whole] == list(range(1, 9))
    assert [len(chunk) for chunk in chunks] == sizes


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_predictions_never_replace_their_own_input(
    place: Path, tmp_path: Path, link: Callable[[Path, Path], None] | None
) -> None:
    data, output = tmp_path / "data.csv", tmp_path / ("data.csv" if link is None else "link.csv")
    data.write_text("text\nthe cat\n", encoding="utf-8")
    if link is not None:
        link(data, output)
    result = feathertune("predict", "bag_of_words", "--input", str(data), "--output", str(output), cwd=place)
    assert (result.returncode, result.stdout) == (2, "")
    assert "this is the --input itself" in result.stderr
    assert data.read_text(encoding="utf-8") == output.read_text(encoding="utf-8") == "text\nthe cat\n"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b'text\na cat\n" "\n', "bad.csv:3: the text is empty\n  Fix or remove the row.\n"),
        (b"text\na cat\ncaf\xe9\n", "--read encoding=windows-1252"),
    ],
)
def test_a_bad_row_in_the_input_leaves_no_output_file(place: Path, tmp_path: Path, content: bytes, error: str) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    output = tmp_path / "never.csv"
    result = feathertune(
        "predict", "bag_of_words", "--input", str(tmp_path / "bad.csv"), "--output", str(output), cwd=place
    )
    assert result.returncode == 2
    assert error in result.stderr
    assert not output.exists()
