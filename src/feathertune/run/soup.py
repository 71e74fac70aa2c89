"""Several adapters trained, seed after seed, and averaged into one: an ensemble at the price of a single model.

Fine-tuned from one start, models stay so near each other that the mean of their weights answers much as the mean of
their answers (Wortsman et al. 2022, 'Model soups', arXiv:2203.05482). The mean of W + s B A over LoRA's adapters is a
LoRA update again, of as many times the rank. So that they have one start, all begin with the first one's new head.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from feathertune.errors import UserError
from feathertune.folders.run import RunFolder
from feathertune.model.adapt import LoraShape, copy_trained
from feathertune.model.peft_files import read_adapter
from feathertune.recipe.schema import Recipe
from feathertune.run.prepare import PreparedRun, free, rebuild
from feathertune.run.stages import (
    RunContext,
    fingerprint,
    first_training,
    save_weights,
)
from feathertune.system.files import read_json, write_json
from feathertune.training.checkpoint import Progress, check_fingerprint, latest_checkpoint
from feathertune.training.loop import Outcome


@dataclass(frozen=True)
class Member:
    """One adapter of an ensemble, trained.

    Attributes:
        seed: of its factors, order and dropout; not of its head.
        epochs, best_epoch, stopped_early: as of any training.
        value, loss: of its best epoch on validation: `training.best_metric`, and the loss in nats.
        train_seconds, examples_seen: of training steps alone.
    """

    seed: int
    epochs: int
    best_epoch: int
    stopped_early: bool
    value: float | None
    loss: float | None
    train_seconds: float
    examples_seen: int


def train_soup(session: RunContext, job: PreparedRun) -> tuple[PreparedRun, Outcome, list[dict[str, Any]]]:
    """Train the members that `lora.members` asks for, each into `members/seed-N/`; those that are there are kept.

    Returns:
        The job with the averaged model, in float32; what training cost in all; the members, JSON-ready.

    Raises:
        UserError: a member in the folder was made with another recipe, other data or another base.
    """
    free(job.classifier)
    members, states = [], []
    for seed in _seeds(job.recipe):
        folder = session.run.member(seed)
        members.append(_member(session, job, seed, folder))
        states.append(read_adapter(folder.adapter))
    assert job.lora is not None
    shape = averaged_shape(job.lora, len(states))
    classifier = rebuild(job, shape, job.recipe.training.seed)
    copy_trained(average(states), classifier)
    job = replace(job, classifier=classifier, lora=shape)
    progress = Progress(
        epoch=max(member.epochs for member in members),
        train_seconds=sum(member.train_seconds for member in members),
        examples_seen=sum(member.examples_seen for member in members),
    )
    outcome = Outcome(progress, stopped_early=any(member.stopped_early for member in members))
    return job, outcome, [asdict(member) for member in members]


def check_members(session: RunContext, job: PreparedRun) -> bool:
    """Whether any member was begun. Raises UserError where one is another run's."""
    begun = False
    for seed in _seeds(job.recipe):
        folder, mark = session.run.member(seed), _mark(session, job, seed)
        if folder.summary.is_file():
            _read_member(folder, mark)
        elif (checkpoint := latest_checkpoint(folder.checkpoints)) is not None:
            check_fingerprint(checkpoint, mark)
        begun = begun or folder.path.is_dir()
    return begun


def averaged_shape(shape: LoraShape, members: int) -> LoraShape:
    """The shape of the mean of so many adapters of `shape`, which are laid side by side: s' = s / members."""
    alpha = shape.alpha / members**0.5 if shape.rslora else shape.alpha
    return replace(shape, rank=members * shape.rank, alpha=alpha)


def average(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """What the mean of M adapters holds, for `averaged_shape`: A [M * R, I], B [O, M * R], the head's mean."""
    averaged = {}
    for name in states[0]:
        tensors = [state[name] for state in states]
        if name.endswith(".lora_A"):
            averaged[name] = torch.cat(tensors, dim=0)
        elif name.endswith(".lora_B"):
            averaged[name] = torch.cat(tensors, dim=1)
        else:
            averaged[name] = torch.stack(tensors).mean(0)
    return averaged


def _member(session: RunContext, job: PreparedRun, seed: int, folder: RunFolder) -> Member:
    """Train the adapter of one seed, or read that it was trained."""
    recipe, mark = member_recipe(job.recipe, seed), _mark(session, job, seed)
    if session.resume and folder.summary.is_file():
        return _read_member(folder, mark)
    seeds = _seeds(job.recipe)
    session.reporter.say(f"adapter {seeds.index(seed) + 1} of {len(seeds)}, seed {seed}")
    job = replace(job, recipe=recipe, classifier=rebuild(job, job.lora, seed))
    outcome = first_training(session, job, folder)
    progress = outcome.progress
    member = Member(
        seed=seed,
        epochs=progress.epoch,
        best_epoch=progress.best_epoch,
        stopped_early=outcome.stopped_early,
        value=progress.best_value,
        loss=progress.best_loss,
        train_seconds=progress.train_seconds,
        examples_seen=progress.examples_seen,
    )
    if session.writes:
        save_weights(folder, job)
        write_json(folder.summary, {"fingerprint": mark, "member": asdict(member)})  # last: a member that is whole
    session.accelerator.wait_for_everyone()
    free(job.classifier)
    return member


def _seeds(recipe: Recipe) -> range:
    return range(recipe.training.seed, recipe.training.seed + recipe.lora.members)


def _mark(session: RunContext, job: PreparedRun, seed: int) -> str:
    """What a member must have in common with the run that goes on from it."""
    return fingerprint(replace(job, recipe=member_recipe(job.recipe, seed)), session.accelerator.num_processes)


def member_recipe(recipe: Recipe, seed: int) -> Recipe:
    """The recipe of one member: of this seed, and alone."""
    return recipe.model_copy(
        update={
            "lora": recipe.lora.model_copy(update={"members": 1}),
            "training": recipe.training.model_copy(update={"seed": seed}),
        }
    )


def _read_member(folder: RunFolder, mark: str) -> Member:
    stored = read_json(folder.summary)
    if stored["fingerprint"] != mark:
        raise UserError(
            "this adapter was trained with another recipe, other data or another base model",
            where=str(folder.path),
            fix="Resume with the recipe the run was started with, or train into another folder.",
        )
    return Member(**stored["member"])
