"""The machine that a run is made on: versions, processor, threads, memory."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from feathertune.errors import UserError
from feathertune.system.processor import processor_name

if TYPE_CHECKING:
    import torch

_PACKAGES = ("feathertune", "torch", "transformers", "accelerate", "tokenizers", "safetensors", "numpy", "scikit-learn")


# what torchrun and MPI's launchers set, as accelerate reads it
_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


def process_count() -> int:
    """How many processes were launched to work together, by `torchrun`, `accelerate launch` or MPI."""
    return max(1, _first_number(_SIZES, 1))


def process_rank() -> int:
    """The number of this process among them; the first, 0, prints and writes."""
    return max(0, _first_number(_RANKS, 0))


def require_one_process(command: str) -> None:
    """Raise a UserError if a command that runs in one process was launched in several."""
    if process_count() > 1:
        raise UserError(f"`{command}` runs in one process", fix="Start it without torchrun or accelerate launch.")


def launched(command: str, processes: int) -> str:
    """The command that repeats a command of ours in so many processes: by torchrun where there are several."""
    if processes == 1 or not command.startswith("feathertune "):
        return command
    here = _first_number(("LOCAL_WORLD_SIZE",), processes)
    machines = f"--nnodes {processes // here} " if here < processes else ""
    arguments = command.removeprefix("feathertune ")
    return f"torchrun {machines}--nproc_per_node {here} -m feathertune.cli {arguments}"


def describe_environment(command: str | None, processes: int = 1) -> dict[str, Any]:
    """What results were measured on: versions, machine and the command line, None from Python. JSON-ready.

    Threads are those of each of the `processes`.
    """
    import torch

    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": None if command is None else launched(command, processes),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "processor": processor_name() or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def default_device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def peak_memory_mib() -> float:
    """The peak memory of this process so far, or with CUDA that of its tensors on the device, in MiB."""
    import torch

    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated() / 2**20)
    import psutil

    info = psutil.Process().memory_info()
    if sys.platform == "win32":
        return float(info.peak_wset / 2**20)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak / (2**20 if sys.platform == "darwin" else 2**10))


def _first_number(names: tuple[str, ...], default: int) -> int:
    """The first of these environment variables that is set to a whole number."""
    values = (os.environ.get(name, "") for name in names)
    return next((int(value) for value in values if value.isdecimal()), default)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
