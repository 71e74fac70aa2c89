"""Sentences for the page and the card: the data, the limits, the decision rule, the calibration and the errors."""

from __future__ import annotations

import json

from feathertune.folders.evaluation import EceRecord
from feathertune.recipe.schema import LabelSection
from feathertune.report.facts import RunFacts
from feathertune.report.trainings import trainings
from feathertune.stats.calibration_error import expected_calibration_error
from feathertune.stats.probabilities import BINARY_THRESHOLD
from feathertune.wording.metrics import TITLES
from feathertune.wording.numbers import count, number, percent
from feathertune.wording.visible import shown

MIN_SUPPORT = 30
MAX_NAME = 40


def environment_lines(facts: RunFacts) -> list[tuple[str, str]]:
    """Where the run was made, as (name, value)."""
    environment, base = facts.environment, facts.base
    threads, processes = count(environment.threads, "thread"), environment.processes
    device = environment.accelerator or f"{environment.processor}, {threads}"
    if processes > 1:
        device += f" in each of {processes} processes" if environment.accelerator is None else f" x {processes}"
    lines = [
        ("started", environment.started),
        ("device", device),
        ("platform", f"{environment.platform}, Python {environment.python}"),
        ("packages", ", ".join(f"{name} {version}" for name, version in environment.packages.items())),
    ]
    if base is not None and base.sha256:
        lines.append(("base", _digests(base.sha256)))
    return lines


def data_lines(facts: RunFacts) -> list[tuple[str, str]]:
    """Where the data is from and what was found in it, as (name, value)."""
    data, recipe = facts.data, facts.recipe
    lines = [("source", shown(data.source, 200))]
    if "revision" in data.origin:
        lines.append(("commit", data.origin["revision"]))
    if "files" in data.origin:
        lines.append(("sha256", _digests(data.origin["files"])))
    lines.append(("label", _label_rule(recipe.data.label, data.label_names)))
    if facts.base is not None and recipe.model.prompt is not None:
        lines.append(("prompt", shown(json.dumps(recipe.model.prompt, ensure_ascii=False), 200)))
    counts = {
        "duplicates within a split": sum(split.duplicates for split in data.splits.values()),
        "rows that are also in another split": sum(leak.count for leak in data.leaks),
        "rows left out": data.bad_rows.count,
    }
    if data.truncated_texts is not None:  # a baseline has no tokens
        counts[f"texts cut at {recipe.model.max_length} tokens"] = sum(data.truncated_texts.values())
    special = data.special_token_texts or {}
    if any(special.values()):
        how = "read as text" if recipe.model.special_tokens_in_text == "text" else "parsed"
        counts[f"texts with special tokens, {how}"] = sum(special.values())
    lines.append(("checks", ", ".join(f"{number(count)} {name}" for name, count in counts.items())))
    lines += [("read as", line) for line in data.read_as_lines()]
    lines += [("note", note) for note in data.notes]
    return lines + [("warning", shown(remark.line)) for remark in data.remarks]


def _digests(files: dict[str, str]) -> str:
    return ", ".join(f"{name} {digest[:16]}…" for name, digest in files.items())


def _label_rule(label: LabelSection, names: tuple[str, ...]) -> str:
    """The column of the labels, or the rule that makes a label of a rating."""
    if label.rating is None:
        return f"the column {label.column}"
    rule = f"above {label.above:g}" if label.above is not None else f"at least {label.at_least:g}"
    target = ""
    if label.soft and label.raters is None:
        target = "; trained on the rating itself, as a probability"
    elif label.soft:
        target = f"; trained on the probability that {label.raters} further raters would give this label"
    return f"{names[1]} if {label.rating} is {rule}{target}"


def limits(facts: RunFacts) -> list[str]:
    """What the figures leave open and where the model should not be trusted, one line each."""
    data = facts.data
    evaluated = " and ".join(
        f"{metrics.num_examples:,} {shown(split, MAX_NAME)}" for split, metrics in facts.summary.after.items()
    )
    lines = [
        f"It was evaluated on {evaluated} examples of this data. On other kinds of text it may do far worse.",
        _uncertainty(facts),
        f"It assigns one of its {len(data.label_names)} classes to any text, even to one that fits none of them.",
    ]
    if data.truncated_texts is not None:
        lines.append(f"Texts longer than {facts.recipe.model.max_length} tokens are cut.")
    rare = [
        f"{shown(name, MAX_NAME)} ({scores.support})"
        for name, scores in facts.after.per_class.items()
        if scores.support < MIN_SUPPORT
    ]
    if rare:
        lines.append(f"Classes with few {facts.split} examples: {', '.join(rare)}. Their metrics are unreliable.")
    if facts.base is not None:
        lines.append("It inherits what its base model learned from the web, including biases.")
    return lines


