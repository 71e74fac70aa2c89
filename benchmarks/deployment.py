"""Deployments compared: size on disk, load time, single queries, bulk, peak memory, and their predictions.

    python benchmarks/deployment.py --models gpt2 minilm --data FOLDER --tokenizer GPT2_TOKENIZER_FOLDER
    python benchmarks/deployment.py --models minilm --runs fp32=RUN int8=RUN int4=RUN

All contenders are made from the same model. With --runs, these are real runs (the quantized ones with `init_from` the
first one); otherwise it is a true shape with random weights, whose predictions only show whether the contenders agree.
They take turns, round after round, each turn in a process of its own that imports only what it needs.

  torch-fp32        transformers' own model in torch, merged, as its pipeline runs it: batches of 32, padded.
  onnx-fp32         the same forward pass in ONNX, as optimum exports it, run by onnxruntime.
  onnx-dynamic      the same after onnxruntime's quantize_dynamic: int8 weights, activations quantized per tensor.
  ours-onnx-*       `feathertune export --to onnx`; '-symmetric' means quantize.activations=symmetric.
  openvino-*        our fp32 ONNX in OpenVINO, in fp32 and bf16, and OpenVINO's own int8 (nncf.quantize, calibrated on
                    texts of the train split), if openvino and nncf are installed.
  ours-openvino-*   our int8 ONNX in OpenVINO.
  ours-pte-*        `feathertune export --to executorch`, run by executorch's Python runtime, if installed.
  ours-torch-*      Feathertune's predictor in torch, packed, in float32 and with integers.

Everything that onnxruntime and ExecuTorch run is called through the same code (texts of one length share a batch,
without padding), so that their ratios compare the models. 'Load' is from the first import to the first prediction; a
query is one text, from string to logits; bulk is the first --bulk texts, from strings to logits. 'Peak' is the peak
memory of the process, including memory-mapped files.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deployment_artefacts import CONTENDERS, SCHEMES, Contender, Subject, evaluated, make, size_mib
from feathertune.evaluation.metrics import compute_metrics
from feathertune.prediction.predictions import Predictions
from feathertune.system.files import write_json
from feathertune.system.machine import describe_environment
from feathertune.wording.duration import duration
from measuring import in_columns, in_own_process, progress, spread
from shapes import SHAPES, read_texts

_TURN = Path(__file__).parent / "deployment_turn.py"
_PRECISIONS = ("fp32", *SCHEMES)
_METRICS = ("accuracy", "f1", "roc_auc")
_SETTINGS = ("models", "contenders", "data", "queries", "warm_up", "bulk", "repeats", "rounds", "threads")

_SYMMETRIC = "ours-onnx-int8-symmetric"

# Description, contender, figure, contender to compare with, whether the ratio should be at most or at least the goal.
GOALS: tuple[tuple[str, str, str, str, str, float], ...] = (
    ("int8 size, of fp32", "ours-onnx-int8", "size_mib", "torch-fp32", "at most", 0.26),
    ("int4 size, of fp32", "ours-onnx-int4", "size_mib", "torch-fp32", "at most", 0.18),
    ("int8 bulk, x ONNX fp32", "ours-onnx-int8", "texts_per_second", "onnx-fp32", "at least", 2.5),
    ("int8 bulk, x quantize_dynamic", "ours-onnx-int8", "texts_per_second", "onnx-dynamic", "at least", 1.0),
    ("symmetric bulk, x quantize_dynamic", _SYMMETRIC, "texts_per_second", "onnx-dynamic", "at least", 1.0),
    ("int8 bulk, x OpenVINO fp32", "ours-onnx-int8", "texts_per_second", "openvino-fp32", "at least", 1.5),
    ("int8 bulk, x OpenVINO bf16", "ours-onnx-int8", "texts_per_second", "openvino-bf16", "at least", 1.5),
    ("int8 bulk, x OpenVINO int8", "ours-onnx-int8", "texts_per_second", "openvino-int8", "at least", 1.5),
    ("int8 query p50, torch fp32's x", "ours-onnx-int8", "queries_per_second", "torch-fp32", "at least", 2.5),
)
MAX_POINTS = 0.3  # of accuracy, between the fp32 run and int8


def main(arguments: list[str] | None = None) -> None:
    """Make missing files, run the rounds, print a table for each model, and write the JSON if --output is given."""
    began, options = time.monotonic(), _parse(arguments)
    report: dict[str, Any] = {
        "environment": describe_environment(" ".join(["benchmarks/deployment.py", *(arguments or sys.argv[1:])])),
        "settings": {name: vars(options)[name] for name in _SETTINGS},
        "models": {},
    }
    for name in options.models:
        subject = Subject(None if options.runs else SHAPES[name], options.tokenizer, options.runs, options.data)
        with tempfile.TemporaryDirectory() as temporary:
            folder = (options.artefacts or Path(temporary)) / name
            report["models"][name] = measured = _measure(subject, folder, options)
        print(_table(name, measured), end="\n\n", flush=True)
    report["seconds"] = time.monotonic() - began
    progress(f"took {duration(report['seconds'])}")
    if options.output:
        write_json(options.output, report)


def _measure(subject: Subject, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All rounds of one model."""
    known = evaluated(subject)
    texts = read_texts(options.data, "validation") if known is None else list(known.texts)
    skipped = {name: reason for name in options.contenders if (reason := _skip_reason(CONTENDERS[name], subject))}
    for name, reason in skipped.items():
        progress(f"{name} is skipped: {reason}")
    taking_part = {name: CONTENDERS[name] for name in options.contenders if name not in skipped}
    for name, contender in taking_part.items():
        if contender.made_by == "dynamic":
            in_own_process(make, subject, CONTENDERS["onnx-fp32"], folder / "onnx-fp32", folder)
        in_own_process(make, subject, contender, folder / name, folder / "onnx-fp32")
        progress(f"made   {name}")
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in taking_part}
    logits: dict[str, np.ndarray] = {}
    for number in range(options.rounds):
        for name, contender in taking_part.items():
            given = texts if number == 0 and known is not None else texts[: max(options.bulk, 1)]
            turn, logits_NC = _take(contender, folder / name, given, options)
            logits.setdefault(name, logits_NC)
            turns[name].append(turn)
            progress(f"round {number + 1}  {name:16} {turn['texts_per_second']:8.1f} texts/s")
    return {
        "texts": len(texts[: options.bulk]),
        "rows": {
            name: _row(contender, folder / name, turns[name]) | _quality(logits[name], logits.get("torch-fp32"), known)
            for name, contender in taking_part.items()
        },
        "skipped": {CONTENDERS[name].title: reason for name, reason in skipped.items()},
    }


