"""The folders of runs, comparisons and searches with made-up numbers, without a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from feathertune.data.texts import StoredTexts, TextWriter
from feathertune.evaluation.differences import difference_in_words
from feathertune.evaluation.error_analysis import analyze_errors
from feathertune.evaluation.metrics import compute_metrics, majority_metrics
from feathertune.folders.run import RunFolder
from feathertune.prediction.files import write_predictions
from feathertune.prediction.predictions import Predictions
from feathertune.recipe.files import dump_recipe, parse_recipe
from feathertune.stats.paired import PairedDifference

NAMES = ("NEGATIVE", "POSITIVE")
BETTER = {"validation": 0.01, "test": 0.0}  # split of a comparison -> how much better its metrics are than on test
# what a text may contain: markup, long words, other directions, pictures, quotes, formulas, a book
HOSTILE = (
    "<script>document.title='hacked'</script>",
    '"><img src=x onerror="alert(1)">',
    "</style><style>body{display:none}</style>",
    "{{ 7 * 7 }} {% raw %} ${7*7} `ls`",
    "Donaudampfschifffahrtsgesellschaftskapitän" * 12,
    "\u202eright to left\u202c and عربي and עברית",
    "👩‍👩‍👧‍👦 🇪🇺 emoji \u0000 and \u2028 a line",
    "=cmd|' /C calc'!A0 | a | table |\n# heading\n---\n",
    "long " * 2000,
)
HOSTILE_NAMES = ("<b>no</b>", "ja|&nbsp;👍‮$x_$ " + "sehr" * 20)


def made_up_run(
    path: Path,
    *,
    names: Sequence[str] = NAMES,
    texts: Sequence[str] = ("what is it?",),
    count: int = 120,
    epochs: int = 3,
    method: str = "lora",
    split: str = "validation",
    skill: float = 2.0,
    quantized: bool = False,
) -> RunFolder:
    """A finished run folder. `skill` is how much higher the correct class's logit is than the others after training."""
    run = RunFolder(path)
    path.mkdir(parents=True, exist_ok=True)
    stages = ["before", *(["float", "ptq"] if quantized else []), "after"]
    predictions = {
        stage: _predictions(names, texts, count, split, 0.0 if stage == "before" else skill, seed)
        for seed, stage in enumerate(stages)
    }
    metrics = {stage: compute_metrics(one, intervals=True).to_json() for stage, one in predictions.items()}
    for stage, one in predictions.items():
        write_predictions(run.predictions(stage, split), one)  # type: ignore[arg-type]
        _write(run.evaluation(stage, split), metrics[stage])  # type: ignore[arg-type]
    _write(run.errors(split), analyze_errors(predictions["after"]).to_json())
    _write_inputs(run, names, texts, count, epochs, method, split)
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in _events(epochs)), encoding="utf-8")
    majority = majority_metrics(predictions["after"].labels, predictions["after"]).to_json()
    summary: dict[str, Any] = {
        "method": method,
        "model": "gpt2",
        "label_names": list(names),
        "trainable_parameters": 1_000,
        "total_parameters": 100_000,
        "epochs": epochs,
        "best_epoch": epochs,
        "best_metric": "accuracy",
        "precision": "fp32",
        "stopped_early": False,
        "train_seconds": 61.5,
        "train_examples_per_second": 210.0,
        "peak_memory_mib": 700.5,
        "finished": "2026-11-25T07:04:10+00:00",
        "majority": {split: majority},
        **{stage: {split: one} for stage, one in metrics.items()},
    }
    if quantized:
        size = {"weights": "int8", "weights_bytes": 20_000_000, "float32_bytes": 80_000_000}
        training = {"epochs": 2, "best_epoch": 1, "train_seconds": 30.0, "train_examples_per_second": 100.0}
        summary["quantization"] = {**size, "training": training}
    _write(run.summary, summary)
    return run


def made_up_comparison(folder: Path, names: Sequence[str] = ("LoRA", "full fine-tuning", "the majority class")) -> Path:
    """A comparison folder: the first two methods do not differ significantly, the third is worse.

    On validation everything is a point better than on test. The first method's artefact is an adapter, the smallest,
    and the most bytes with its base; the others' artefacts are all that they need.
    """
    methods = []
    for place, name in enumerate(names):
        artefact = (20_000, 80_000_000, 312_500)[place]
        before = {"accuracy": {"value": 0.5, "low": 0.48, "high": 0.52}}
        methods.append(
            {
                "method": f"method{place}",
                "name": name,
                "seeds": [0, 1, 2],
                "runs": [f"runs/method{place}-seed{seed}" for seed in range(3)],
                "metrics": {split: _made_up_rates(place, better) for split, better in BETTER.items()},
                "before": dict.fromkeys(BETTER, before) if place < 2 else {},
                "train_seconds": 100.0 * 3**place,
                "train_examples_per_second": 200.0 / (place + 1),
                "trainable_parameters": 1000 * (place + 1),
                "peak_memory_mib": 900.0,
                "artefact_bytes": artefact,
                "deployed_bytes": artefact + 85_000_000 * (place == 0),
                "latency_ms": 3.25,
            }
        )
    pairs = [
        _pair(first, second, difference + better, p_value, names, split, metric)
        for split, better in BETTER.items()
        for metric in ("accuracy", "f1", "roc_auc")
        for first, second, difference, p_value in ((0, 1, 0.01, 0.5), (0, 2, 0.22, 0.0003), (1, 2, 0.21, 0.001))
    ]
    comparison = {
        "label_names": list(NAMES),
        "seeds": [0, 1, 2],
        "splits": {"validation": 3750, "test": 1200},
        "budget": ["All methods were trained on the same examples."],
        "methods": methods,
        "pairs": pairs,
        "sentences": [f"{pair['split']}: {pair['sentence']}" for pair in pairs if pair["metric"] == "accuracy"],
        "time_ratio_lora_full": 0.52,
        "notes": ["A note."],
    }
    _write(folder / "comparison.json", comparison)
    return folder


