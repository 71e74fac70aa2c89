"""Training speed of PEFT + Trainer and of Feathertune, on the same machine, with equal shapes, data and optimizer.

    python benchmarks/training_speed.py --data FOLDER --tokenizer GPT2_TOKENIZER_FOLDER --output speeds.json
    python benchmarks/training_speed.py --quick --models gpt2 --contenders peft lora-fp32 lora-bf16

The contenders take turns, round after round, so that a drift of the machine's speed affects all of them. Each turn is a
process of its own; imports, building the model and warm-up steps are not counted. Models have their true shapes and
random weights, and train on real queries. The same for all: AdamW, learning rate, weight decay, gradient clipping,
rank, targets, dropout rates, and (except for one row) 32 examples per optimizer step. Contenders that do not group by
length train on the same batches.

The rows:
  peft             PEFT + Trainer as commonly used: padded to the longest of the batch, float32, Trainer's defaults.
  peft-flags       with everything that helps: bf16 autocast, grouping by length, float32 products at 'medium'.
  peft-flags-best  the same with the fastest batch of a sweep. A batch below 32 is accumulated to 32. One above 32 makes
                   fewer updates of the same examples, which is not the same training: that row flatters Trainer, but
                   Feathertune at 32 is compared with it all the same.
  peft-128         padded to 128 tokens, as in the original notebook.
  trainer-full     full fine-tuning by Trainer; trainer-full-flags with everything that helps.
  lora-fp32, lora-bf16, full-fp32, full-bf16: Feathertune.
  qat8-fp32, qat8-bf16, qat4-fp32, qat4-bf16: Feathertune, LoRA with fake quantization (int8 and int4 weights).
The first dropout applies to all rows. It is LoRA's; the model's own dropouts are those of its config. Further dropouts
add rows for peft, peft-flags, lora-fp32 and lora-bf16; a dropout of 0 also disables the model's own.

'of limit' is the share of the speed that the matrix products alone would allow: the multiply-adds that the task needs
(see arithmetic.py), at this machine's best rate for the model's own matrices in that precision. 'peak' is the peak
memory of the process since its start; the JSON also has that of the timed steps alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import arithmetic
from feathertune.system.files import write_json
from feathertune.system.machine import describe_environment
from feathertune.tokens.tokenized import TokenizedTexts
from feathertune.wording.duration import duration
from measuring import in_columns, in_own_process, progress, spread
from shapes import SHAPES, Shape, read_texts, tokens_of
from training_turn import take
from turns import CONTENDERS, Result, Turn

# Column -> the contender that all others with the same dropout are compared with.
REFERENCES = {"x peft": "peft", "x flags": "peft-flags", "x best": "peft-flags-best", "x lora": "lora-fp32"}
REFERENCES |= {"x lora bf16": "lora-bf16"}  # the cost of QAT is measured in the same precision
_QUICK = {"rounds": 1, "steps": 3, "seconds": 4.0, "warm_up": 1.0, "sweep": []}
_QUICK_CONTENDERS, _DROPOUTS = ["peft", "peft-flags", "lora-fp32", "lora-bf16"], [0.1, 0.0]


def main(arguments: list[str] | None = None) -> None:
    """Run the rounds, print a table for each model, and write the JSON if --output is given."""
    began, options = time.monotonic(), _parse(arguments)
    report: dict[str, Any] = {
        "environment": describe_environment(" ".join(["benchmarks/training_speed.py", *(arguments or sys.argv[1:])])),
        "settings": {name: value for name, value in vars(options).items() if name != "output"},
        "models": {},
    }
    texts = read_texts(options.data, "train")
    for name in options.models:
        shape = SHAPES[name]
        tokens, note = tokens_of(shape, texts, options.tokenizer)
        report["models"][name] = measured = _measure(shape, tokens, options) | {"texts": note}
        print(_table(name, measured), end="\n\n", flush=True)
    report["seconds"] = time.monotonic() - began
    progress(f"took {duration(report['seconds'])}")
    if options.output:
        write_json(options.output, report)


def _measure(shape: Shape, tokens: TokenizedTexts, options: argparse.Namespace) -> dict[str, Any]:
    """All rounds of one model."""
    rates = in_own_process(arithmetic.matrix_rates, shape)
    turns = _turns(shape, tokens, options)
    sweep = _sweep(turns, options)
    best = max(sweep, key=lambda batch: sweep[batch], default=options.batch)
    for key, turn in turns.items():
        if turn.contender.larger_batch:
            turns[key] = _with_batch(turn, best, options.batch)
    results: dict[str, list[Result]] = {key: [] for key in turns}
    for number in range(options.rounds):
        for key, turn in turns.items():
            if number < turn.contender.max_rounds:
                results[key].append(in_own_process(take, replace(turn, seed=number)))
                progress(f"round {number + 1}  {key:28} {results[key][-1].examples_per_second:8.1f}")
    if options.rounds > 1:
        rates = _better(rates, in_own_process(arithmetic.matrix_rates, shape))
    return {
        "tokens_per_text": float(tokens.lengths.mean()),
        "gflops": rates,
        "sweep": sweep,
        "rows": {key: _row(turns[key], results[key], rates) for key in turns},
    }


def _turns(shape: Shape, tokens: TokenizedTexts, options: argparse.Namespace) -> dict[str, Turn]:
    """Key of the row -> its turn; each round sets the seed."""
    turns = {}
    for number, dropout in enumerate(options.dropout):
        for name in options.contenders:
            if number and not CONTENDERS[name].without_dropout:
                continue
            turns[name if not number else f"{name}, dropout {dropout:g}"] = Turn(
                shape=shape,
                contender=CONTENDERS[name],
                texts=tokens,
                batch=options.batch,
                micro_batch=options.batch,
                rank=options.rank,
                dropout=dropout,
                steps=options.steps,
                seconds=options.seconds,
                warm_up=options.warm_up,
                seed=0,
            )
    return turns


def _sweep(turns: dict[str, Turn], options: argparse.Namespace) -> dict[int, float]:
    """Batch -> examples/s of the contender that uses the best batch; empty if it does not take part."""
    turn = next((turn for turn in turns.values() if turn.contender.larger_batch), None)
    if turn is None:
        return {}
    speeds = {}
    for batch in sorted({*options.sweep, options.batch}):
        result = in_own_process(take, _with_batch(turn, batch, options.batch))
        speeds[batch] = result.examples_per_second
        progress(f"sweep  batch {batch:4} {speeds[batch]:8.1f}")
    return speeds


def _with_batch(turn: Turn, batch: int, min_step: int) -> Turn:
    """The turn with `batch` examples computed at a time, accumulated to at least `min_step` per step.

    With larger steps, fewer are timed, so that the number of examples is about the same.
    """
    step = batch * max(1, min_step // batch)
    return replace(turn, micro_batch=batch, batch=step, steps=max(3, turn.steps * min_step // step))


def _better(first: dict[str, dict[str, Any]], second: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The faster of two measurements, for each precision."""
    return {key: max(first[key], second[key], key=lambda rate: rate["best"]) for key in first}


