"""Data of chatbots: intents.json, Dialogflow, LUIS and CLINC150."""

import pytest

from exports import read
from feathertune.data.rows import Row
from feathertune.data.tools.recognizing import DOCUMENT_KEYS, recognize_document


def pairs(value: dict[str, object], split: str = "train") -> list[tuple[object, object]]:
    """(text, intent) of a document, which must be recognised, as its keys must be."""
    document = recognize_document(value, "intents.json")
    assert document is not None
    assert DOCUMENT_KEYS & value.keys()
    return [(row.fields["text"], row.fields["intent"]) for row in document.splits[split] if isinstance(row, Row)]


@pytest.mark.parametrize(("tag", "patterns"), [("tag", "patterns"), ("intent", "text"), ("name", "examples")])
def test_intents_with_their_patterns_under_several_names(tag: str, patterns: str) -> None:
    intents = [
        {tag: "greeting", patterns: ["hi", "hello "], "responses": ["hi!"], "context_set": ""},
        {tag: "no answer", patterns: [], "responses": ["what?"]},
        {tag: "bye", patterns: ["see you", ""]},
    ]
    expected = [("hi", "greeting"), ("hello ", "greeting"), ("see you", "bye")]
    assert pairs({"intents": intents}) == expected
    assert read(intents) == expected
    document = recognize_document({"intents": intents}, "intents.json")
    assert document is not None
    assert document.notes == (
        "chatbot intents: 1 intent left out (without a pattern)",
        "chatbot intents: 1 pattern left out (empty)",
    )


def test_intents_may_be_keys() -> None:
    expected = [("hi", "greeting"), ("bye", "farewell")]
    assert pairs({"intents": {"greeting": ["hi"], "farewell": ["bye"]}}) == expected
    assert pairs({"intents": {"greeting": {"patterns": ["hi"]}, "farewell": {"patterns": ["bye"]}}}) == expected


def test_snips_has_parts_of_texts_under_the_intent() -> None:
    said = [{"data": [{"text": "play "}, {"text": "jazz", "entity": "genre"}]}, {"data": [{"text": "louder"}]}]
    value: dict[str, object] = {
        "language": "en",
        "intents": {"music": {"utterances": said}, "none": {"utterances": []}},
        "entities": {},
    }
    assert pairs(value) == [("play jazz", "music"), ("louder", "music")]


def test_dialogflow_has_the_label_in_its_files_name() -> None:
    said: list[dict[str, object]] = [
        {"id": "1", "data": [{"text": "good "}, {"text": "bye", "alias": "word"}], "isTemplate": False, "count": 0},
        {"id": "2", "data": [{"text": "ciao", "userDefined": False}], "isTemplate": False, "count": 0},
    ]
    assert read(said, "intents/say_bye_usersays_en.json") == [("good bye", "say_bye"), ("ciao", "say_bye")]
    assert pairs({"name": "bye", "userSays": said}) == [("good bye", "bye"), ("ciao", "bye")]


def test_luis_has_utterances() -> None:
    said = [{"text": "hi", "intent": "greet", "entities": []}]
    assert pairs({"luis_schema_version": "7.0.0", "intents": [{"name": "greet"}], "utterances": said}) == [
        ("hi", "greet")
    ]


def test_clinc150_joins_what_is_out_of_scope_with_its_split() -> None:
    value: dict[str, object] = {
        "oos_val": [["what is love", "oos"]],
        "val": [["pay it", "pay"]],
        "train": [["pay my bill", "pay"], ["book a table", "book"]],
        "oos_train": [["sing", "oos"]],
        "oos_test": [],
        "test": [["pay now", "pay"]],
    }
    assert pairs(value) == [("pay my bill", "pay"), ("book a table", "book"), ("sing", "oos")]
    assert pairs(value, "validation") == [("what is love", "oos"), ("pay it", "pay")]
    assert pairs(value, "test") == [("pay now", "pay")]


@pytest.mark.parametrize(
    "value", [{}, {"intents": []}, {"intents": ["a"]}, {"train": [{"text": "a"}]}, {"train": 3}, [["a", "b"]]]
)
def test_other_documents_are_none_of_these(value: object) -> None:
    assert recognize_document(value, "x.json") is None
