"""The benchmark of training, on a tiny model: the table is complete and its figures are consistent."""

import json
from pathlib import Path

import pytest

import shapes
import training_speed
from measuring import StepClock
from tiny import random_texts, tiny_config
from turns import CONTENDERS, Turn

TINY = shapes.Shape(
    "gpt2",
    {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 60_000},
    ("c_attn", "c_proj"),
    ("c_attn",),
    {"c_attn": 2 / 3},
)


@pytest.fixture
def tiny_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shapes.SHAPES, "tiny", TINY)


@pytest.mark.slow
def test_every_contender_has_its_row(
    tiny_shape: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "speeds.json"
    short = ["--rounds", "1", "--steps", "2", "--seconds", "1", "--warm-up", "0.1", "--batch", "8", "--sweep", "4"]
    training_speed.main(["--models", "tiny", *short, "--output", str(output)])
    rows = json.loads(output.read_text())["models"]["tiny"]["rows"]
    again = {f"{name}, dropout 0" for name, contender in CONTENDERS.items() if contender.without_dropout}
    assert set(rows) == {*CONTENDERS, *again}
    table = capsys.readouterr().out
    for row in rows.values():
        assert row["title"] in table
        assert row["examples_per_second"]["min"] <= row["examples_per_second"]["median"]
        assert row["examples_per_second"]["median"] > 0
        assert row["batch"] >= 8
        assert row["peak_mib"] >= row["step_peak_mib"] > row["turns"][0]["imports_mib"] / 2
    assert "lengths estimated from words" in table  # no tokenizer was given


def test_quick_runs_the_main_rows(tiny_shape: None, capsys: pytest.CaptureFixture[str]) -> None:
    training_speed.main(["--models", "tiny", "--quick", "--contenders", "lora-bf16", "--batch", "4"])
    assert "Feathertune, bf16" in capsys.readouterr().out


@pytest.mark.parametrize("seed", [0, 1])
def test_a_few_grouped_batches_are_representative(seed: int) -> None:
    texts = random_texts([3 + index % 30 for index in range(4000)])
    turn = Turn(TINY, CONTENDERS["peft-flags"], texts, 32, 32, 8, 0.1, 6, 1.0, 1.0, seed)
    pool = turn.pool()
    order = turn.order(pool).reshape(-1, 32)
    padded = pool.lengths[order].max(axis=1)
    assert len(set(order[:12].reshape(-1).tolist())) == 12 * 32  # other batches when the parts are visited again
    for begin in (0, 5, 17):
        assert padded[begin : begin + 6].mean() == pytest.approx(17.5, abs=2.5)
    assert (padded - pool.lengths[order].min(axis=1)).max() <= 4


def test_random_batches_are_those_of_our_loop() -> None:
    from feathertune.tokens.order import training_steps

    texts = random_texts([5] * 40)
    turn = Turn(TINY, CONTENDERS["peft"], texts, 8, 8, 8, 0.1, 2, 1.0, 1.0, 3)
    pool = turn.pool()
    first = training_steps(len(pool), 8, seed=3, epoch=1)[0]
    assert turn.order(pool)[:8].tolist() == first.tolist()
    assert len(pool) >= turn.clock().max_steps * 8


def test_the_clock_excludes_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("measuring.time.perf_counter", lambda: now[0])

    def turn_of(clock: StepClock, step: float) -> list[float]:
        clock.start()
        over = False
        while not over:
            now[0] += step
            over = clock.tick()
        return clock.timed

    assert turn_of(StepClock(steps=4, seconds=100, warm_up=3), 1.0) == [1.0] * 4
    assert now[0] == 3 + 4
    assert len(turn_of(StepClock(steps=100, seconds=5, warm_up=0), 2.0)) == 3
    assert len(turn_of(StepClock(steps=100, seconds=5, warm_up=0), 11.0)) == 1
    assert len(turn_of(StepClock(steps=1, seconds=5, warm_up=0), 1.0)) == 2


def test_without_dropout_the_model_has_none_either() -> None:
    config = TINY.config(0.0)
    assert config.attn_pdrop == config.resid_pdrop == config.embd_pdrop == 0
    assert TINY.config(0.1).attn_pdrop == tiny_config("gpt2").attn_pdrop > 0
