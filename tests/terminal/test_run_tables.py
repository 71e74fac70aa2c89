"""The tables of a run on the terminal and in Markdown, and the verdict."""

import io
import re
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from feathertune.evaluation.metrics import compute_metrics, majority_metrics
from feathertune.folders.metrics import CrossFittedMetrics, Metrics
from feathertune.folders.summary import Summary
from feathertune.prediction.predictions import Predictions
from feathertune.report.before_after import caption, split_tables, verdict
from feathertune.terminal.run_tables import before_after_table, metrics_table


def summary(strength: float = 1.0, names: tuple[str, ...] = ("NEGATIVE", "POSITIVE")) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    labels = rng.integers(len(names), size=3750)
    noise = rng.normal(size=(3750, len(names)))

    def predictions(signal: float) -> Predictions:
        logits_NC = (noise + signal * np.eye(len(names))[labels]).astype(np.float32)
        return Predictions("validation", names, np.arange(1, 3751), ["text"] * 3750, labels, None, logits_NC)

    return {
        "method": "lora",
        "label_names": list(names),
        "model": "gpt2",
        "trainable_parameters": 812_544,
        "total_parameters": 125_252_352,
        "epochs": 10,
        "best_epoch": 7,
        "train_seconds": 723.4,
        "train_examples_per_second": 240.25,
        "peak_memory_mib": 1511.7,
        "before": {"validation": compute_metrics(predictions(0.0), intervals=False).to_json()},
        "after": {"validation": compute_metrics(predictions(strength)).to_json()},
        "majority": {"validation": majority_metrics(np.array([0, 0, 1]), predictions(0.0)).to_json()},
    }


def typed(content: dict[str, Any]) -> Summary:
    return Summary.of(content, where="summary.json")


def rendered(content: dict[str, Any]) -> list[str]:
    output = io.StringIO()
    Console(file=output, width=100).print(before_after_table(typed(content)))
    return output.getvalue().splitlines()


def markdown(content: dict[str, Any]) -> str:
    """The tables of the model card, and the lines below them."""
    summary = typed(content)
    return "\n".join([*(table.markdown for table in split_tables(summary)), *caption(summary)])


def test_the_table_has_the_results_and_the_costs() -> None:
    text = "\n".join(rendered(summary()))
    for words in ("majority", "class", "before", "after", "change", "validation, 3,750 examples", "F1 of POSITIVE"):
        assert words in text
    assert "812,544 of 125,252,352 parameters trained (0.65%)" in text
    assert "training took 12 min 3 s, 240.2 examples/s" in text
    assert "above the majority class" in text
    assert " pts" in text


def test_two_trainings_cost_their_sum_and_a_run_that_only_quantizes_none() -> None:
    second = {"epochs": 2, "best_epoch": 1, "train_seconds": 60.0, "train_examples_per_second": 100.0}
    quantization = {"weights": "int4", "weights_bytes": 18_238_680, "float32_bytes": 90_855_944}
    stages = {"float": summary()["after"]}
    twice = summary() | stages | {"ptq": stages["float"], "quantization": quantization | {"training": second}}
    text = markdown(twice)
    assert "training took 13 min 3 s" in text
    assert "best epoch 7 of 10, then 1 of 2" in text
    nothing = {"epochs": 0, "best_epoch": 0, "train_seconds": 0.0, "train_examples_per_second": None}
    ptq = summary() | nothing | stages | {"quantization": quantization | {"training": None}}
    text = "\n".join(rendered(ptq))
    for never in ("trained (", "training took", "examples/s", "best epoch"):
        assert never not in text
    assert "peak memory" in text


def test_a_quantized_run_has_its_size_and_the_accuracy_at_each_stage() -> None:
    trained, rounded = (summary(strength) for strength in (1.0, 0.8))
    quantization = {"weights": "int4", "weights_bytes": 18_238_680, "float32_bytes": 90_855_944}
    trained |= {"float": summary(1.2)["after"], "ptq": rounded["after"], "quantization": quantization}
    text = "\n".join(rendered(trained))
    assert "after: quantized, int4 weights, 17.4 MiB (20.1% of float32)" in text
    accuracies = [trained[stage]["validation"]["accuracy"] for stage in ("float", "ptq", "after")]
    shown = "float32 {:.1%}, int4 PTQ {:.1%}, int4 QAT {:.1%}".format(*accuracies)
    assert f"validation accuracy: {shown}" in text
    del trained["ptq"]
    assert "int4 QAT" not in "\n".join(rendered(trained))