def _skip_reason(contender: Contender, subject: Subject) -> str | None:
    """Why the contender cannot take part, or None if it can."""
    if contender.made_by == "executorch" and importlib.util.find_spec("executorch") is None:
        return "executorch is not installed: pip install 'feathertune[executorch]'"
    if contender.kind.startswith("openvino") and importlib.util.find_spec("openvino") is None:
        return "openvino is not installed: pip install 'feathertune[openvino]'"
    if contender.made_by == "nncf" and importlib.util.find_spec("nncf") is None:
        return "nncf is not installed: pip install nncf"
    if subject.shape is None and contender.precision not in subject.runs:
        return f"--runs names no {contender.precision} run"
    return None


def _take(
    contender: Contender, folder: Path, texts: list[str], options: argparse.Namespace
) -> tuple[dict[str, Any], np.ndarray]:
    """Take one turn, in a process of its own. Returns its measurements and the logits of `texts`."""
    with tempfile.TemporaryDirectory() as temporary:
        turn = {
            "kind": contender.kind,
            "folder": str(folder.resolve()),
            "texts": texts,
            "threads": options.threads,
            "queries": options.queries,
            "warm_up": options.warm_up,
            "bulk": options.bulk,
            "repeats": options.repeats,
            "logits": str(Path(temporary) / "logits.npy"),
        }
        path = Path(temporary) / "turn.json"
        path.write_text(json.dumps(turn), encoding="utf-8")
        done = subprocess.run([sys.executable, _TURN, path], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{contender.title} failed:\n{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1]), np.load(turn["logits"])


def _row(contender: Contender, folder: Path, turns: list[dict[str, Any]]) -> dict[str, Any]:
    query_ms = [one for turn in turns for one in turn["query_ms"]]
    return {
        "title": contender.title,
        "size_mib": size_mib(folder, contender.size_of),
        "load_seconds": spread([turn["load_seconds"] for turn in turns]),
        "query_p50_ms": float(np.quantile(query_ms, 0.5)),
        "query_p99_ms": float(np.quantile(query_ms, 0.99)),
        "queries_per_second": 1000 / float(np.quantile(query_ms, 0.5)),
        "texts_per_second": spread([turn["texts_per_second"] for turn in turns]),
        "peak_mib": max(turn["peak_mib"] for turn in turns),
    }


