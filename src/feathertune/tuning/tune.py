"""One search, from a recipe with a `search` section to the best recipe: trials, each a run judged on validation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feathertune.data.columns import with_columns
from feathertune.errors import UserError
from feathertune.folders.inputs import DataRecord
from feathertune.folders.output import stored_recipe, take_back
from feathertune.folders.run import RunFolder
from feathertune.folders.search import BestTrial, Search, SearchFolder
from feathertune.recipe.files import dump_recipe, load_recipe
from feathertune.recipe.schema import Recipe
from feathertune.report.search_report import write_search_report
from feathertune.run.train import train_run
from feathertune.system.files import write_text
from feathertune.system.machine import require_one_process
from feathertune.system.temporary import remove_left_in
from feathertune.training.reporter import Reporter, SilentReporter
from feathertune.tuning.space import check_space, suggest, trial_recipe
from feathertune.tuning.study import (
    REASON,
    PruningReporter,
    close_interrupted,
    count_done,
    describe_trials,
    importances,
    open_study,
    require_optuna,
)

if TYPE_CHECKING:
    import optuna


def tune(recipe: Recipe, output: Path | str, *, trials: int = 20, reporter: Reporter | None = None) -> dict[str, Any]:
    """`run_search`, returning the content of tune.json as plain dicts and lists."""
    return run_search(recipe, output, trials=trials, reporter=reporter).to_json()


def run_search(recipe: Recipe, output: Path | str, *, trials: int = 20, reporter: Reporter | None = None) -> Search:
    """Search for the best recipe by `training.best_metric` on validation; the test split is not even read.

    A second call with the same folder continues, up to `trials` trials of all calls together.

    Raises:
        UserError: optuna is missing, the search section is missing or not allowed, the folder holds something else or
            another search, the data changed, or a trial could not begin.
    """
    require_optuna()
    require_one_process("tune")
    space, folder = check_space(recipe), SearchFolder(Path(output))
    reporter = reporter or SilentReporter()
    recipe = with_columns(recipe, reporter.say)
    _check_folder(folder, recipe)
    remove_left_in(folder.path)
    write_text(folder.recipe, dump_recipe(recipe))
    study = open_study(folder.study, maximize=recipe.training.best_metric != "loss", seed=recipe.training.seed)
    for number, again in close_interrupted(study):
        then = "" if count_done(study) >= trials else ": retrying" if again else " twice: trying other values"
        reporter.say(f"trial {number} was interrupted{then}")
        shutil.rmtree(folder.trial(number).path, ignore_errors=True)
    while (done := count_done(study)) < trials:
        trial = study.ask()
        values = suggest(trial, space)
        shown = ", ".join(f"{key}={value}" for key, value in values.items())
        reporter.say(f"trial {trial.number} ({done + 1} of {trials}): {shown}")
        try:
            changed = trial_recipe(recipe, values)
        except UserError as error:  # each of these values is valid, but not together with the others
            _fail(study, trial, error, reporter)
        else:
            _try(study, trial, changed, folder, reporter)
        _write(folder, study, recipe)
    search = _write(folder, study, recipe)
    if search.best is not None:
        write_search_report(folder.path)
    return search


def _try(study: optuna.Study, trial: optuna.Trial, recipe: Recipe, folder: SearchFolder, reporter: Reporter) -> None:
    """Run one trial and report its outcome to the study."""
    import optuna

    run, metric = folder.trial(trial.number), recipe.training.best_metric
    pruning = PruningReporter(trial, metric, reporter)
    try:
        summary = train_run(recipe, run.path, reporter=pruning, command=f"trial {trial.number} of feathertune tune")
    except optuna.TrialPruned:
        trial.set_user_attr(REASON, "its best epoch is worse than the median of the finished trials so far")
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except UserError as error:
        if not pruning.started:  # data or model: every trial would fail
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            shutil.rmtree(run.path, ignore_errors=True)
            if not folder.result.is_file():  # the first trial: the folder must accept a corrected recipe
                names = (folder.recipe.name, folder.trials.name, *(path.name for path in folder.databases()))
                take_back(folder.path, *names)
            raise
        _fail(study, trial, error, reporter)  # it diverged
    else:
        _check_data(run, folder)
        # a threshold or temperature chosen on validation would bias the value
        study.tell(trial, summary.after["validation"].prefer_cross_fitted().value(metric))
    for checkpoints in (run.checkpoints, run.qat_checkpoints):
        shutil.rmtree(checkpoints, ignore_errors=True)


def _fail(study: optuna.Study, trial: optuna.Trial, error: UserError, reporter: Reporter) -> None:
    """End a trial that has no value; the search continues."""
    import optuna

    trial.set_user_attr(REASON, error.what)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    reporter.say(f"trial {trial.number} failed: {error.what}")


def _write(folder: SearchFolder, study: optuna.Study, recipe: Recipe) -> Search:
    """Write tune.json and best.yaml with the results so far."""
    trials = tuple(
        trial.model_copy(update={"run": f"trials/{folder.trial(trial.number).path.name}"})
        for trial in describe_trials(study)
    )
    complete = sum(trial.state == "complete" for trial in trials)
    search = Search(
        metric=recipe.training.best_metric,
        split="validation",
        maximized=recipe.training.best_metric != "loss",
        search=recipe.model_dump(mode="json")["search"],
        trials=trials,
        best=None,
        importances=importances(study),
        note=f"The best of {complete} trials on validation, so its value there is optimistic. No test split was read.",
    )
    if search.ranked:
        first = search.ranked[0]
        assert first.value is not None  # it is complete
        best = BestTrial(number=first.number, value=first.value, params=first.params, run=first.run)
        search = search.model_copy(update={"best": best})
        chosen = load_recipe(folder.trial(best.number).recipe)
        chosen = chosen.model_copy(update={"data": recipe.data.model_copy(update={"label": chosen.data.label})})
        write_text(folder.best, dump_recipe(chosen))
    search.write(folder.result)
    return search


def _check_folder(folder: SearchFolder, recipe: Recipe) -> None:
    """Raise a UserError if the folder holds anything but this search."""
    stored = stored_recipe(folder.path, "search")
    if stored is not None and stored != recipe:
        raise UserError(
            "the search in this folder was made with another recipe or another `search` section",
            where=str(folder.path),
            fix="Continue it with its recipe.yaml, or give another --output.",
        )


def _check_data(run: RunFolder, folder: SearchFolder) -> None:
    """Raise a UserError if the data is not that of the first trial, because then values cannot be compared."""
    first = min(path for path in folder.trials.iterdir() if RunFolder(path).data.is_file())
    if DataRecord.read(RunFolder(first).data).origin != DataRecord.read(run.data).origin:
        raise UserError("the data has changed since the search began", where=str(run.path), fix="Tune in a new folder.")
