"""Prediction speed of transformers' pipeline, of padded and merged PEFT, and of Feathertune, and their agreement.

    python benchmarks/prediction_speed.py --data FOLDER --tokenizer GPT2_TOKENIZER_FOLDER --output speeds.json

All predict the same texts with the same random weights and the same adapter, loaded from files of transformers and
PEFT. They take turns, round after round, each turn in a process of its own; imports, loading and a warm-up of 128 texts
are not counted. Times are from strings to probabilities, including tokenization, and also from token ids. Each peer has
the fastest batch of a sweep. The peers' speed does not depend on the number of texts, so they predict only the first
--peer-texts. Feathertune's does depend on it, so it predicts all: identical texts are computed once, and for causal
models common beginnings too.

The exit status is 1 if the predictions do not agree: in fp32 probabilities must equal the pipeline's to 1e-5, and in
bf16 labels must equal the pipeline's wherever its two probabilities differ by at least 0.05, since the pipeline's own
bf16 changes each by up to 0.023.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from feathertune.errors import UserError
from feathertune.system.files import write_json
from feathertune.system.machine import describe_environment
from feathertune.wording.duration import duration
from measuring import in_columns, in_own_process, progress, spread
from predictors import CONTENDERS, Result, Turn, predict, save_model
from shapes import MAX_LENGTH, SHAPES, Shape, find_tokenizer, read_texts

GOALS = {"gpt2": {"ours-fp32": 4.5, "ours-bf16": 8.0}}  # times the pipeline's speed, from strings
TOLERANCE, NEAR_TIE = 1e-5, 0.05
_HEAD_TEXTS = 64  # texts that the random head is fitted to
_SWEEP_TEXTS = 128


def main(arguments: list[str] | None = None) -> int:
    """Run the rounds and print a table for each model. Returns 1 if predictions disagree."""
    began, options = time.monotonic(), _parse(arguments)
    report: dict[str, Any] = {
        "environment": describe_environment(" ".join(["benchmarks/prediction_speed.py", *(arguments or sys.argv[1:])])),
        "settings": {name: value for name, value in vars(options).items() if name != "output"},
        "models": {},
    }
    texts = read_texts(options.data, "validation")[: options.texts]
    for name in options.models:
        shape = SHAPES[name]
        try:
            find_tokenizer(shape, options.tokenizer)
        except UserError as error:
            sys.exit(f"{name}: {error}")
        report["models"][name] = measured = _measure(shape, texts, options)
        print(_table(name, measured), end="\n\n", flush=True)
    report["seconds"] = time.monotonic() - began
    progress(f"took {duration(report['seconds'])}")
    if options.output:
        write_json(options.output, report)
    return int(not all(model["agreement"]["holds"] for model in report["models"].values()))


def _measure(shape: Shape, texts: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """All rounds of one model."""
    results: dict[str, list[Result]] = {name: [] for name in options.contenders}
    with tempfile.TemporaryDirectory() as folder:
        tokens = find_tokenizer(shape, options.tokenizer)(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
        in_own_process(save_model, shape, Path(folder), tokens[:_HEAD_TEXTS])
        turns = {
            name: Turn(shape, CONTENDERS[name], Path(folder), texts, options.tokenizer, options.sweep[0])
            for name in options.contenders
        }
        for name, turn in turns.items():
            if turn.contender.kind != "feathertune":
                fewer = replace(turn, texts=texts[: options.peer_texts])
                turns[name] = replace(fewer, batch=_best_batch(name, fewer, options.sweep))
        for number in range(options.rounds):
            for name, turn in turns.items():
                results[name].append(in_own_process(predict, turn))
                progress(f"round {number + 1}  {name:14} {results[name][-1].seconds:7.2f} s")
    return {
        "texts": len(texts),
        "peer_texts": min(len(texts), options.peer_texts),
        "different_texts": len(set(texts)),
        "tokens_per_text": float(np.mean([len(ids) for ids in tokens])),
        "rows": {name: _row(turns[name], results[name]) for name in turns},
        "agreement": _agreement({name: rounds[0].probabilities_NC for name, rounds in results.items()}),
    }


def _best_batch(name: str, turn: Turn, sweep: list[int]) -> int:
    """The fastest batch for the first texts."""
    if len(sweep) == 1:
        return sweep[0]
    few = turn.texts[:_SWEEP_TEXTS]
    seconds = {batch: in_own_process(predict, replace(turn, texts=few, batch=batch)).seconds for batch in sweep}
    speeds = ", ".join(f"{batch}: {len(few) / taken:.0f}/s" for batch, taken in seconds.items())
    progress(f"sweep  {name:14} {speeds}")
    return min(seconds, key=lambda batch: seconds[batch])


def _row(turn: Turn, results: list[Result]) -> dict[str, Any]:
    return {
        "title": turn.contender.title,
        "batch": None if turn.contender.kind == "feathertune" else turn.batch,
        "texts_per_second": spread([len(turn.texts) / result.seconds for result in results]),
        "texts_per_second_from_tokens": spread([len(turn.texts) / result.seconds_from_tokens for result in results]),
        "peak_mib": max(result.peak_mib for result in results),
    }


def _agreement(probabilities: dict[str, np.ndarray]) -> dict[str, Any]:
    """The differences from the float32 pipeline, and whether those of Feathertune are small enough."""
    if "pipeline" not in probabilities:
        return {"holds": True, "note": "agreement not checked: the pipeline did not take part"}
    reference_NC = probabilities["pipeline"]
    clear_N = np.abs(reference_NC[:, 1] - reference_NC[:, 0]) >= NEAR_TIE
    agreement: dict[str, Any] = {"holds": True, "near_ties": int((~clear_N).sum())}
    agreement["yes_share"] = float(reference_NC.argmax(axis=1).mean())
    agreement["score_deviation"] = float(reference_NC[:, 1].std())
    for name, probabilities_NC in probabilities.items():
        common_NC = probabilities_NC[: len(reference_NC)]
        differing_N = common_NC.argmax(axis=1) != reference_NC.argmax(axis=1)
        largest = float(np.abs(common_NC - reference_NC).max())
        agreement[name] = {
            "largest_difference": largest,
            "other_labels": int(differing_N.sum()),
            "other_labels_outside_near_ties": int((differing_N & clear_N).sum()),
        }
        if name == "ours-fp32" and not largest <= TOLERANCE:
            agreement["holds"] = False
        if name == "ours-bf16" and (differing_N & clear_N).any():
            agreement["holds"] = False
    return agreement


def _table(name: str, measured: dict[str, Any]) -> str:
    """The results of one model as text."""
    rows, agreement = measured["rows"], measured["agreement"]
    peer = rows.get("pipeline")
    table = [
        ("", "texts/s", "min", "max", "x pipeline", "goal", "from tokens", "x pipeline", "peak MiB", "largest diff."),
    ]
    for key, row in rows.items():
        speed, bare = row["texts_per_second"], row["texts_per_second_from_tokens"]
        goal = GOALS.get(name, {}).get(key)
        table.append(
            (
                row["title"] + (f" (batch {row['batch']})" if row["batch"] else ""),
                *(f"{speed[part]:.1f}" for part in ("median", "min", "max")),
                f"{speed['median'] / peer['texts_per_second']['median']:.2f}" if peer else "",
                f"{goal:g}" if goal else "",
                f"{bare['median']:.1f}",
                f"{bare['median'] / peer['texts_per_second_from_tokens']['median']:.2f}" if peer else "",
                f"{row['peak_mib']:.0f}",
                f"{agreement[key]['largest_difference']:.1e}" if key in agreement else "",
            )
        )
    head = (
        f"{name}: {measured['texts']} texts ({measured['different_texts']} different, "
        f"{measured['tokens_per_text']:.1f} tokens each); the peers predict {measured['peer_texts']}"
    )
    return f"{head}\n{in_columns(table)}\n{_agreement_in_words(agreement)}"


def _agreement_in_words(agreement: dict[str, Any]) -> str:
    if "note" in agreement:
        return str(agreement["note"])
    labels = ", ".join(
        f"{name} {agreement[name]['other_labels']} ({agreement[name]['other_labels_outside_near_ties']} of them clear)"
        for name in agreement
        if name in CONTENDERS and name != "pipeline"
    )
    return (
        f"labels other than the pipeline's: {labels or 'none compared'}; {agreement['near_ties']} near-ties, "
        f"{agreement['yes_share']:.0%} yes, scores' standard deviation {agreement['score_deviation']:.3f}\n"
        + ("predictions agree" if agreement["holds"] else "PREDICTIONS DISAGREE")
    )


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=sorted(SHAPES), default=list(SHAPES), metavar="MODEL")
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS), metavar="NAME")
    parser.add_argument("--data", default="sample", help="a folder with the columns content and rating (or Google's)")
    parser.add_argument("--tokenizer", help="a folder with GPT-2's tokenizer, which is needed for that model")
    parser.add_argument("--texts", type=int, help="texts of the validation split; all by default")
    parser.add_argument("--peer-texts", type=int, default=1000, help="of these, the texts that the peers predict")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sweep", nargs="+", type=int, default=[1, 8, 32, 128], help="batches of the peers to try")
    parser.add_argument("--quick", action="store_true", help="one round over 300 texts, batch 32")
    parser.add_argument("--output", type=Path, help="a JSON file")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.texts, options.sweep = 1, 300, [32]
    return options


if __name__ == "__main__":
    sys.exit(main())
