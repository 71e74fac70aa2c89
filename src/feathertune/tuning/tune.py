"""One search, from a recipe with a `search` section to the best recipe: trials, each a run judged on validation."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feathertune.errors import UserError
from feathertune.folders.output import stored_recipe, take_back
from feathertune.folders.run import RunFolder
from feathertune.folders.search import SearchFolder
from feathertune.recipe.files import dump_recipe, load_recipe
from feathertune.recipe.schema import Recipe
from feathertune.report.search_report import write_search_report
from feathertune.run.train import train
from feathertune.system.files import read_json, write_json, write_text
from feathertune.training.reporter import Reporter, SilentReporter
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
    space, folder = check_space(recipe), SearchFolder(Path(output))
    reporter = reporter or SilentReporter()
    _check_folder(folder, recipe)
    write_text(folder.recipe, dump_recipe(recipe))
    study = open_study(folder.study, maximize=recipe.training.best_metric != "loss", seed=recipe.training.seed)
    for number, again in give_up_interrupted(study):
        then = "" if count_done(study) >= trials else ": it is tried again" if again else " twice: others are tried"
        reporter.say(f"trial {number} was interrupted{then}")
        shutil.rmtree(folder.trial(number).path, ignore_errors=True)
    while (done := count_done(study)) < trials:
        trial = study.ask()
        values = suggest(trial, space)
        shown = ", ".join(f"{key}={value}" for key, value in values.items())
        reporter.say(f"trial {trial.number} ({done + 1} of {trials}): {shown}")
        try:
            own = trial_recipe(recipe, values)
        except UserError as error:  # each of these values is right, but not with the others
            _fail(study, trial, error, reporter)
        else:
            _try(study, trial, own, folder, reporter)
        _write(folder, study, recipe)
    result = _write(folder, study, recipe)
    if result["best"] is not None:
        write_search_report(folder.path)
    return result


def _try(study: optuna.Study, trial: optuna.Trial, recipe: Recipe, folder: SearchFolder, reporter: Reporter) -> None:
    """Run one trial and tell the study how it ended."""
    import optuna

    run, metric = folder.trial(trial.number), recipe.training.best_metric
    hears = StoppingReporter(trial, metric, reporter)
    try:
        summary = train(recipe, run.path, reporter=hears, command=f"trial {trial.number} of feathertune tune")
    except optuna.TrialPruned:
        trial.set_user_attr(WHY, "its best epoch is worse than the median of the finished trials so far")
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except UserError as error:
        if not hears.started:  # data or model: no trial would fare better
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            shutil.rmtree(run.path, ignore_errors=True)
            if not folder.result.is_file():  # the first: a recipe that was refused should not bind the next one
                names = (folder.recipe.name, folder.trials.name, *(path.name for path in folder.databases()))
                take_back(folder.path, *names)
            raise
        _fail(study, trial, error, reporter)  # it diverged
    else:
        _check_data(run, folder)
        validation = summary["after"]["validation"]
        fair = validation.get("cross_fitted") or validation  # a threshold chosen there flatters
        study.tell(trial, fair.get(metric, validation[metric]))
    for checkpoints in (run.checkpoints, run.qat_checkpoints):
        shutil.rmtree(checkpoints, ignore_errors=True)


def _fail(study: optuna.Study, trial: optuna.Trial, error: UserError, reporter: Reporter) -> None:
    """End a trial that has no value, and let the search go on."""
    import optuna

    trial.set_user_attr(WHY, error.what)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    reporter.say(f"trial {trial.number} failed: {error.what}")


def _write(folder: SearchFolder, study: optuna.Study, recipe: Recipe) -> dict[str, Any]:
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


def _check_folder(folder: SearchFolder, recipe: Recipe) -> None:
    """Refuse a folder that holds anything but this very search. Raises UserError."""
    stored = stored_recipe(folder.path, "search")
    if stored is not None and stored != recipe:
        raise UserError(
            "what is in this folder was made with another recipe or another search",
            where=str(folder.path),
            fix="Go on with its recipe.yaml, or give another --output.",
        )


def _check_data(run: RunFolder, folder: SearchFolder) -> None:
    """Raise a UserError where the data is not that of the first trial, so that values cannot be compared."""
    first = min(path for path in folder.trials.iterdir() if RunFolder(path).data.is_file())
    if read_json(RunFolder(first).data)["origin"] != read_json(run.data)["origin"]:
        raise UserError("the data has changed since the search began", where=str(run.path), fix="Tune in a new folder.")
