"""Lines about a run that both the page and the model card have: what was trained, on what, and within which limits."""

from __future__ import annotations

import json
import shlex
from typing import Any

from feathertune.duration import duration
from feathertune.evaluation.calibration import expected_calibration_error
from feathertune.report.facts import RunFacts
from feathertune.report.page import number, percent, shown
from feathertune.report.provenance import of_base

METHODS = {
    "lora": "LoRA",
    "head": "the head alone",
    "full": "full fine-tuning",
    "qat": "quantization-aware LoRA",
    "majority": "the majority class",
    "words": "bag of words",
}
FEWEST = 30


def costs(facts: RunFacts) -> list[tuple[str, str]]:
    """What it took, as (what, how much)."""
    summary = facts.summary
    trained, total = summary["trainable_parameters"], summary["total_parameters"]
    found = [("trained parameters", f"{number(trained)} ({trained / max(total, 1):.2%})")]
    if summary["train_examples_per_second"] is not None:
        found.append(("training time", duration(summary["train_seconds"])))
        found.append(("examples/s", number(summary["train_examples_per_second"])))
    found.append(("peak memory", f"{number(summary['peak_memory_mib'])} MiB"))
    if summary["best_epoch"] is not None:
        found.append(("best epoch", f"{summary['best_epoch']} of {summary['epochs']}"))
    if "quantization" in summary:
        found.append(("deployed size", f"{number(summary['quantization']['weights_bytes'] / 2**20, 1)} MiB"))
    return found


def trained(facts: RunFacts) -> str:
    """One paragraph: base, method, settings."""
    recipe, base = facts.recipe, facts.base
    if base is None:
        return f"A baseline without any pre-trained model: {METHODS[recipe.method]}."
    model = f"{shown(base['source'])} ({base['architecture']})"
    lora = recipe.lora
    targets = lora.targets if isinstance(lora.targets, str) else ", ".join(lora.targets)
    adapted = f"rank {lora.rank}, alpha {lora.alpha:g}, dropout {lora.dropout:g}, on {shown(targets)}"
    how = {
        "lora": f"LoRA ({adapted}) and a new classification head",
        "qat": f"LoRA ({adapted}) and a new classification head, with the rounding to integers in view",
        "head": "a new classification head on the frozen base",
        "full": "every weight, and a new classification head",
    }[recipe.method]
    training = recipe.training
    batch = training.batch_size * training.accumulation
    settings = [
        f"{facts.summary['epochs']} epoch{'s' if facts.summary['epochs'] != 1 else ''}",
        f"{batch} examples a step",
        f"learning rate {training.learning_rate:g} ({training.schedule})",
        f"weight decay {training.weight_decay:g}",
        f"seed {training.seed}" if not facts.members else f"seeds {training.seed} to {facts.members[-1]['seed']}",
        f"trained in {facts.summary.get('precision', 'fp32')}",
    ]
    return f"{model}: {how}. {', '.join(settings)[0].upper()}{', '.join(settings)[1:]}.{_averaged(facts)}"


def _averaged(facts: RunFacts) -> str:
    """What averaging several adapters brought, where that was done."""
    members = facts.members
    if not members:
        return ""
    rank = facts.recipe.lora.rank * len(members)
    found = f" {len(members)} adapters were trained so and averaged into one of rank {rank}."
    if facts.recipe.evaluation.temperature or any(member["loss"] is None for member in members):
        return found
    losses = ", ".join(f"{member['loss']:.3f}" for member in members)
    averaged = facts.summary.get("float", facts.summary["after"])["validation"]["loss"]
    return f"{found} Their losses on validation, in training: {losses}; averaged: {averaged:.3f}."


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
        soft = "; trained on the rating itself" if label.soft else ""
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


def limits(facts: RunFacts) -> list[str]:
    """What the figures do not say, and where the model should not be trusted, one sentence each."""
    after, data = facts.summary["after"], facts.data
    evaluated = " and ".join(f"{metrics['num_examples']:,} {shown(split, 40)}" for split, metrics in after.items())
    lines = [
        f"It was evaluated on {evaluated} examples of this data; on other kinds of text it may do far worse.",
        "One seed was trained. Its figures' intervals hold the choice of examples, not the luck of the training.",
        f"It knows {len(data['label_names'])} answers and always gives one of them, for any text.",
    ]
    if "truncated_texts" in data:
        lines.append(f"Texts longer than {facts.recipe.model.max_length} tokens are cut.")
    rare = [
        f"{shown(name, 40)} ({scores['support']})"
        for name, scores in after[facts.split]["per_class"].items()
        if scores["support"] < FEWEST
    ]
    if rare:
        lines.append(f"Few {facts.split} examples of: {', '.join(rare)}. Their figures say little.")
    if facts.base is not None:
        lines.append("What its base learned from the web, prejudices included, is still in it.")
    return lines


def use_commands(path: str) -> str:
    """The command line's way."""
    run = shlex.quote(path)
    return "\n".join(
        (
            f'feathertune predict {run} "a text of yours"',
            f"feathertune predict {run} --input texts.csv --output answers.csv",
            f"feathertune evaluate {run} --data labelled.csv",
            f"feathertune export {run} --to onnx --output exported",
        )
    )


def use_python(path: str) -> str:
    """Python's way."""
    return "\n".join(
        (
            "from feathertune import Predictor",
            "",
            f"predictor = Predictor({path!r})",
            'answer = predictor.predict("a text of yours")[0]',
            "print(answer.label, answer.probabilities)",
        )
    )


def peft_python(facts: RunFacts, path: str) -> str | None:
    """PEFT's way, where there is an adapter and its base is on the Hub."""
    hub_id = of_base(facts.base).hub_id
    if facts.recipe.method == "full" or hub_id is None:
        return None
    names: dict[Any, Any] = dict(enumerate(facts.summary["label_names"]))
    tokenizer = hub_id if facts.recipe.model.prompt is None else f"{path}/adapter"  # which puts the prompt around
    return "\n".join(
        (
            "from peft import PeftModel",
            "from transformers import AutoModelForSequenceClassification, AutoTokenizer",
            "",
            f"tokenizer = AutoTokenizer.from_pretrained({tokenizer!r})",
            "base = AutoModelForSequenceClassification.from_pretrained(",
            f"    {hub_id!r}, id2label={names!r}",
            ")",
            f"model = PeftModel.from_pretrained(base, {f'{path}/adapter'!r})",
        )
    )


def calibration_lines(facts: RunFacts) -> list[str]:
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
    if found.get("chosen_for"):
        name = shown(facts.summary["label_names"][-1], 40)
        lines.append(
            f"The answer is {name} from a probability of {found['threshold']:.3f} on, chosen "
            f"on {found['chosen_on']} for the best {found['chosen_for'].replace('_', ' ')}."
        )
    fair = facts.summary["after"][split].get("cross_fitted")
    if fair:
        lines.append(
            f"Both were chosen on these very examples, which flatters. Chosen on one half and asked of the other: "
            f"accuracy {percent(fair['accuracy'])}, F1 {percent(fair['f1'])}, loss {fair['loss']:.3f}."
        )
    return lines


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
