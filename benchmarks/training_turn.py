"""Runs one turn of training_speed.py, in the process that calls `take`."""

from __future__ import annotations

from measuring import peak_mib, quieten
from turns import Result, Turn


def take(turn: Turn) -> Result:
    """Train for one turn. Only the contender's own trainer is imported."""
    quieten()
    imports_mib, clock = peak_mib(), turn.clock()
    if turn.contender.side == "trainer":
        from peft_trainer import train
    else:
        from our_trainer import train
    train(turn, clock)
    return Result(
        examples_per_second=len(clock.timed) * turn.batch / sum(clock.timed),
        steps=len(clock.timed),
        peak_mib=max(clock.peak_before_mib, peak_mib()),
        step_peak_mib=peak_mib(),
        imports_mib=imports_mib,
    )
