"""The content of errors-{split}.json: mistakes, groups of texts, and wrong labels that were planted."""

import json
from itertools import pairwise

import numpy as np

from feathertune.evaluation.error_analysis import analyze_errors, by_first_word, by_length, by_rating
from feathertune.folders.evaluation import ErrorAnalysis
from feathertune.prediction.predictions import Predictions


def some_predictions(
    count: int = 400, classes: int = 2, ratings: np.ndarray | None = None, labels: np.ndarray | None = None
) -> Predictions:
    """Mostly right predictions; the texts are numbered."""
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=count) if labels is None else labels
    logits = rng.normal(size=(count, classes)).astype(np.float32)
    logits[np.arange(count), labels] += 3
    texts = [f"text {row}" for row in range(count)]
    names = tuple(f"c{index}" for index in range(classes))
    return Predictions("validation", names, np.arange(count) + 2, texts, labels, ratings, logits)


def test_planted_label_errors_lead_the_list() -> None:
    clean = some_predictions(classes=3)
    labels, planted = clean.labels.copy(), [5, 100, 250, 399]
    labels[planted] = (labels[planted] + 1) % 3
    dirty = Predictions("validation", clean.label_names, clean.rows, clean.texts, labels, None, clean.logits_NC)
    found = analyze_errors(dirty).likely_label_errors
    listed = {entry.text for entry in found}
    assert {f"text {index}" for index in planted} <= listed
    assert len(listed) < 40
    first = found[0]
    assert first.suggested != first.label
    assert [entry.quality for entry in found] == sorted(entry.quality for entry in found)


def test_a_constant_prediction_makes_no_label_suspicious() -> None:
    labels = np.array([0] * 11 + [1] * 9)
    same = np.zeros((20, 2), dtype=np.float32)
    constant = Predictions("validation", ("no", "yes"), np.arange(20), [""] * 20, labels, None, same)
    assert analyze_errors(constant).likely_label_errors == ()


def test_the_most_confident_mistakes_come_first_and_can_be_found() -> None:
    some = some_predictions()
    analysis = analyze_errors(some)
    mistakes = analysis.confident_mistakes
    wrong = np.flatnonzero(some.predicted != some.labels)
    assert analysis.mistakes == len(wrong)
    assert len(mistakes) == min(50, len(wrong))
    worst = wrong[some.probabilities_NC[wrong, some.predicted[wrong]].argmax()]
    assert mistakes[0].row == worst + 2
    assert mistakes[0].text == f"text {worst}"
    assert mistakes[0].probability == some.probabilities_NC[worst].max()
    assert mistakes[0].predicted != mistakes[0].label
    assert "rating" not in mistakes[0].to_json()


def test_groups_by_length_contain_every_text_once_and_do_not_overlap() -> None:
    rng = np.random.default_rng(1)
    lengths = rng.geometric(0.2, size=500)
    right = rng.random(500) < np.where(lengths > 6, 0.5, 0.9)
    groups = by_length(["a " * length for length in lengths], right)
    assert sum(group.count for group in groups) == 500
    assert all(one.to_words < other.from_words for one, other in pairwise(groups))
    assert groups[0].accuracy > groups[-1].high
    assert all(group.low <= group.accuracy <= group.high for group in groups)
    assert [group.count for group in by_length(["one word"] * 3, np.ones(3, dtype=bool))] == [3]


def test_ratings_have_a_group_each_or_ten_in_all() -> None:
    right = np.ones(60, dtype=bool)
    few = by_rating(np.repeat([0.2, 0.4, 0.6], 20), right)
    assert [(group.from_rating, group.count) for group in few] == [(0.2, 20), (0.4, 20), (0.6, 20)]
    assert len(by_rating(np.linspace(0, 1, 60), right)) == 10


def test_first_words_are_counted_in_lower_case_and_rare_ones_left_out() -> None:
    texts = ["What is it"] * 4 + ["what now"] * 3 + ["why"] * 5 + ["rare bird"] * 4
    right = np.array([True] * 12 + [False] * 4)
    groups = by_first_word(texts, right)
    assert [(group.word, group.count, group.accuracy) for group in groups] == [
        ("what", 7, 1.0),
        ("why", 5, 1.0),
    ]


def test_ratings_bring_accuracy_by_rating_and_a_ceiling() -> None:
    rng = np.random.default_rng(2)
    ratings = rng.binomial(5, rng.random(400)) / 5
    ratings[0] = np.nan
    labels = (np.nan_to_num(ratings) > 0.7).astype(np.int64)
    analysis = analyze_errors(some_predictions(ratings=ratings, labels=labels))
    assert sum(group.count for group in analysis.by_rating) == 399
    assert analysis.ceiling.raters == 5
    assert 0.7 < analysis.ceiling.best_possible < 1
    content = json.loads(json.dumps(analysis.to_json(), allow_nan=False))
    assert ErrorAnalysis.of(content, where="here") == analysis


def test_without_ratings_or_a_second_class_parts_are_empty() -> None:
    content = analyze_errors(some_predictions(labels=np.zeros(400, dtype=np.int64))).to_json()
    assert (content["by_rating"], content["ceiling"], content["likely_label_errors"]) == (None, None, [])
    json.dumps(content, allow_nan=False)


def test_classes_without_examples_do_not_disturb_the_analysis() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 4], 30)
    logits_NC = rng.normal(size=(60, 6)).astype(np.float32)
    logits_NC[np.arange(60), labels] += 3
    logits_NC[0] = 8 * np.eye(6)[4]  # labelled 1, surely 4
    names = tuple("abcdef")
    some = Predictions("test", names, np.arange(1, 61), ["text"] * 60, labels, None, logits_NC)
    analysis = analyze_errors(some)
    assert analysis.likely_label_errors[0].row == 1
    assert analysis.likely_label_errors[0].suggested == "e"
