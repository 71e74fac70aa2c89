"""Optuna's study in a SQLite file: its trials, its proposals, and the importance of each key.

Except for `tuning.tune`, no other module uses Optuna.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from feathertune.errors import UserError
from feathertune.folders.metrics import Metrics
from feathertune.folders.search import Trial
from feathertune.recipe.old_names import new_key
from feathertune.training.reporter import Reporter

if TYPE_CHECKING:
    import optuna

ATTEMPTS = 2  # so often the values of an interrupted trial are tried
UNPRUNED_TRIALS = 5  # pruning begins after these: a median of fewer is not reliable
INTERRUPTED, REASON = "interrupted", "reason"
_STUDY = "feathertune"


def require_optuna() -> None:
    """Raise a UserError if the extra `tune` is not installed."""
    try:
        import optuna
    except ImportError:
        raise UserError("tuning needs optuna, which is not installed", fix="pip install 'feathertune[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_study(path: Path, *, maximize: bool, seed: int) -> optuna.Study:
    """The study in the file `path`; the file is created if it does not exist.

    Proposals come from TPE (Bergstra et al. 2011), seeded for every trial anew (see `_resumable_sampler`), so that a
    study that was interrupted proposes what it would have proposed otherwise. A trial is pruned at an epoch if its best
    epoch so far is worse than the median of the finished trials at that epoch.
    """
    import optuna

    study = optuna.create_study(
        study_name=_STUDY,
        storage=f"sqlite:///{path}",
        direction="maximize" if maximize else "minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS),
        load_if_exists=True,
    )
    study.sampler = _resumable_sampler(seed)
    return study


def close_interrupted(study: optuna.Study) -> list[tuple[int, bool]]:
    """Close the trials that were left running when the process ended; their values are proposed once more.

    Values that were interrupted twice are not: if they run out of memory, for example, no search could pass them.
    Returns (number, whether it is tried again) for each trial.
    """
    import optuna

    closed = []
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        closed.append((trial.number, _place(describe_trials(study))[1] > 0))
    return closed


def _resumable_sampler(seed: int) -> optuna.samplers.BaseSampler:
    """TPE whose proposals are a function of `seed` and of the trials that ended, so that nothing else need be stored.

    A sampler's random state lives as long as its process. So each trial gets a sampler of its own, seeded by its place:
    how many trials ended before it, not counting interrupted ones, which TPE and pruner do not consider either. Its
    repetition has the same place, and so the same values. Values that were given up, since they were interrupted twice,
    count as a place: otherwise they would be proposed again.
    """
    import optuna

    class ByPlace(optuna.samplers.BaseSampler):
        def __init__(self) -> None:
            self._own: optuna.samplers.BaseSampler = optuna.samplers.TPESampler(seed=seed)

        def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            state = np.random.SeedSequence([seed, _place(describe_trials(study))[0]]).generate_state(1)
            self._own = optuna.samplers.TPESampler(seed=int(state[0]))
            self._own.before_trial(study, trial)

        def infer_relative_search_space(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
            return self._own.infer_relative_search_space(study, trial)

        def sample_relative(
            self, study: optuna.Study, trial: optuna.trial.FrozenTrial, search_space: dict[str, Any]
        ) -> dict[str, Any]:
            return self._own.sample_relative(study, trial, search_space)

        def sample_independent(
            self, study: optuna.Study, trial: optuna.trial.FrozenTrial, param_name: str, param_distribution: Any
        ) -> Any:
            return self._own.sample_independent(study, trial, param_name, param_distribution)

    return ByPlace()


def _place(trials: list[Trial]) -> tuple[int, int]:
    """The place of the trial after these, and how often it was begun and interrupted: 0 or 1."""
    place, begun = 0, 0
    for trial in trials:
        begun = begun + 1 if trial.state == INTERRUPTED else ATTEMPTS
        if begun == ATTEMPTS:
            place, begun = place + 1, 0
    return place, begun


def count_done(study: optuna.Study) -> int:
    """The number of trials that were not interrupted: complete, pruned or failed."""
    return sum(trial.state != INTERRUPTED for trial in describe_trials(study))


def describe_trials(study: optuna.Study) -> list[Trial]:
    """The trials that have begun, in order, without their run folders."""
    import optuna

    trials = []
    for trial in study.get_trials(deepcopy=False):
        state = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}.get(trial.state.name)
        if trial.state == optuna.trial.TrialState.FAIL and REASON not in trial.user_attrs:
            state = INTERRUPTED
        if state is None:  # waiting in the queue
            continue
        trials.append(
            Trial(
                number=trial.number,
                state=state,
                value=trial.value if state == "complete" else None,
                params=_params(trial),
                epochs={str(epoch): value for epoch, value in sorted(trial.intermediate_values.items())},
                seconds=None if trial.duration is None else trial.duration.total_seconds(),
                reason=trial.user_attrs.get(REASON),
            )
        )
    return trials


def importances(study: optuna.Study) -> dict[str, float]:
    """Key -> the share of the variation between complete trials that it explains, by fANOVA (Hutter et al. 2014).

    Empty if fewer than two trials differ in value or in settings, or if an earlier version made some of them with other
    names of keys: Optuna would consider only the keys that all trials share.
    """
    import optuna

    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,), deepcopy=False)
    if len({frozenset(trial.params) for trial in complete}) > 1:
        return {}
    if len({trial.value for trial in complete}) < 2 or not any(
        len({str(trial.params.get(key)) for trial in complete}) > 1 for key in complete[0].params
    ):
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {new_key(key): float(share) for key, share in shares.items()}


def _params(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """Key -> value. Studies of earlier versions have keys by their old names."""
    return {new_key(key): value for key, value in trial.params.items()}


class PruningReporter:
    """Passes everything on, reports the metric of each epoch to Optuna, and raises TrialPruned to stop the trial.

    Attributes:
        started: whether training has begun: errors before that concern every trial, later ones only this trial.
    """

    def __init__(self, trial: optuna.Trial, metric: str, inner: Reporter) -> None:
        self._trial, self._metric, self._inner = trial, metric, inner
        self._epochs = 0  # of all trainings of the run together: QAT has two
        self.started = False

    def say(self, line: str) -> None:
        """Pass on."""
        self._inner.say(line)

    def start(self, total_steps: int, done_steps: int) -> None:
        """Pass on."""
        self.started = True
        self._inner.start(total_steps, done_steps)

    def step(self, step: int, loss: float, examples_per_second: float) -> None:
        """Pass on."""
        self._inner.step(step, loss, examples_per_second)

    def epoch(self, epoch: int, train_loss: float, validation: Metrics, best: bool) -> None:
        """Pass on, report the metric, and stop the trial if it should be pruned."""
        import optuna

        self._inner.epoch(epoch, train_loss, validation, best)
        self._epochs += 1
        value = validation.value(self._metric)
        if value is None:
            raise UserError(f"{self._metric} is undefined on validation", where="training.best_metric")
        self._trial.report(value, self._epochs)
        if self._trial.should_prune():
            raise optuna.TrialPruned

    def stop(self) -> None:
        """Pass on."""
        self._inner.stop()
