"""Lines about a run that both the page and the model card have: its data, its limits, how it decides, where it errs."""

from __future__ import annotations

import json

from feathertune.recipe.schema import LabelSection
from feathertune.report.facts import RunFacts
from feathertune.report.page import number, percent, shown
from feathertune.report.trainings import trainings
from feathertune.stats.calibration_error import expected_calibration_error
from feathertune.stats.probabilities import BINARY_THRESHOLD

MIN_SUPPORT = 30


def environment_lines(facts: RunFacts) -> list[tuple[str, str]]:
    """Where it ran, as (what, value)."""
    environment = facts.environment
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    files = facts.base["sha256"] if facts.base is not None else {}
    device = environment.get("accelerator") or f"{environment['processor']}, {environment['threads']} threads"
    return [
        ("started", environment["started"]),
        ("device", device),
        ("platform", f"{environment['platform']}, Python {environment['python']}"),
        ("packages", packages),
        ("base", ", ".join(f"{name} {digest[:16]}…" for name, digest in files.items())),
    ][: 5 if files else 4]


def data_lines(facts: RunFacts) -> list[tuple[str, str]]:
    """Where the data is from and what is wrong with it, as (what, value)."""
    data, recipe = facts.data, facts.recipe
    origin, label = data["origin"], recipe.data.label
    lines = [("source", shown(data["source"], 200))]
    if "revision" in origin:
        lines.append(("commit", origin["revision"]))
    if "files" in origin:
        lines.append(("sha256", ", ".join(f"{name} {digest[:16]}…" for name, digest in origin["files"].items())))
    if label.rating is not None:
        rule = f"above {label.above:g}" if label.above is not None else f"at least {label.at_least:g}"
        soft = f"; trained on {_target(label)}" if label.soft else ""
        lines.append(("label", f"{data['label_names'][1]} where {label.rating} is {rule}{soft}"))
    else:
        lines.append(("label", f"the column {label.column}"))
    duplicates = sum(described["duplicates"] for described in data["splits"].values())
    found = {
        "duplicates within a split": duplicates,
        "texts that are in two splits": len(data["leaks"]),
        "rows left out": data["bad_rows"]["count"],
    }
    if facts.base is not None and recipe.model.prompt is not None:
        lines.append(("prompt", shown(json.dumps(recipe.model.prompt, ensure_ascii=False), 200)))
    if "truncated_texts" in data:  # a baseline has no tokens
        found[f"texts cut at {recipe.model.max_length} tokens"] = sum(data["truncated_texts"].values())
    lines.append(("checks", ", ".join(f"{number(count)} {what}" for what, count in found.items())))
    return lines + [("note", note) for note in data["notes"]]


def _target(label: LabelSection) -> str:
    """What a soft label is."""
    if label.raters is None:
        return "the rating itself, as its probability"
    return f"how likely {label.raters} further raters would give it"


def limits(facts: RunFacts) -> list[str]:
    """What the figures do not say, and where the model should not be trusted, one sentence each."""
    after, data = facts.summary["after"], facts.data
    evaluated = " and ".join(f"{metrics['num_examples']:,} {shown(split, 40)}" for split, metrics in after.items())
    lines = [
        f"It was evaluated on {evaluated} examples of this data; on other kinds of text it may do far worse.",
        _luck(facts),
        f"It knows {len(data['label_names'])} answers and always gives one of them, for any text.",
    ]
    if "truncated_texts" in data:
        lines.append(f"Texts longer than {facts.recipe.model.max_length} tokens are cut.")
    rare = [
        f"{shown(name, 40)} ({scores['support']})"
        for name, scores in after[facts.split]["per_class"].items()
        if scores["support"] < MIN_SUPPORT
    ]
    if rare:
        lines.append(f"Few {facts.split} examples of: {', '.join(rare)}. Their figures say little.")
    if facts.base is not None:
        lines.append("What its base learned from the web, prejudices included, is still in it.")
    return lines


def _luck(facts: RunFacts) -> str:
    """What was tried only once, which the intervals do not hold."""
    examples = "Its figures' intervals hold the choice of examples"
    if facts.base is None:
        return f"{examples} alone."
    count = len(facts.members)
    once = (
        f"{count} adapters were trained, each with its own seed, and averaged once" if count else "One seed was trained"
    )
    if facts.recipe.init_from is not None and not trainings(facts):
        once = "One trained model was rounded"
    return f"{once}. {examples}, not the luck of the training."


def decision_lines(facts: RunFacts) -> list[str]:
    """How far its probabilities are off, and how logits become answers where that is not the plain way."""
    split, lines = facts.split, []
    found, errors = facts.calibration or {}, (facts.calibration or {}).get("ece", {}).get(split)
    if errors is None and "after" in facts.predictions:
        answers = facts.predictions["after"]
        error = expected_calibration_error(answers.labels, answers.probabilities_NC)
        errors = {"before": error, "after": error}
    if errors is not None:
        lines.append(
            f"On {shown(split, 40)} its probabilities are off by {100 * errors['after']:.1f} points on average "
            "(expected calibration error, 15 bins)."
        )
    if found.get("temperature_fitted"):
        lines.append(
            f"Its logits are divided by {found['temperature']:.3f}, a temperature fitted on {found['chosen_on']}; "
            f"without it the error would be {100 * errors['before']:.1f} points."
        )
    if found.get("threshold") not in (None, BINARY_THRESHOLD) or found.get("chosen_for"):
        name = shown(facts.summary["label_names"][-1], 40)
        why = "as the recipe sets it"
        if found["chosen_for"]:
            why = f"chosen on {found['chosen_on']} for the best {found['chosen_for'].replace('_', ' ')}"
        lines.append(f"The answer is {name} from a probability of {found['threshold']:.3f} on, {why}.")
    return lines


def flattered(facts: RunFacts, split: str) -> str | None:
    """That a split's figures lean upwards since it chose how to decide, and fair ones; None where it chose nothing."""
    fair = facts.summary["after"][split].get("cross_fitted")
    if not fair:
        return None
    found = facts.calibration or {}
    fitted, chosen = found.get("temperature_fitted"), found.get("chosen_for")
    what = "Temperature and threshold were" if fitted and chosen else "The temperature was" if fitted else ""
    what = what or ("The threshold was" if chosen else "How to decide was")
    return (
        f"{what} chosen on these very {shown(split, 40)} examples, which flatters. Chosen on one half and asked of the "
        f"other: accuracy {percent(fair['accuracy'])}, F1 {percent(fair['f1'])}, loss {fair['loss']:.3f}."
    )


def calibration_lines(facts: RunFacts) -> list[str]:
    """`decision_lines`, and what flatters the figures of the split that the report speaks of first."""
    note = flattered(facts, facts.split)
    return decision_lines(facts) + ([note] if note else [])


def error_lines(facts: RunFacts) -> list[str]:
    """How many mistakes there are, and what the raters' own disagreement would allow."""
    errors = facts.errors
    if errors is None:
        return []
    lines = [
        f"{number(errors['mistakes'])} of {number(errors['num_examples'])} {shown(facts.split, 40)} answers are wrong."
    ]
    ceiling = errors["ceiling"]
    if ceiling is not None:
        agree, best, other = (percent(ceiling[name]) for name in ("two_raters", "best_possible", "other_rater"))
        lines.append(
            f"The labels are the vote of {ceiling['raters']} raters, two of whom agree on {agree} of the texts. One "
            "who knew exactly what share of all people would say yes could therefore expect to be right on at most "
            f"{best} of these labels, one more rater on {other}."
        )
    return lines
