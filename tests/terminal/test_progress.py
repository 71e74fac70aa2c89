"""The progress of a training: lines in a file, a bar on a terminal."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from feathertune.terminal import progress
from feathertune.terminal.progress import ConsoleReporter
from feathertune.training.reporter import Reporter, SilentReporter
from short_training import metrics


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The reporter's clock: `clock.now`, in seconds."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def report_ten_steps(reporter: Reporter, clock: SimpleNamespace, done: int = 0) -> None:
    reporter.start(total_steps=20, done_steps=done)
    for step in range(done + 1, done + 11):
        clock.now += 8.0
        reporter.step(step, 1 / step, 123.4)
    reporter.epoch(1, 0.75, metrics(0.5, accuracy=0.875, f1=0.8), best=True)
    reporter.stop()


def test_lines_without_a_terminal(clock: SimpleNamespace) -> None:
    out = io.StringIO()
    report_ten_steps(ConsoleReporter(Console(file=out, width=40)), clock)
    lines = out.getvalue().splitlines()
    assert lines == [  # every 15 seconds or so, however narrow the console
        "step 2/20  loss 0.5000  123 examples/s  2 min 24 s left",
        "step 4/20  loss 0.2500  123 examples/s  2 min 8 s left",
        "step 6/20  loss 0.1667  123 examples/s  1 min 52 s left",
        "step 8/20  loss 0.1250  123 examples/s  1 min 36 s left",
        "step 10/20  loss 0.1000  123 examples/s  1 min 20 s left",
        "epoch 1  train loss 0.7500  validation loss 0.5000  accuracy 87.50%  F1 80.00%  (best so far)",
    ]


def test_the_time_left_of_a_resumed_run_counts_its_own_steps(clock: SimpleNamespace) -> None:
    out = io.StringIO()
    report_ten_steps(ConsoleReporter(Console(file=out)), clock, done=10)
    assert out.getvalue().startswith("step 12/20  loss 0.0833  123 examples/s  1 min 4 s left\n")


def test_a_bar_on_a_terminal(clock: SimpleNamespace) -> None:
    out = io.StringIO()
    reporter = ConsoleReporter(Console(file=out, force_terminal=True, width=100, _environ={}))
    report_ten_steps(reporter, clock)
    shown = out.getvalue()
    for part in ("training", "10/20", "loss 0.100", "123 examples/s", "epoch 1  train loss 0.7500"):
        assert part in shown
    reporter.stop()  # a second time does no harm


def test_silence(capfd: pytest.CaptureFixture[str], clock: SimpleNamespace) -> None:
    report_ten_steps(SilentReporter(), clock)
    assert capfd.readouterr() == ("", "")
