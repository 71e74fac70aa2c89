"""Whole searches in miniature."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from feathertune.data.columns import with_columns
from feathertune.errors import UserError
from feathertune.folders.search import Search, SearchFolder, Trial
from feathertune.folders.summary import Summary
from feathertune.recipe.files import dump_recipe, load_recipe, parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.run.train import train, train_run
from feathertune.system.files import write_text
from feathertune.terminal.search_table import trials_table
from feathertune.training.reporter import SilentReporter
from feathertune.tuning import tune as tuning
from feathertune.tuning.study import (
    PruningReporter,
    close_interrupted,
    describe_trials,
    importances,
    open_study,
)
from feathertune.tuning.tune import tune
from tiny import save_tiny_base, write_tiny_data

optuna = pytest.importorskip("optuna", reason="the extra `tune` is not installed")

RATES = "{training.learning_rate: {low: 1.0e-4, high: 0.1, log: true}, lora.rank: [2, 4]}"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    save_tiny_base(folder / "base")
    write_tiny_data(folder / "data", train=48, validation=24, test=8)
    return folder


def recipe_of(inputs: Path, search: str = RATES, *changes: str) -> Recipe:
    text = f"""
    model: {{source: '{inputs / "base"}'}}
    data: {{source: '{inputs / "data"}'}}
    lora: {{rank: 4, targets: all-linear}}
    training: {{epochs: 2, batch_size: 16, precision: fp32}}
    search: {search}
    """
    return parse_recipe(text, list(changes), where="here")


def test_a_search_is_resumed_judged_on_validation_and_leaves_the_best_recipe(inputs: Path, tmp_path: Path) -> None:
    recipe, folder = recipe_of(inputs, RATES, "training.best_metric=loss"), SearchFolder(tmp_path / "tuned")
    first = tune(recipe, folder.path, trials=3)
    assert [trial["number"] for trial in first["trials"]] == [0, 1, 2]
    result = tune(recipe, folder.path, trials=7)
    assert {"format": 2} | result == json.loads(folder.result.read_text())
    assert result["trials"][:3] == first["trials"], "what is done is kept"
    assert len({json.dumps(trial["params"]) for trial in result["trials"]}) == 7, "nothing is proposed twice"
    values = {}
    for trial in result["trials"]:
        run = folder.path / trial["run"]
        assert not (run / "checkpoints").exists()
        assert load_recipe(run / "recipe.yaml").training.learning_rate == trial["params"]["training.learning_rate"]
        if trial["state"] == "complete":
            summary = json.loads((run / "summary.json").read_text())
            assert set(summary["after"]) == {"validation"}
            values[trial["number"]] = summary["after"]["validation"]["loss"]
            assert trial["value"] == values[trial["number"]] == min(trial["epochs"].values())
    assert len(values) >= 5, "the first five are never stopped"
    best = result["best"]
    assert best["value"] == min(values.values())
    assert sum(result["importances"].values()) == pytest.approx(1)
    chosen = load_recipe(folder.best)
    assert (chosen.training.learning_rate, chosen.lora.rank) == tuple(best["params"].values())
    assert (chosen.search, chosen.data.test) == (None, True)
    again = train(chosen, tmp_path / "again")
    assert again["after"]["validation"]["loss"] == best["value"]
    from rich.console import Console

    with (tmp_path / "shown.txt").open("w", encoding="utf-8") as file:
        Console(width=100, file=file).print(trials_table(Search.read(folder.result)))
    assert f"{best['value']:.4f}" in (tmp_path / "shown.txt").read_text(encoding="utf-8")


def test_an_interrupted_trial_is_tried_again(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, folder = recipe_of(inputs), SearchFolder(tmp_path / "tuned")

    def interrupted(recipe: Recipe, output: Path, **options: Any) -> Summary:
        if output.name == "trial-0001":
            raise KeyboardInterrupt
        return train_run(recipe, output, **options)

    monkeypatch.setattr(tuning, "train_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(recipe, folder.path, trials=3)
    monkeypatch.undo()
    lines: list[str] = []
    monkeypatch.setattr(SilentReporter, "say", lambda _, line: lines.append(line))
    tune(recipe, folder.path, trials=1)  # there is one already
    assert lines == ["note: text: 'text', label: 'label'", "trial 1 was interrupted"]
    result = tune(recipe, folder.path, trials=3)
    assert [trial["state"] for trial in result["trials"]] == ["complete", "interrupted", "complete", "complete"]
    assert result["trials"][2]["params"] == result["trials"][1]["params"]
    straight = tune(recipe, tmp_path / "straight", trials=3)["trials"]
    ended = [trial for trial in result["trials"] if trial["state"] == "complete"]
    assert [(trial["params"], trial["value"]) for trial in ended] == [
        (trial["params"], trial["value"]) for trial in straight
    ]
    assert not folder.trial(1).path.exists()


def test_a_trial_that_is_killed_twice_does_not_hold_up_the_search(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.db", maximize=True, seed=0)
    killed = study.ask()
    values = {"rate": killed.suggest_float("rate", 0.0, 1.0)}
    assert close_interrupted(study) == [(0, True)]
    again = study.ask()
    assert again.suggest_float("rate", 0.0, 1.0) == values["rate"]
    assert close_interrupted(study) == [(1, False)]
    assert study.ask().suggest_float("rate", 0.0, 1.0) != values["rate"]


def test_a_study_of_an_earlier_version_has_its_keys_by_their_names_of_today(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.db", maximize=True, seed=0)

    def make_trials(key: str, values: range) -> None:
        for value in values:
            trial = study.ask()
            trial.suggest_float(key, 0.0, 0.5)
            trial.suggest_categorical("lora.rank", [4, 8])
            study.tell(trial, float(value))

    make_trials("training.warmup", range(4))
    assert set(importances(study)) == {"training.warmup_ratio", "lora.rank"}
    make_trials("training.warmup_ratio", range(4, 8))
    assert {tuple(trial.params) for trial in describe_trials(study)} == {("training.warmup_ratio", "lora.rank")}
    assert importances(study) == {}, "Optuna would take the shares of the keys that all trials have for the whole"


def test_values_that_do_not_go_together_fail_and_the_search_continues(inputs: Path, tmp_path: Path) -> None:
    search = "{method: [lora, qat], quantize.training: [none, qat]}"  # LoRA alone has no second training
    recipe = recipe_of(inputs, search, "method=qat", "quantize={training: none}", "training.epochs=1")
    result = tune(recipe, tmp_path / "tuned", trials=6)
    states = {tuple(trial["params"].values()): trial["state"] for trial in result["trials"]}
    assert set(states.values()) == {"complete", "failed"}
    reasons = {trial["reason"] for trial in result["trials"] if trial["state"] == "failed"}
    assert reasons
    assert None not in reasons


def test_a_search_that_was_killed_before_its_first_trial_continues(inputs: Path, tmp_path: Path) -> None:
    recipe, folder = recipe_of(inputs, RATES, "training.epochs=1"), SearchFolder(tmp_path / "tuned")
    write_text(folder.recipe, dump_recipe(with_columns(recipe)))
    assert tune(recipe, folder.path, trials=1)["best"] is not None


def test_a_trial_that_diverges_fails_and_the_search_continues(inputs: Path, tmp_path: Path) -> None:
    result = tune(
        recipe_of(inputs, "{training.learning_rate: [0.01, 1.0e+30]}", "training.max_grad_norm=null"),
        tmp_path / "tuned",
        trials=6,
    )
    states = {trial["params"]["training.learning_rate"]: trial["state"] for trial in result["trials"]}
    assert states == {0.01: "complete", 1e30: "failed"}
    assert {trial["reason"] for trial in result["trials"] if trial["state"] == "failed"} != {None}
    assert result["best"]["params"]["training.learning_rate"] == 0.01


def test_a_trial_below_the_median_is_stopped_at_that_epoch_which_is_recorded(inputs: Path, tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.db", maximize=True, seed=0)
    for _ in range(5):
        trial = study.ask()
        trial.report(2.0, 1)  # no accuracy reaches that
        study.tell(trial, 2.0)
    recipe = recipe_of(inputs).model_copy(update={"search": None})
    reporter = PruningReporter(study.ask(), "accuracy", SilentReporter())
    with pytest.raises(optuna.TrialPruned):
        train(recipe, tmp_path / "run", reporter=reporter)
    log = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in log if entry["event"] == "epoch"] == [1]
    assert not (tmp_path / "run" / "summary.json").exists()


def test_what_is_wrong_from_the_start_ends_the_search_and_can_be_fixed(inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'query'"):
        tune(recipe_of(inputs, RATES, "lora.targets=[qery]"), tmp_path / "tuned", trials=2)
    assert not (tmp_path / "tuned").exists()


def test_another_search_and_other_data_are_refused(inputs: Path, tmp_path: Path) -> None:
    write_tiny_data(tmp_path / "data", train=48, validation=24)
    recipe = recipe_of(inputs, RATES, f"data.source={tmp_path / 'data'}", "training.epochs=1")
    tune(recipe, tmp_path / "tuned", trials=1)
    for change in ("training.batch_size=8", "search={lora.rank: [2, 8]}"):
        other = recipe_of(inputs, RATES, f"data.source={tmp_path / 'data'}", "training.epochs=1", change)
        with pytest.raises(UserError, match="another recipe or another `search` section"):
            tune(other, tmp_path / "tuned", trials=2)
    with pytest.raises(UserError, match="holds no search"):
        tune(recipe, tmp_path / "data", trials=1)
    with (tmp_path / "data" / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "one more cat", "label": "yes"}\n')
    with pytest.raises(UserError, match="the data has changed"):
        tune(recipe, tmp_path / "tuned", trials=2)


def test_without_optuna_there_is_one_clear_error(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'feathertune\[tune\]'"):
        tune(recipe_of(inputs), tmp_path / "tuned", trials=1)
    assert not (tmp_path / "tuned").exists()


def search_by_formula(path: Path, trials: int, killed: tuple[int, ...] = ()) -> list[Trial]:
    """A search over a formula, pruned now and then; the process ends in the attempts `killed`, and another one begins.

    Returns the trials that ended.
    """
    study = open_study(path, maximize=False, seed=3)
    while sum(trial.state != "interrupted" for trial in describe_trials(study)) < trials:
        trial = study.ask()
        rate = trial.suggest_float("training.learning_rate", 1e-4, 1e-1, log=True)
        if trial.number not in killed:
            loss = abs(rate - 0.01) + abs(trial.suggest_int("lora.rank", 1, 64) - 8) / 64
        if trial.number not in killed or trial.number % 2:  # otherwise it ends with half of its values
            trial.report(rate, 1)
        if trial.number in killed:
            study = open_study(path, maximize=False, seed=3)
            assert close_interrupted(study) == [(trial.number, True)]
            continue
        pruned = trial.should_prune()
        study.tell(trial, None if pruned else loss, state=optuna.trial.TrialState.PRUNED if pruned else None)
    return [trial for trial in describe_trials(study) if trial.state != "interrupted"]


def test_an_interrupted_search_tries_what_an_uninterrupted_one_does(tmp_path: Path) -> None:
    """Beyond the first ten trials, which are random, and with a pruner that has something to compare with."""
    straight = search_by_formula(tmp_path / "straight.db", 16)
    assert {trial.state for trial in straight} == {"complete", "pruned"}
    assert len({json.dumps(trial.params) for trial in straight}) == 16
    for trials in (1, 11, 13):  # one call after the other
        search_by_formula(tmp_path / "parts.db", trials)
    for other in (
        search_by_formula(tmp_path / "parts.db", 16),
        search_by_formula(tmp_path / "killed.db", 16, killed=(0, 5, 14, 17)),
    ):
        assert [(trial.params, trial.state, trial.value) for trial in other] == [
            (trial.params, trial.state, trial.value) for trial in straight
        ]


def test_values_that_are_given_up_are_not_those_of_the_next_trials(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.db", maximize=True, seed=0)
    seen = []
    for attempts in (True, False, True, False):
        seen.append(study.ask().suggest_float("rate", 0.0, 1.0))
        assert close_interrupted(study) == [(len(seen) - 1, attempts)]
    assert seen[0] == seen[1] != seen[2] == seen[3]