def _quality(logits_NC: np.ndarray, reference_NC: np.ndarray | None, known: Predictions | None) -> dict[str, Any]:
    """The metrics if labels are known, and the agreement with transformers in torch."""
    results: dict[str, Any] = {}
    if known is not None:
        metrics = compute_metrics(replace(known, logits_NC=logits_NC, saved_probabilities_NC=None), intervals=False)
        results["metrics"] = {name: getattr(metrics, name) for name in _METRICS}
    if reference_NC is not None:
        results["same_labels"] = float((logits_NC.argmax(axis=1) == reference_NC.argmax(axis=1)).mean())
    return results


def _table(name: str, measured: dict[str, Any]) -> str:
    """The results of one model as text."""
    rows = measured["rows"]
    with_metrics = any("metrics" in row for row in rows.values())
    heads = ("", "MiB", "load s", "query p50 ms", "p99 ms", "texts/s", "min", "max", "peak MiB", "same label")
    table = [(*heads, *(_METRICS if with_metrics else ()))]
    for row in rows.values():
        speed = row["texts_per_second"]
        metrics = row.get("metrics", {})
        table.append(
            (
                row["title"],
                f"{row['size_mib']:.1f}",
                f"{row['load_seconds']['median']:.2f}",
                f"{row['query_p50_ms']:.2f}",
                f"{row['query_p99_ms']:.2f}",
                *(f"{speed[part]:.1f}" for part in ("median", "min", "max")),
                f"{row['peak_mib']:.0f}",
                f"{row['same_labels']:.2%}" if "same_labels" in row else "",
                *(f"{metrics[one]:.2%}" for one in _METRICS if one in metrics),
            )
        )
    skipped = [f"{title}: skipped, {reason}" for title, reason in measured["skipped"].items()]
    return "\n".join([f"{name}: {measured['texts']} texts in bulk", in_columns(table), *skipped, *goals(rows)])


def goals(rows: dict[str, Any]) -> list[str]:
    """One line per goal whose contenders took part: the ratio, the goal, and whether it is reached."""
    lines = []
    for what, ours, figure, other, kind, goal in GOALS:
        if ours in rows and other in rows:
            ratio = _figure(rows[ours], figure) / _figure(rows[other], figure)
            reached = ratio <= goal if kind == "at most" else ratio >= goal
            lines.append(f"{what}: {ratio:.3f} (goal {kind} {goal:g}: {'reached' if reached else 'NOT reached'})")
    int8, fp32 = (rows.get(name, {}).get("metrics") for name in ("ours-onnx-int8", "torch-fp32"))
    if int8 and fp32:
        points = 100 * (int8["accuracy"] - fp32["accuracy"])
        reached = "reached" if points >= -MAX_POINTS else "NOT reached"
        lines.append(f"int8 accuracy, points from fp32: {points:+.2f} (goal at least -{MAX_POINTS}: {reached})")
    return lines


def _figure(row: dict[str, Any], figure: str) -> float:
    value = row[figure]
    return float(value["median"] if isinstance(value, dict) else value)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=sorted(SHAPES), default=["gpt2"], metavar="MODEL")
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS), metavar="NAME")
    parser.add_argument("--runs", nargs="+", default=[], metavar="PRECISION=RUN", help="real runs of one model")
    parser.add_argument("--data", default="sample", help="a folder with the columns content and rating (or Google's)")
    parser.add_argument("--tokenizer", help="a folder with GPT-2's tokenizer, which is needed for that model")
    parser.add_argument("--artefacts", type=Path, help="keep the contenders' files here, and reuse existing ones")
    parser.add_argument("--queries", type=int, default=100, help="timed single queries per turn")
    parser.add_argument("--warm-up", type=int, default=10, help="untimed single queries before them")
    parser.add_argument("--bulk", type=int, default=512, help="texts predicted at once")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions of bulk per turn; the median counts")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="not for ExecuTorch, which chooses itself")
    parser.add_argument("--quick", action="store_true", help="one round, 30 queries, 128 texts")
    parser.add_argument("--output", type=Path, help="a JSON file")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.queries, options.bulk, options.repeats = 1, 30, 128, 1
    pairs = [entry.partition("=") for entry in options.runs]
    if any(precision not in _PRECISIONS or not run for precision, _, run in pairs):
        parser.error(f"--runs takes {', '.join(f'{precision}=RUN' for precision in _PRECISIONS)}")
    options.runs = {precision: Path(run) for precision, _, run in pairs}
    if options.runs and ("fp32" not in options.runs or len(options.models) > 1):
        parser.error("--runs needs fp32=RUN, and one name for --models, the name of the table")
    return options


if __name__ == "__main__":
    main()
