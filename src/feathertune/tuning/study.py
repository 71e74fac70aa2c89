"""Optuna's study in a SQLite file: what it has tried, what it proposes next, and what it makes of it.

The one module that knows Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feathertune.errors import UserError
from feathertune.training.reporter import Reporter

if TYPE_CHECKING:
    import optuna

STARTED_WITH = 5  # trials that none is stopped before: a median of fewer says little
INTERRUPTED, WHY = "interrupted", "reason"
_STUDY = "feathertune"


def require_optuna() -> None:
    """Raise a UserError where the extra `tune` is not installed."""
    try:
        import optuna
    except ImportError:
        raise UserError("tuning needs optuna, which is not installed", fix="pip install 'feathertune[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_study(path: Path, *, maximize: bool, seed: int) -> optuna.Study:
    """The study in the file `path`, made where there is none.

    Proposals come from TPE (Bergstra et al. 2011), seeded by `seed` and how many trials there are: a resumed study
    does not propose its first points again. A trial is stopped at an epoch where its best one so far is worse than
    the median of the finished trials at that epoch.
    """
    import optuna

    study = optuna.create_study(
        study_name=_STUDY,
        storage=f"sqlite:///{path}",
        direction="maximize" if maximize else "minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTED_WITH),
        load_if_exists=True,
    )
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    return study


def give_up_interrupted(study: optuna.Study) -> list[tuple[int, bool]]:
    """End the trials that a kill left open, and put what they tried first in the queue, unless that is its second time.

    What was killed twice with the same values, as for want of memory, would end every call. Returns the numbers of the
    trials, and whether each is tried again.
    """
    import optuna

    found = []
    killed = [trial["params"] for trial in describe_trials(study) if trial["state"] == INTERRUPTED]
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        again = trial.params not in killed
        if again and trial.params:
            study.enqueue_trial(trial.params)
        found.append((trial.number, again))
    return found


def count_done(study: optuna.Study) -> int:
    """Trials that came to an end of their own: finished, stopped early, or diverged."""
    return sum(trial["state"] != INTERRUPTED for trial in describe_trials(study))


def describe_trials(study: optuna.Study) -> list[dict[str, Any]]:
    """JSON-ready: number, state, value, params, epochs (epoch -> value), seconds, reason.

    `state` is complete, pruned, failed (it diverged) or interrupted; `reason` says why, where it is not complete.
    `seconds` is the whole trial's, with loading and evaluating.
    """
    import optuna

    found = []
    for trial in study.get_trials(deepcopy=False):
        state = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}.get(trial.state.name)
        if trial.state == optuna.trial.TrialState.FAIL and WHY not in trial.user_attrs:
            state = INTERRUPTED
        if state is None:  # waiting in the queue
            continue
        found.append(
            {
                "number": trial.number,
                "state": state,
                "value": trial.value if state == "complete" else None,
                "params": dict(trial.params),
                "epochs": {str(epoch): value for epoch, value in sorted(trial.intermediate_values.items())},
                "seconds": None if trial.duration is None else trial.duration.total_seconds(),
                "reason": trial.user_attrs.get(WHY),
            }
        )
    return found


def importances(study: optuna.Study) -> dict[str, float]:
    """Each key's share of what the value varies by among the complete trials, by fANOVA (Hutter et al. 2014).

    Empty where there are too few trials to tell, or all came to the same.
    """
    import optuna

    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,), deepcopy=False)
    if len({trial.value for trial in complete}) < 2 or not any(
        len({str(trial.params[key]) for trial in complete}) > 1 for key in complete[0].params
    ):
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {key: float(share) for key, share in found.items()}


class StoppingReporter:
    """Tells Optuna each epoch's value, and raises its TrialPruned where it says to stop; else passes on.

    Attributes:
        started: whether training has begun, so that an error is the trial's and not the whole search's.
    """

    def __init__(self, trial: optuna.Trial, metric: str, inner: Reporter) -> None:
        self._trial, self._metric, self._inner = trial, metric, inner
        self._epochs = 0  # of all trainings of the run together: qat has two
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

    def epoch(self, epoch: int, train_loss: float, validation: Mapping[str, Any], best: bool) -> None:
        """Pass on, report, and stop the trial if it should be."""
        import optuna

        self._inner.epoch(epoch, train_loss, dict(validation), best)
        self._epochs += 1
        value = validation[self._metric]
        if value is None:
            raise UserError(f"{self._metric} is undefined on validation", where="training.best_metric")
        self._trial.report(value, self._epochs)
        if self._trial.should_prune():
            raise optuna.TrialPruned

    def stop(self) -> None:
        """Pass on."""
        self._inner.stop()