def _uncertainty(facts: RunFacts) -> str:
    """What the intervals cover, and what they do not since it was done only once."""
    if facts.base is None:
        return "The intervals cover only the sampling of examples."
    members = len(facts.summary.members)
    once = "One seed was trained"
    if members:
        once = f"{members} adapters with different seeds were trained and averaged once"
    elif facts.recipe.init_from is not None and not trainings(facts):
        once = "One trained model was quantized"
    return f"{once}. The intervals cover the sampling of examples, but not the variation between training runs."


def calibration_lines(facts: RunFacts) -> list[str]:
    """How well calibrated the probabilities are, and how they become predictions unless in the default way."""
    calibration, lines = facts.calibration, []
    ece = None if calibration is None else calibration.ece.get(facts.split)
    if ece is None and "after" in facts.predictions:
        predictions = facts.predictions["after"]
        error = expected_calibration_error(predictions.labels, predictions.probabilities_NC)
        ece = EceRecord(before=error, after=error)
    if ece is not None:
        lines.append(
            f"On {shown(facts.split, MAX_NAME)}, the probabilities are off by {100 * ece.after:.1f} points on average "
            "(expected calibration error, 15 bins)."
        )
    if calibration is None:
        return lines
    if calibration.temperature_fitted and ece is not None:
        lines.append(
            f"The logits are divided by a temperature of {calibration.temperature:.3f}, fitted on "
            f"{calibration.chosen_on}; without it, the calibration error would be {100 * ece.before:.1f} points."
        )
    if calibration.threshold not in (None, BINARY_THRESHOLD) or calibration.chosen_for:
        origin = "set by the recipe"
        if calibration.chosen_for:
            metric = TITLES.get(calibration.chosen_for, calibration.chosen_for.replace("_", " "))
            origin = f"chosen on {calibration.chosen_on} for the best {metric}"
        name = shown(facts.summary.label_names[-1], MAX_NAME)
        lines.append(
            f"{name} is predicted if its probability is at least {calibration.threshold:.3f}. "
            f"This threshold was {origin}."
        )
    return lines


def bias_sentences(facts: RunFacts, split: str) -> str | None:
    """That a choice on the split makes its figures optimistic, and unbiased ones; None if nothing was chosen on it."""
    metrics = facts.summary.after[split].cross_fitted
    if metrics is None:
        return None
    fitted = facts.calibration is not None and facts.calibration.temperature_fitted
    chosen = facts.calibration is not None and facts.calibration.chosen_for is not None
    choices = {
        (True, True): "Temperature and threshold were",
        (True, False): "The temperature was",
        (False, True): "The threshold was",
        (False, False): "The temperature or the threshold was",
    }
    return (
        f"{choices[fitted, chosen]} chosen on these very {shown(split, MAX_NAME)} examples, which makes the figures "
        "optimistic. Cross-fitted (each half with the choice made on the other half): "
        f"accuracy {percent(metrics.accuracy)}, F1 {percent(metrics.f1)}, loss {metrics.loss:.3f}."
    )


def error_lines(facts: RunFacts) -> list[str]:
    """How many predictions are wrong, and the accuracy that the raters' disagreement allows."""
    errors = facts.errors
    if errors is None:
        return []
    split = shown(facts.split, MAX_NAME)
    lines = [f"{number(errors.mistakes)} of {number(errors.num_examples)} {split} predictions are wrong."]
    ceiling = errors.ceiling
    if ceiling is not None:
        lines.append(
            f"Each label is the vote of {ceiling.raters} raters, and two raters agree on {percent(ceiling.two_raters)} "
            "of the texts. Even a model that knew exactly what share of all people would rate a text positive "
            f"could expect an accuracy of at most {percent(ceiling.best_possible)} on these labels; one more rater "
            f"would reach {percent(ceiling.other_rater)}."
        )
    return lines
