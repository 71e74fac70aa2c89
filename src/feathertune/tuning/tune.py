"""One search, from a recipe with a `search` section to the best recipe: trials, each a run judged on validation."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feathertune.errors import UserError
from feathertune.files import read_json, write_json, write_text
from feathertune.recipe import Recipe
from feathertune.recipe_file import dump_recipe, load_recipe
from feathertune.report.search_report import write_search_report
from feathertune.run import train
from feathertune.run_folder import RunFolder, TuningFolder
from feathertune.training.progress import Reporter, SilentReporter
from feathertune.tuning.space import check_space, suggest, trial_recipe
from feathertune.tuning.study import (
    WHY,
    StoppingReporter,
    count_done,
    describe_trials,
    give_up_interrupted,
    importances,
    open_study,
    require_optuna,
)

if TYPE_CHECKING:
    import optuna


def tune(recipe: Recipe, output: Path | str, *, trials: int = 20, reporter: Reporter | None = None) -> dict[str, Any]:
    """Search for the best recipe, by `training.best_metric` on validation; a test split is not even read.

    Called again with the same folder it goes on, up to `trials` trials together.

    Returns:
        The content of tune.json: metric, maximized, search, trials (see `describe_trials`, with `run`), best (number,
        value, params), importances (key -> share), note.

    Raises:
        UserError: optuna is missing, nothing or something forbidden is searched, the folder holds something else or
            another search, the data changed, or a trial could not begin.
    """
    require_optuna()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("`tune` runs in one process", fix="Start it without torchrun or accelerate launch.")
    space, folder = check_space(recipe), TuningFolder(Path(output))
    reporter = reporter or SilentReporter()
    _check_folder(folder, recipe)
    write_text(folder.recipe, dump_recipe(recipe))
    study = open_study(folder.study, maximize=recipe.training.best_metric != "loss", seed=recipe.training.seed)
    for number in give_up_interrupted(study):
        again = ": it is tried again" if count_done(study) < trials else ""
        reporter.say(f"trial {number} was interrupted{again}")
        shutil.rmtree(folder.trial(number).path, ignore_errors=True)
    while (done := count_done(study)) < trials:
        trial = study.ask()
        values = suggest(trial, space)
        shown = ", ".join(f"{key}={value}" for key, value in values.items())
        reporter.say(f"trial {trial.number} ({done + 1} of {trials}): {shown}")
        _try(study, trial, trial_recipe(recipe, values), folder, reporter)
        _write(folder, study, recipe)
    result = _write(folder, study, recipe)
    if result["best"] is not None:
        write_search_report(folder.path)
    return result


def _try(study: optuna.Study, trial: optuna.Trial, recipe: Recipe, folder: TuningFolder, reporter: Reporter) -> None:
    """Run one trial and tell the study how it ended."""
    import optuna

    run, metric = folder.trial(trial.number), recipe.training.best_metric
    hears = StoppingReporter(trial, metric, reporter)
    try:
        summary = train(recipe, run.path, reporter=hears, command=f"trial {trial.number} of feathertune tune")
    except optuna.TrialPruned:
        trial.set_user_attr(WHY, "worse than the median of the other trials at this epoch")
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except UserError as error:
        if not hears.started:  # data or model: no trial would fare better
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            shutil.rmtree(run.path, ignore_errors=True)
            if not folder.result.is_file():  # the first: a recipe that was refused should not bind the next one
                shutil.rmtree(folder.path)
            raise
        trial.set_user_attr(WHY, error.what)  # it diverged
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        reporter.say(f"trial {trial.number} failed: {error.what}")
    else:
        _check_data(run, folder)
        validation = summary["after"]["validation"]
        fair = validation.get("cross_fitted") or validation  # a threshold chosen there flatters
        study.tell(trial, fair.get(metric, validation[metric]))
    for checkpoints in (run.checkpoints, run.qat_checkpoints):
        shutil.rmtree(checkpoints, ignore_errors=True)


def _write(folder: TuningFolder, study: optuna.Study, recipe: Recipe) -> dict[str, Any]:
    """tune.json and best.yaml of what there is so far."""
    trials = [trial | {"run": f"trials/{folder.trial(trial['number']).path.name}"} for trial in describe_trials(study)]
    complete = [trial for trial in trials if trial["state"] == "complete"]
    maximized = recipe.training.best_metric != "loss"
    best = max(complete, key=lambda trial: trial["value"] if maximized else -trial["value"], default=None)
    result = {
        "metric": recipe.training.best_metric,
        "split": "validation",
        "maximized": maximized,
        "search": recipe.model_dump(mode="json")["search"],
        "trials": trials,
        "best": None if best is None else {key: best[key] for key in ("number", "value", "params", "run")},
        "importances": importances(study),
        "note": f"The best of {len(complete)} trials on validation, so its value there is too good. No test split was "
        "read.",
    }
    if best is not None:
        chosen = load_recipe(folder.path / best["run"] / "recipe.yaml")
        chosen = chosen.model_copy(update={"data": recipe.data.model_copy(update={"label": chosen.data.label})})
        write_text(folder.best, dump_recipe(chosen))
    write_json(folder.result, result)
    return result


def _check_folder(folder: TuningFolder, recipe: Recipe) -> None:
    """Refuse a folder that holds anything but this very search. Raises UserError."""
    path = folder.path
    if path.exists() and not path.is_dir():
        raise UserError("the output is a file, not a folder", where=str(path))
    if folder.recipe.is_file():
        if not folder.study.is_file() or load_recipe(folder.recipe) != recipe:
            raise UserError(
                "what is in this folder was made with another recipe or another search",
                where=str(path),
                fix="Go on with its recipe.yaml, or give another --output.",
            )
    elif path.is_dir() and any(path.iterdir()):
        raise UserError("the output folder is not empty and holds no search", where=str(path), fix="Give another one.")


def _check_data(run: RunFolder, folder: TuningFolder) -> None:
    """Raise a UserError where the data is not that of the first trial, so that values cannot be compared."""
    first = min(path for path in folder.trials.iterdir() if RunFolder(path).data.is_file())
    if read_json(RunFolder(first).data)["origin"] != read_json(run.data)["origin"]:
        raise UserError("the data has changed since the search began", where=str(run.path), fix="Tune in a new folder.")
