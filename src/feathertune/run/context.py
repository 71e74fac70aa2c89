"""What the steps of one call to `train` share."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

import torch

from feathertune.folders.run import RunFolder
from feathertune.model.peft_files import TENSORS
from feathertune.recipe.old_names import OLD_KEYS
from feathertune.recipe.schema import Recipe
from feathertune.run.prepare import PreparedRun
from feathertune.system.files import sha256
from feathertune.system.machine import default_device, peak_memory_mib
from feathertune.training.reporter import Reporter


@dataclass(frozen=True)
class RunContext:
    """Where a run writes, who it reports progress to, and the processes that it runs in.

    Attributes:
        run: the run folder.
        accelerator: accelerate's `Accelerator`.
        reporter: receives the progress.
        resume: whether to continue from a checkpoint.
    """

    run: RunFolder
    accelerator: Any
    reporter: Reporter
    resume: bool

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes files."""
        return bool(self.accelerator.is_main_process)

    def peak_memory_mib(self) -> float:
        """The sum of the processes' peaks so far. Every process must call this."""
        own = torch.tensor(peak_memory_mib(), dtype=torch.float64, device=self.accelerator.device)
        return float(self.accelerator.reduce(own))

    def fingerprint(self, prepared: PreparedRun) -> str:
        """What a checkpoint must have in common with the run that resumes it."""
        return fingerprint(prepared, self.accelerator.num_processes)


def fingerprint(prepared: PreparedRun, num_processes: int) -> str:
    """A hash of everything that determines the trained weights: recipe, base, data, precision, processes, start."""
    origin = json.dumps(prepared.dataset.origin, sort_keys=True, default=str)
    parts = [recipe_text(prepared.recipe), json.dumps(prepared.base_checksums, sort_keys=True), origin]
    # earlier versions gave each process a whole batch: such a run cannot continue in steps of another size
    processes = "1" if num_processes == 1 else f"{num_processes} sharing each batch"
    parts += [processes, prepared.precision.precision]
    if prepared.start is not None:  # it may have been trained again, in the same folder
        parts.append(sha256(prepared.start.adapter / TENSORS))
    if prepared.retokenized:  # a checkpoint of an earlier version was made with other tokens
        parts.append("tokenizer.json, tokenizer.ggml.pre")
    if prepared.recipe.model.special_tokens_in_text == "text" and any(prepared.special_token_texts.values()):
        parts.append("special tokens in texts are text")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def recipe_text(recipe: Recipe) -> str:
    """The recipe in a fingerprint: the same in all versions, so that a later one can resume a run.

    Defaults are left out, so that new keys change nothing, and renamed keys have their old names.
    """
    left_out = {"model": {"special_tokens_in_text"}}  # see `fingerprint`: it matters only where a text has one
    text = recipe.model_dump_json(exclude_defaults=True, exclude=left_out)
    for old, new in OLD_KEYS.items():
        text = text.replace(f'"{new}":', f'"{old}":').replace(f'.{new}":', f'.{old}":')  # sections; dotted in search
    methods = re.compile(r'"methods":\[[^\]]*\]')
    text = methods.sub(lambda found: found[0].replace('"bag_of_words"', '"words"'), text)
    return text.replace('"training":"ptq"', '"training":"none"')


def open_accelerator() -> Any:
    """The accelerator of this process, on the device that all other commands use."""
    from accelerate import Accelerator
    from accelerate.utils import GradientAccumulationPlugin

    # The loop accumulates gradients itself, whatever `accelerate config` says. The device is set because accelerate
    # would choose Apple's GPU, which has no float64 and is not tested.
    return Accelerator(
        cpu=default_device().type == "cpu",
        mixed_precision="no",
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
    )
