"""Which columns are texts and labels, by their names and content."""

import json
from pathlib import Path

import pytest

from feathertune.data.columns import joined_text, resolve
from feathertune.data.loading import load_dataset
from feathertune.errors import UserError
from feathertune.recipe.files import load_recipe, shipped_recipes
from feathertune.recipe.schema import DataSection, LabelSection

WORDS = ("what a lovely day it was", "the soup was cold again", "nobody came to the door", "they sang all night long")


def table(header: str, *columns: list[str], rows: int = 24, separator: str = ",") -> str:
    """A file of these columns, each repeated to `rows` rows; WORDS are made different by a number."""
    lines = [header] if header else []
    for index in range(rows):
        cells = [column[index % len(column)] for column in columns]
        lines.append(separator.join(f"{cell} {index}" if cell in WORDS else cell for cell in cells))
    return "\n".join(lines) + "\n"


def source(folder: Path, content: str, name: str = "data.csv") -> str:
    (folder / name).write_text(content)
    return str(folder / name)


def found(path: str, **section: object) -> DataSection:
    return resolve(DataSection(source=path, **section))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "label"),
    [
        ("text,label", LabelSection(column="label")),
        ("Review Text,Sentiment Class", LabelSection(column="Sentiment Class")),
        ("tweetText,emotion", LabelSection(column="emotion")),
        ("v2,v1", LabelSection(column="v1")),
        ("foo,bar", LabelSection(column="bar")),
    ],
)
def test_columns_are_found_by_name_or_content(tmp_path: Path, header: str, label: LabelSection) -> None:
    path = source(tmp_path, table(header, list(WORDS), ["good", "bad"]))
    assert found(path) == DataSection(source=path, text=header.split(",")[0], label=label)


def test_ids_dates_links_and_users_are_neither(tmp_path: Path) -> None:
    numbers, dates = [str(n) for n in range(24)], [f"2024-01-{n + 1:02}" for n in range(24)]
    links = [f"http://example.org/{n}" for n in range(24)]
    content = table("a_id,day,url,words,kind,lang", numbers, dates, links, list(WORDS), ["x", "y"], ["en"])
    section = found(source(tmp_path, content))
    assert (section.text, section.label.column) == ("words", "kind")


def test_ratings_from_0_to_1_are_split_at_the_middle_and_others_need_a_threshold(tmp_path: Path) -> None:
    path = source(tmp_path, table("text,rating", list(WORDS), ["0.2", "0.8", "1.0"]))
    assert found(path).label == LabelSection(rating="rating", above=0.5)
    path = source(tmp_path, table("text,score", list(WORDS), ["0.5", "3.5", "4.5"]))
    with pytest.raises(UserError, match=r"'data\.label=\{rating: score, at_least: 3\.5\}'"):
        found(path)
    assert found(source(tmp_path, table("text,stars", list(WORDS), ["1", "5"]))).label.column == "stars"


@pytest.mark.parametrize("header", ["text,label", ""])
def test_names_that_are_typed_are_those_of_the_label_that_is_found(tmp_path: Path, header: str) -> None:
    path = source(tmp_path, table(header, list(WORDS), ["0", "1"]))
    for overrides, expected in (((), ("0", "1")), (("data.label.names=[bad, good]",), ("bad", "good"))):
        recipe = load_recipe(shipped_recipes()["quickstart"], [f"data.source={path}", *overrides])
        assert load_dataset(recipe.data, seed=0).label_names == expected


@pytest.mark.parametrize("own", [True, False])
def test_a_file_without_a_header_gets_the_names_of_the_recipe(tmp_path: Path, own: bool) -> None:
    path = source(tmp_path, table("", list(WORDS), ["1.0", "0.2", "0.6", "0.4"], separator="\t"), "train.tsv")
    section = DataSection(source=path, text="content", label=LabelSection(rating="rating", at_least=0.8))
    section = section.model_copy(update={"own_columns": own})
    dataset = load_dataset(section, seed=0)
    assert sum(len(split) for split in dataset.splits.values()) == 24
    assert dataset.label_names == ("NEGATIVE", "POSITIVE")
    assert sum(int(split.labels.sum()) for split in dataset.splits.values()) == 6


def test_without_names_the_label_of_a_file_without_a_header_is_found(tmp_path: Path) -> None:
    path = source(tmp_path, table("", ["pos", "neg"], list(WORDS), separator="\t"), "SMSSpamCollection")
    dataset = load_dataset(DataSection(source=path), seed=0)
    assert dataset.label_names == ("neg", "pos")
    assert dataset.notes[0] == "text: column 2, label: column 1"


def test_columns_of_the_user_are_obeyed_and_checked(tmp_path: Path) -> None:
    path = source(tmp_path, table("text,title,label", list(WORDS), ["a", "b"], ["x", "y"]))
    assert found(path, text="title").text == "title"
    assert found(path, label={"column": "title"}).label.column == "title"
    with pytest.raises(UserError, match=r"no column 'lable'; did you mean 'label'.*\n.*data\.label"):
        found(path, label={"column": "lable"})