def _row(turn: Turn, results: list[Result], rates: dict[str, dict[str, Any]]) -> dict[str, Any]:
    rank = None if turn.contender.method == "full" else turn.rank
    work = arithmetic.multiply_adds(turn.shape, turn.texts.lengths, rank=rank)
    limit = rates[turn.contender.precision]["best"] * 1e9 / (2 * work)
    speed = spread([result.examples_per_second for result in results])
    return {
        "title": turn.contender.title,
        "dropout": turn.dropout,
        "precision": turn.contender.precision,
        "batch": turn.batch,
        "micro_batch": turn.micro_batch,
        "examples_per_second": speed,
        "multiply_adds_per_example": work,
        "limit_examples_per_second": limit,
        "share_of_limit": speed["median"] / limit,
        "peak_mib": max(result.peak_mib for result in results),
        "step_peak_mib": max(result.step_peak_mib for result in results),
        "turns": [asdict(result) for result in results],
    }


def _table(name: str, measured: dict[str, Any]) -> str:
    """The results of one model as text."""
    rows = measured["rows"]
    heads = [head for head, reference in REFERENCES.items() if reference in rows]
    table = [("", "examples/s", "min", "max", *heads, "of limit", "peak MiB")]
    for dropout in dict.fromkeys(row["dropout"] for row in rows.values()):
        table.append((f"dropout {dropout:g}",))
        for row in (row for row in rows.values() if row["dropout"] == dropout):
            speed = row["examples_per_second"]
            batch = "" if row["micro_batch"] == 32 == row["batch"] else f" ({_batches(row)})"
            table.append(
                (
                    "  " + row["title"] + batch,
                    *(f"{speed[key]:.1f}" for key in ("median", "min", "max")),
                    *(_ratio(row, rows, REFERENCES[head]) for head in heads),
                    f"{row['share_of_limit']:.0%}",
                    f"{row['peak_mib']:.0f}",
                )
            )
    rates = ", ".join(
        f"{precision} {rate['best']:.0f} GFLOP/s ({rate['where']}; all layers in turn {rate['streamed']:.0f})"
        for precision, rate in measured["gflops"].items()
    )
    return (
        f"{name}: {measured['tokens_per_text']:.1f} tokens a text ({measured['texts']})\n"
        f"matrix products: {rates}\n{in_columns(table)}"
    )


def _batches(row: dict[str, Any]) -> str:
    micro, batch = row["micro_batch"], row["batch"]
    return f"batch {micro}" if micro == batch else f"batch {micro}, accumulated to {batch}"


def _ratio(row: dict[str, Any], rows: dict[str, Any], reference: str) -> str:
    """The row's speed divided by the reference's with the same dropout; empty if there is no such row."""
    other = next(
        (other for key, other in rows.items() if key.split(",")[0] == reference and other["dropout"] == row["dropout"]),
        None,
    )
    if other is None:
        return ""
    return f"{row['examples_per_second']['median'] / other['examples_per_second']['median']:.2f}"


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=sorted(SHAPES), default=list(SHAPES), metavar="MODEL")
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), metavar="NAME", help="all by default")
    parser.add_argument("--data", default="sample", help="a folder with the columns content and rating (or Google's)")
    parser.add_argument("--tokenizer", help="a folder with GPT-2's tokenizer; without it, lengths are estimated")
    parser.add_argument("--dropout", nargs="+", type=float, help="0.1 and 0 by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="timed steps per turn")
    parser.add_argument("--seconds", type=float, default=5.0, help="no step begins after this time (but two are timed)")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds of warm-up steps")
    parser.add_argument("--batch", type=int, default=32, help="examples per optimizer step")
    parser.add_argument("--sweep", nargs="*", type=int, default=[16, 64, 128], help="further batches to try")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="one short round of the main rows")
    parser.add_argument("--output", type=Path, help="a JSON file")
    options = parser.parse_args(arguments)
    if options.quick:
        for name, value in _QUICK.items():
            setattr(options, name, value)
    options.contenders = options.contenders or (_QUICK_CONTENDERS if options.quick else list(CONTENDERS))
    options.dropout = options.dropout or (_DROPOUTS[:1] if options.quick else _DROPOUTS)
    return options


if __name__ == "__main__":
    main()
