"""A model soup: several adapters are trained, one seed after the other, and averaged into one.

Models fine-tuned from the same start stay so close that the mean of their weights predicts much like the mean of their
predictions, at the price of a single model (Wortsman et al. 2022, 'Model soups', arXiv:2203.05482). The mean of the
updates s B A is again a LoRA update, whose rank is the sum of the ranks. All members start with the same head, since
heads that are initialized differently have no useful mean.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from feathertune.errors import UserError
from feathertune.folders.record import Record
from feathertune.folders.run import RunFolder
from feathertune.folders.summary import SoupMember
from feathertune.model.adapt import LoraShape, copy_trained
from feathertune.model.peft_files import read_adapter
from feathertune.recipe.schema import Recipe
from feathertune.run.build import free
from feathertune.run.context import RunContext
from feathertune.run.prepare import PreparedRun
from feathertune.run.stages import save_weights, train_first
from feathertune.training.checkpoint import Progress, check_fingerprint, latest_checkpoint
from feathertune.training.loop import Outcome


class MemberRecord(Record):
    """The content of members/seed-N/summary.json; `fingerprint` ties it to its run."""

    fingerprint: str
    member: SoupMember


def train_soup(context: RunContext, prepared: PreparedRun) -> tuple[PreparedRun, Outcome, tuple[SoupMember, ...]]:
    """Train `lora.members` members, each into `members/seed-N/`, and average them. Finished members are kept.

    Returns:
        The run with the averaged model, in float32; the cost of all trainings together; the members.

    Raises:
        UserError: a finished member was trained with another recipe, other data or another base.
    """
    free(prepared.classifier)
    members, states = [], []
    for seed in _seeds(prepared.recipe):
        folder = context.run.member(seed)
        members.append(_train_member(context, prepared, seed, folder))
        states.append(read_adapter(folder.adapter))
    assert prepared.lora is not None
    shape = averaged_shape(prepared.lora, len(states))
    classifier, _ = prepared.builder.build(shape)
    copy_trained(average(states), classifier)
    progress = Progress(
        epoch=max(member.epochs for member in members),
        train_seconds=sum(member.train_seconds for member in members),
        examples_seen=sum(member.examples_seen for member in members),
    )
    outcome = Outcome(progress, stopped_early=any(member.stopped_early for member in members))
    return replace(prepared, classifier=classifier, lora=shape), outcome, tuple(members)


def check_members(context: RunContext, prepared: PreparedRun) -> bool:
    """Whether the training of any member was started. Raises UserError if it belongs to another run."""
    started = False
    for seed in _seeds(prepared.recipe):
        folder, fingerprint = context.run.member(seed), _fingerprint(context, prepared, seed)
        if folder.summary.is_file():
            _read_member(folder, fingerprint)
        elif (checkpoint := latest_checkpoint(folder.checkpoints)) is not None:
            check_fingerprint(checkpoint, fingerprint)
        started = started or folder.path.is_dir()
    return started


def averaged_shape(shape: LoraShape, members: int) -> LoraShape:
    """The shape of the mean of `members` adapters of the same shape, stacked along the rank: s' = s / members."""
    alpha = shape.alpha / members**0.5 if shape.rslora else shape.alpha
    return replace(shape, rank=members * shape.rank, alpha=alpha)


def average(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The tensors of the mean of M adapters, for `averaged_shape`: A [M * R, I], B [O, M * R], and the head's mean."""
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


def member_recipe(recipe: Recipe, seed: int) -> Recipe:
    """The recipe of one member: a single adapter with this seed."""
    return recipe.model_copy(
        update={
            "lora": recipe.lora.model_copy(update={"members": 1}),
            "training": recipe.training.model_copy(update={"seed": seed}),
        }
    )


def _train_member(context: RunContext, prepared: PreparedRun, seed: int, folder: RunFolder) -> SoupMember:
    """Train the adapter of one seed, or read the result if it is finished."""
    fingerprint, seeds = _fingerprint(context, prepared, seed), _seeds(prepared.recipe)
    if context.resume and folder.summary.is_file():
        return _read_member(folder, fingerprint)
    context.reporter.say(f"adapter {seeds.index(seed) + 1} of {len(seeds)}, seed {seed}")
    classifier, _ = prepared.builder.build(prepared.lora, seed)
    prepared = replace(prepared, recipe=member_recipe(prepared.recipe, seed), classifier=classifier)
    outcome = train_first(context, prepared, folder)
    progress = outcome.progress
    member = SoupMember(
        seed=seed,
        epochs=progress.epoch,
        best_epoch=progress.best_epoch,
        stopped_early=outcome.stopped_early,
        value=progress.best_value,
        loss=progress.best_loss,
        train_seconds=progress.train_seconds,
        examples_seen=progress.examples_seen,
    )
    if context.writes:
        save_weights(folder, prepared)
        MemberRecord(fingerprint=fingerprint, member=member).write(folder.summary)  # last: now the member is finished
    context.accelerator.wait_for_everyone()
    free(classifier)
    return member


def _read_member(folder: RunFolder, fingerprint: str) -> SoupMember:
    record = MemberRecord.read(folder.summary)
    if record.fingerprint != fingerprint:
        raise UserError(
            "this adapter was trained with another recipe, other data, another base model or another number of "
            "processes",
            where=str(folder.path),
            fix="Resume with the recipe and the number of processes that it was started with, or train into another "
            "folder.",
        )
    return record.member


def _seeds(recipe: Recipe) -> range:
    return range(recipe.training.seed, recipe.training.seed + recipe.lora.members)


def _fingerprint(context: RunContext, prepared: PreparedRun, seed: int) -> str:
    """The fingerprint of one member's training."""
    return context.fingerprint(replace(prepared, recipe=member_recipe(prepared.recipe, seed)))