@pytest.mark.parametrize("names", [("NEGATIVE", "POSITIVE"), ("[bold]no[/bold]", "yes " * 30), tuple("ABCDE")])
def test_the_table_fits_100_columns_and_shows_names_as_they_are(names: tuple[str, ...]) -> None:
    lines = rendered(summary(names=names))
    assert max(map(len, lines)) <= 100
    assert not any("…" in line for line in lines if "yes" not in line)
    words = " ".join(" ".join(rendered(summary(0.0, names))).split())
    assert f"not clearly better than always predicting {names[0]}" in words


def test_a_threshold_in_the_title_cuts_no_number() -> None:
    chosen = summary()
    chosen["after"]["validation"]["threshold"] = 0.49
    text = "\n".join(rendered(chosen))
    assert "POSITIVE" in text
    assert "threshold 0.490" in text
    assert "…" not in text


def changed(**changes: Any) -> Metrics:
    """Metrics of two classes with other values."""
    return Metrics.of(summary()["after"]["validation"], where="metrics").model_copy(update=changes)


def accuracy(value: float, low: float, high: float) -> Metrics:
    return changed(accuracy=value, intervals={"accuracy": (low, high)})


MAJORITY = changed(accuracy=0.516, confusion_matrix=((516, 0), (484, 0)))


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (accuracy(0.784, 0.771, 0.797), "accuracy 78.4% (77.1 to 79.7%), above the majority class (51.6%)"),
        (accuracy(0.53, 0.51, 0.55), "not clearly better than always predicting NEGATIVE (51.6%)"),
        (accuracy(0.40, 0.38, 0.42), "worse than always predicting NEGATIVE (51.6%)"),
        (changed(accuracy=0.9, intervals={}), "no interval was computed"),
    ],
)
def test_the_verdict_follows_the_interval(after: Metrics, words: str) -> None:
    assert words in verdict("validation", after, MAJORITY)


def test_markdown_is_a_table_that_no_class_name_can_break() -> None:
    text = markdown(summary(names=("a|b", "<i>c</i>")))
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 9
    assert "| majority class | before |" in table[0]
    assert {line.replace("\\|", "").count("|") for line in table} == {7}
    assert "\\<i\\>" in text


def test_what_is_missing_is_a_dash() -> None:
    content = summary() | {"before": {}, "majority": {}}
    content["after"]["validation"]["roc_auc"] = None
    assert "ROC AUC | \N{EN DASH} | \N{EN DASH} | \N{EN DASH} | \N{EN DASH} |" in markdown(content)
    assert rendered(content | {"after": {}}) is not None


def test_the_verdict_compares_with_before_training_too() -> None:
    after = accuracy(0.784, 0.771, 0.797)
    assert verdict("validation", after, MAJORITY, changed(accuracy=0.76)).endswith("above the majority class (51.6%)")
    close = verdict("validation", after, MAJORITY, changed(accuracy=0.78))
    assert close.endswith("not clearly better than before training (78.0%)")
    assert verdict("validation", after, MAJORITY, changed(accuracy=0.8)).endswith("worse than before training (80.0%)")


def test_one_evaluation_has_every_metric_and_every_class() -> None:
    fields = dict.fromkeys(("loss", "accuracy", "precision", "recall", "f1", "ece"), 0.5)
    output = io.StringIO()
    metrics = changed(cross_fitted=CrossFittedMetrics(**fields))
    Console(file=output, width=100).print(metrics_table(metrics))
    text = " ".join(output.getvalue().split())
    assert "validation, 3,750 examples" in text
    assert f"accuracy │ {metrics.accuracy:.1%}" in text
    assert "NEGATIVE" in text
    assert "cross-fitted: accuracy 50.0%, F1 50.0%, loss 0.5000 nats" in text


def test_classes_that_macro_averages_leave_out_are_counted_and_have_no_scores() -> None:
    labels, names = np.array([0, 0, 1, 1]), ("one", "two", "only predicted", "nowhere")
    logits_NC = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]] * 5
    some = Predictions("validation", names, np.arange(1, 5), ["text"] * 4, labels, None, logits_NC)
    content = summary(names=names)
    content |= {"after": {"validation": compute_metrics(some).to_json()}, "before": {}}
    content["majority"] = {"validation": majority_metrics(labels, some).to_json()}
    note = (
        "validation: macro averages leave out classes that are in neither labels nor predictions: 1 of 4 (majority "
        "class 2, after 1); ROC AUC leaves out classes without examples: 2 of 4"
    )
    assert note in caption(typed(content))
    output = io.StringIO()
    Console(file=output, width=100).print(metrics_table(compute_metrics(some)))
    shown = " ".join(output.getvalue().split())
    assert "leave out classes that are in neither labels nor predictions: 1 of 4; ROC AUC" in shown
    assert re.search(r"nowhere\W+0 examples\W+neither in labels nor in predictions", shown)
    assert re.search(r"only predicted\W+0 examples\W+precision 0.0%", shown)
    assert not any("leave out" in line for line in caption(typed(summary(names=("a", "b", "c")))))