def test_columns_of_another_source_are_replaced(tmp_path: Path) -> None:
    path = source(tmp_path, table("review,kind", list(WORDS), ["x", "y"]))
    rating = LabelSection(rating="rating", above=0.5, names=("ill-formed", "well-formed"))
    section = DataSection(source=path, text="content", label=rating)
    section = section.model_copy(update={"own_columns": False, "own_names": False})
    assert resolve(section) == DataSection(source=path, text="review", label=LabelSection(column="kind"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (table("text,kind", list(WORDS), [f"k{n}" for n in range(24)]), r"no column looks like a label"),
        (
            table("one,two,label", list(WORDS), list(WORDS), ["x", "y"]),
            r"unclear which .* text[^\n]*\n.*data\.text=one",
        ),
        (
            table("text,p,q", list(WORDS), ["x", "y"], ["u", "v"]),
            r"unclear which .* label[^\n]*\n.*data\.label\.column=p",
        ),
        (table("text,rude,funny", list(WORDS), ["0", "1"], ["1", "0", "0"]), r"several labels each .*\n.*column=rude"),
        (
            table("premise,hypothesis,label", list(WORDS), list(WORDS), ["x", "y"]),
            r"pair .*\n.*=\[premise,hypothesis\]",
        ),
        (table("text,label", [str(n) for n in range(24)], ["x", "y"]), "the column of texts holds numbers: 'text'"),
        ("text,label\n", "the train split is empty"),
    ],
)
def test_what_is_unclear_is_refused_with_a_line_to_type(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        found(source(tmp_path, content))


def test_a_file_sorted_by_label_is_read_further(tmp_path: Path) -> None:
    rows = [f"{WORDS[n % 4]} {n},{'a' if n < 1500 else 'b'}" for n in range(3000)]
    assert found(source(tmp_path, "\n".join(["foo,bar", *rows]))).label.column == "bar"


def test_several_columns_of_texts_are_joined(tmp_path: Path) -> None:
    path = source(tmp_path, table("title,body,label", ["A", "B"], list(WORDS), ["x", "y"]))
    dataset = load_dataset(DataSection(source=path, text=("title", "body")), seed=0)
    assert dataset.splits["train"][0].text == "A\nwhat a lovely day it was 0"
    assert joined_text({"a": "one", "b": None, "c": "two"}, ("a", "b", "c")) == "one\ntwo"


def test_texts_that_are_not_used_are_named(tmp_path: Path) -> None:
    path = source(tmp_path, table("title,body,label", ["Some title here", "B"], list(WORDS), ["x", "y"]))
    notes = load_dataset(DataSection(source=path), seed=0).notes
    assert notes[:2] == ("text: 'body', label: 'label'", "not used: 'title'; to use both: 'data.text=[title,body]'")


def notes(path: str) -> tuple[str, ...]:
    return load_dataset(DataSection(source=path), seed=0).notes


def test_other_columns_that_may_be_the_label_are_named(tmp_path: Path) -> None:
    path = source(tmp_path, table("text,label,label_text", list(WORDS), ["0", "1"], ["bad", "good"]))
    assert "the labels are written out in 'label_text': data.label.column=label_text" in notes(path)
    assert not any("label_text]" in note for note in notes(path)), "the label is no part of the text"
    path = source(tmp_path, table("text,label-coarse,label-fine", list(WORDS), ["A", "B"], ["x", "y", "z"]))
    assert "not used, but named like a label: data.label.column=label-fine" in notes(path)


def test_a_threshold_that_nobody_gave_is_said(tmp_path: Path) -> None:
    path = source(tmp_path, table("", list(WORDS), ["1.0", "0.2", "0.6", "0.4"], separator="\t"), "train.tsv")
    assert notes(path)[0] == "text: column 1, label: column 2 (a rating; above 0.5)"
    path = source(tmp_path, table("text,score", list(WORDS), ["1.0", "0.2", "0.6", "0.4"]))
    assert notes(path)[0] == "text: 'text', label: 'score' (a rating; above 0.5)"


def test_a_title_is_the_text_only_where_nothing_else_is(tmp_path: Path) -> None:
    path = source(tmp_path, table("Title,Review Text,label", list(WORDS), list(WORDS), ["x", "y"]))
    assert found(path).text == "Review Text"
    path = source(tmp_path, table("headline,label", list(WORDS), ["x", "y"]))
    assert found(path).text == "headline"


def test_places_dates_and_topics_are_no_texts_that_are_not_used(tmp_path: Path) -> None:
    names = "text,tweet_location,article_link,subject,label"
    links, topics = ["http://example.org/a", "http://example.org/b"], ["news", "sports"]
    path = source(tmp_path, table(names, list(WORDS), ["Rome", "Oslo"], links, topics, ["x", "y"]))
    assert not any("not used:" in note for note in notes(path))


def test_lists_of_words_are_no_texts(tmp_path: Path) -> None:
    path = source(tmp_path, '{"tokens": ["a", "b"], "label": "x"}\n{"tokens": ["c"], "label": "y"}\n' * 9, "data.jsonl")
    with pytest.raises(UserError, match="no column but the label holds texts; 'tokens' holds lists"):
        found(path)


def test_a_label_tools_file_with_two_questions_is_trained_on_the_one_that_is_named(tmp_path: Path) -> None:
    tasks = [
        {
            "id": number,
            "data": {"text": f"{WORDS[number % 4]} {number}"},
            "annotations": [
                {
                    "id": number,
                    "was_cancelled": False,
                    "result": [choice("mood", "xy"[number % 2]), choice("topic", "q")],
                }
            ],
        }
        for number in range(24)
    ]
    path = source(tmp_path, json.dumps(tasks), "export.json")
    with pytest.raises(UserError, match=r"2 questions: 'mood', 'topic'\n.*data\.label\.column=mood"):
        found(path)
    dataset = load_dataset(DataSection(source=path, label=LabelSection(column="mood")), seed=0)
    assert dataset.label_names == ("x", "y")


def choice(question: str, answer: str) -> dict[str, object]:
    return {"type": "choices", "value": {"choices": [answer]}, "from_name": question, "to_name": "text"}
