"""Rasa's training data in YAML, Markdown and JSON."""

import pytest

from exports import line_tool, read_lines
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.rasa import surface
from feathertune.data.tools.recognizing import recognize, recognize_document

YAML = """version: "3.1"

nlu:
- intent: greet
  examples: |
    - hello
    - fly to [Rome](city) on [monday]{"entity": "day", "value": "1"}
- intent: no  # is no boolean
  examples: |

    - nope
    without a dash
- synonym: Rome
  examples: |
    - romme
- regex: zip
  examples: |
    - \\d{5}
- lookup: city
  examples: |
    - Paris
- intent: faq/ask_name
  examples:
  - text: |
      - who are you
    metadata: {sentiment: neutral}
  - text: your name?
- intent: greet+ask
  examples: ["hi, how are you"]
"""


def pairs(rows: list[Row | BadRow]) -> list[tuple[object, object, int]]:
    return [(row.fields["text"], row.fields["intent"], row.row) for row in rows if isinstance(row, Row)]


def test_yaml_has_intents_with_lines_of_examples() -> None:
    assert pairs(read_lines(YAML, "nlu.yml")) == [
        ("hello", "greet", 6),
        ("fly to Rome on monday", "greet", 7),
        ("nope", "no", 11),
        ("who are you", "faq/ask_name", 25),
        ("your name?", "faq/ask_name", 27),
        ("hi, how are you", "greet+ask", 29),
    ]


def test_what_is_left_out_is_counted_and_compound_names_are_said() -> None:
    tool = line_tool(YAML)
    list(tool.rows(Row(f"nlu.yml:{n}", n, {"text": line}) for n, line in enumerate(YAML.splitlines(), 1)))
    assert tool.notes() == (
        "Rasa: 1 line left out (without a dash, which Rasa passes over)",
        "Rasa: 1 synonym left out (no texts of an intent)",
        "Rasa: 1 regex left out (no texts of an intent)",
        "Rasa: 1 lookup left out (no texts of an intent)",
        "Rasa: names with `/` are retrieval intents; each such name is a class of its own",
        "Rasa: names with `+` are several intents at once; each such name is a class of its own",
    )


def test_places_are_lines_of_the_file() -> None:
    assert read_lines(YAML, "nlu.yml")[0].place == "nlu.yml:6"


def test_broken_yaml_is_a_bad_row_with_its_line() -> None:
    (bad,) = read_lines('nlu:\n- intent: greet\n  examples: "never closed\n')
    assert isinstance(bad, BadRow)
    assert bad.reason.startswith("not valid YAML")


@pytest.mark.parametrize(
    ("example", "text"),
    [
        ("to [Rome](city)", "to Rome"),
        ("to [Rome](city:Roma) now", "to Rome now"),
        ('to [romme]{"entity": "city", "value": "Rome"}', "to romme"),
        ('[big]{"entity": "size", "role": "x"}[lamp](thing)', "biglamp"),
        ('to [NYC][{"entity": "city"}, {"entity": "airport"}]', "to NYC"),
        ("an [aside] stays (really)", "an [aside] stays (really)"),
        (r"two\nlines", "two\nlines"),
    ],
)
def test_marks_of_entities_are_reduced_to_what_a_user_writes(example: str, text: str) -> None:
    assert surface(example) == text


def test_markdown_has_headings_of_intents() -> None:
    text = """<!-- - a comment -->
## intent:greet
- hello <!-- polite -->
* hi [Tom](name)
<!--
- not this
-->
## synonym:Rome
- romme

## intent: bye
- see you
# a story
- nothing
"""
    assert pairs(read_lines(text, "nlu.md")) == [("hello", "greet", 3), ("hi Tom", "greet", 4), ("see you", "bye", 12)]


def test_json_has_examples_and_those_without_an_intent_are_counted() -> None:
    entity = {"start": 3, "end": 7, "value": "Rome", "entity": "city"}
    examples = [{"text": "to romme", "intent": "fly", "entities": [entity]}, {"text": "Rome", "entities": [entity]}]
    document = recognize_document({"rasa_nlu_data": {"common_examples": examples, "regex_features": []}}, "nlu.json")
    assert document is not None
    assert pairs(document.splits["train"]) == [("to romme", "fly", 1)]
    assert document.notes == ("Rasa: 1 of 2 examples left out (without an intent)",)


@pytest.mark.parametrize("text", ["model:\n  source: x\ndata:\n  source: nlu.yml\n", "stories:\n- story: a\n"])
def test_other_yaml_is_not_rasas(text: str) -> None:
    assert recognize([{"text": line} for line in text.splitlines()], ("text",), "txt") is None