def made_up_search(folder: Path, trials: int = 40, name: str = "training.learning_rate") -> Path:
    """A search folder: `trials` complete trials, one that was pruned and one that failed."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(trials):
        params = {
            name: float(10 ** rng.uniform(-5, -3)),
            "lora.rank": int(rng.choice([4, 8, 16])),
            "lora.targets": str(rng.choice(["attention", "all-linear"])),
        }
        value = 0.7 + 0.05 * float(np.log10(params[name]) + 5) + float(rng.normal(0, 0.01))
        made.append({"number": number, "params": params, "value": value, "state": "complete"})
    made.append({"number": trials, "params": {name: 1e-4}, "value": None, "state": "pruned"})
    made.append({"number": trials + 1, "params": {}, "value": None, "state": "failed"})
    importances = {name: 0.8, "lora.rank": 0.15, "lora.targets": 0.05}
    search = {"metric": "accuracy", "maximized": True, "split": "validation", "trials": made}
    _write(folder / "tune.json", search | {"importances": importances})
    return folder


def _predictions(
    names: Sequence[str], texts: Sequence[str], count: int, split: str, skill: float, seed: int
) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(names)
    logits = rng.normal(size=(count, len(names))).astype(np.float32)
    logits[np.arange(count), labels] += skill
    writer = TextWriter()
    for index in range(count):
        writer.add(texts[index % len(texts)])
    stored = StoredTexts(writer.finish())
    ratings = None
    if len(names) == 2:  # of five raters, three or more say yes if the label is positive
        ratings = (np.arange(count) // 2 % 3 + 3 * labels) / 5
    return Predictions(split, tuple(names), np.arange(1, count + 1), stored, labels, ratings, logits)


def _write_inputs(
    run: RunFolder, names: Sequence[str], texts: Sequence[str], count: int, epochs: int, method: str, split: str
) -> None:
    """The files that a run writes before it trains."""
    recipe = {
        "model": {"source": "gpt2"},
        "data": {"source": "my-data", "label": {"column": "label", "names": list(names)}},
        "method": method,
        "training": {"epochs": epochs},
    }
    run.recipe.write_text(dump_recipe(parse_recipe(json.dumps(recipe), [], where="made up")), encoding="utf-8")
    described = {
        "count": count,
        "characters": {"min": 1, "median": 11.0, "p95": 20.0, "max": max(map(len, texts))},
        "tokens": None,
        "labels": {name: count // len(names) for name in names},
        "ratings": None,
        "duplicates": 1,
        "conflicts": 0,
        "duplicate_examples": [],
        "examples": [{"place": "train.csv:2", "label": names[0], "rating": None, "text": text} for text in texts],
    }
    _write(
        run.data,
        {
            "source": "my-data",
            "origin": {"files": {"train.csv": "0" * 64}},
            "label_names": list(names),
            "splits": {"train": described, split: described},
            "leaks": [],
            "bad_rows": {"count": 0, "listed": []},
            "notes": ["a note"],
            "truncated_texts": {"train": 0, split: 0},
        },
    )
    _write(
        run.environment,
        {
            "started": "2026-11-25T07:02:28+00:00",
            "command": "feathertune train recipe.yaml --output 'my run'",
            "python": "3.11.7",
            "platform": "Linux",
            "packages": {"feathertune": "0.1.0", "torch": "2.13.0"},
            "processor": "a processor",
            "cores": 2,
            "threads": 2,
            "accelerator": None,
        },
    )
    _write(
        run.base,
        {
            "source": "gpt2",
            "revision": None,
            "folder": "/models/gpt2",
            "architecture": "GPT2ForSequenceClassification",
            "model_type": "gpt2",
            "max_length": 128,
            "sha256": {"model.safetensors": "1" * 64},
        },
    )


def _events(epochs: int) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for epoch in range(epochs + 1):
        rate = 0.5 + 0.3 * epoch / max(epochs, 1)
        scores = dict.fromkeys(("accuracy", "precision", "recall", "f1", "roc_auc"), rate) | {"loss": 1 - rate}
        steps = range(4 * epoch - 3, 4 * epoch + 1) if epoch else ()
        lines += [{"event": "step", "step": step, "epoch": step / 4, "loss": 1 / step} for step in steps]
        numbers = {"epoch": epoch, "step": 4 * epoch, "train_loss": 1.1 - rate if epoch else None, "seconds": 1.0}
        lines.append({"event": "epoch", "validation": scores, **numbers})
    return lines


def _made_up_rates(place: int, better: float) -> dict[str, dict[str, float]]:
    accuracy = 0.8 - 0.01 * place - 0.2 * (place > 1) + better
    estimate = {"value": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.02}
    return dict.fromkeys(("accuracy", "precision", "recall", "f1", "roc_auc", "ece"), estimate)


def _pair(
    first: int, second: int, difference: float, p_value: float, names: Sequence[str], split: str, metric: str
) -> dict[str, Any]:
    low, high = difference - 0.02, difference + 0.02
    pair = PairedDifference(metric, difference, low, high, p_value, mcnemar=(), seeds=(3, 3))
    return {
        "first": f"method{first}",
        "second": f"method{second}",
        "split": split,
        "metric": metric,
        "difference": difference,
        "low": low,
        "high": high,
        "p_value": p_value,
        "p_adjusted": p_value,
        "sentence": difference_in_words(names[first], names[second], pair, p_adjusted=p_value),
    }


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
