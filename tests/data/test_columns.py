"""How `inspect data SOURCE` guesses the columns of a source without a recipe."""

from pathlib import Path

import pytest

from feathertune.data.columns import guess_columns
from feathertune.data.loading import load_dataset
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection, LabelSection


def source(folder: Path, content: str, name: str = "data.csv") -> str:
    (folder / name).write_text(content)
    return str(folder / name)


@pytest.mark.parametrize(
    ("header", "text", "label"),
    [
        ("label,text", "text", LabelSection(column="label")),
        ("class,Sentence", "Sentence", LabelSection(column="class")),
        ("rating,question", "question", LabelSection(rating="rating", above=0.5)),
        ("target,review", "review", LabelSection(column="target")),
    ],
)
def test_names_are_recognised(tmp_path: Path, header: str, text: str, label: LabelSection) -> None:
    path = source(tmp_path, f"{header}\n0.5,some words\n1.0,more\n")
    assert guess_columns(path) == DataSection(source=path, text=text, label=label)


def test_a_label_goes_before_a_rating_and_text_before_content(tmp_path: Path) -> None:
    section = guess_columns(source(tmp_path, "content,rating,label,text\na,0,x,b\n"))
    assert (section.text, section.label.column) == ("text", "label")


def test_google_layout_is_known(tmp_path: Path) -> None:
    path = source(tmp_path, "what is it ?\t1.0\nit what\t0.2\n" * 10 + "why ?\t0.8\nhuh\t0.4\n" * 5, "train.tsv")
    section = guess_columns(path)
    assert section == DataSection(source=path, text="content", label=LabelSection(rating="rating", above=0.5))
    with pytest.raises(UserError, match="too few to make a validation"):
        load_dataset(guess_columns(source(tmp_path, "a\t1.0\nb\t0\n", "two.tsv")), seed=0)


def test_options_override_guesses(tmp_path: Path) -> None:
    path = source(tmp_path, "text,title,label,stars\nlong words,words,x,5\nmore words,word,y,1\n")
    assert guess_columns(path, text="title").text == "title"
    assert guess_columns(path, rating="stars", at_least=4).label == LabelSection(rating="stars", at_least=4)
    assert guess_columns(path, above=3).label == LabelSection(rating="stars", above=3)
    assert guess_columns(path, label="title").label == LabelSection(column="title")


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("text,kind\na,b\n", {}, "Name it: --label COLUMN, or --rating COLUMN"),
        ("text,stars\na,5\nb,1\n", {}, "Give --above or --at-least NUMBER"),
        ("title,body,label\na,b,x\nc,d,y\n", {}, "Name it: --text-column COLUMN"),
        ("text,label\na,x\n", {"label": "lable"}, "no column 'lable'; did you mean 'label'"),
        ("text,label\na,x\n", {"label": "label", "above": 0.5}, "contradict"),
        ("text,label\n", {}, "the train split is empty"),
    ],
)
def test_if_nothing_can_be_guessed_the_error_names_the_option(
    tmp_path: Path, content: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        guess_columns(source(tmp_path, content), **options)  # type: ignore[arg-type]


def test_if_every_row_is_bad_the_first_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes("text,label\né,x\nü,y\n".encode("cp1252"))
    with pytest.raises(UserError, match=r"data\.csv:2: not valid UTF-8: byte 0xe9 .*\n  Save the file as UTF-8\."):
        guess_columns(str(tmp_path / "data.csv"))
