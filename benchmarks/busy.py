"""Training beside other processes: how much of its idle speed is left, for PEFT + Trainer and for Feathertune.

    python benchmarks/busy.py --models minilm --output busy.json
    python benchmarks/busy.py --baseline ANOTHER_CHECKOUT

The other processes, none, one and two of them, compute without a pause. The contenders take turns, each in a process
of its own, so that each finds OpenMP as it would find it in use: how threads wait is read when torch is loaded.
`--baseline` adds Feathertune of another checkout. Shapes, texts and settings are those of training_speed.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from feathertune.system.files import write_json
from feathertune.system.machine import describe_environment
from measuring import in_columns, progress, spread

ROOT = Path(__file__).resolve().parents[1]
_BUSY = "while True: pass"
_WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")  # of this process, which has imported feathertune


def main(arguments: list[str] | None = None) -> None:
    """Run the rounds, and print a table for each model."""
    options = _parse(arguments)
    command = " ".join(["benchmarks/busy.py", *(arguments or sys.argv[1:])])
    report: dict[str, Any] = {"environment": describe_environment(command), "models": {}}
    for model in options.models:
        report["models"][model] = measured = _measure(model, options)
        print(f"{model}, examples/s, and the share of the idle speed\n{_table(measured, options.others)}\n", flush=True)
    if options.output:
        write_json(options.output, report)


def _measure(model: str, options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Contender -> number of other processes -> examples/s of each round."""
    places = {"PEFT + Trainer": ROOT, "Feathertune": ROOT}
    if options.baseline:
        places["Feathertune, baseline"] = options.baseline.resolve()
    speeds: dict[str, dict[str, list[float]]] = {name: {str(count): [] for count in options.others} for name in places}
    for _ in range(options.rounds):
        for count in options.others:
            with busy(count):
                for name, place in places.items():
                    speed = _turn(name, place, model, options)
                    speeds[name][str(count)].append(speed)
                    progress(f"{count} others  {name:24} {speed:8.1f}")
    return speeds


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that compute without a pause."""
    others = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def _turn(name: str, place: Path, model: str, options: argparse.Namespace) -> float:
    contender = "peft" if name.startswith("PEFT") else f"lora-{options.precision}"
    settings = {"model": model, "contender": contender, "data": options.data, "seconds": options.seconds}
    paths = os.pathsep.join(str(place / folder) for folder in ("src", "benchmarks"))
    program = ROOT / "benchmarks" / "busy_turn.py"
    done = subprocess.run(
        [sys.executable, program, json.dumps(settings)],
        env={name: value for name, value in os.environ.items() if name not in _WAITING} | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr}")
    return float(done.stdout.splitlines()[-1])


def _table(measured: dict[str, dict[str, list[float]]], others: list[int]) -> str:
    heads = [part for count in others for part in (f"{count} others", "share")]
    rows = [("", *heads)]
    for name, speeds in measured.items():
        medians = {count: spread(speeds[str(count)])["median"] for count in others}
        idle = medians[others[0]]
        cells = [part for count in others for part in (f"{medians[count]:.1f}", f"{medians[count] / idle:.2f}")]
        rows.append((name, *cells))
    return in_columns(rows)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["minilm"], metavar="MODEL", help="of training_speed.py")
    parser.add_argument("--others", nargs="+", type=int, default=[0, 1, 2], help="numbers of other processes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of timed steps in a turn")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--data", default="sample", help="a folder with the columns content and rating")
    parser.add_argument("--baseline", type=Path, help="another checkout")
    parser.add_argument("--output", type=Path, help="a JSON file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
