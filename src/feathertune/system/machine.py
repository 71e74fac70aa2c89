"""The machine that a run is made on: versions, processor, threads, memory."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from feathertune.system.processor import processor_name

if TYPE_CHECKING:
    import torch

_PACKAGES = ("feathertune", "torch", "transformers", "accelerate", "tokenizers", "safetensors", "numpy", "scikit-learn")


def describe_environment(command: str | None) -> dict[str, Any]:
    """What results were measured on: versions, machine and the command line, None from Python. JSON-ready."""
    import torch

    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "processor": processor_name() or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
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


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
