"""How many cores a process may use: its affinity, and the quota of its container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CGROUPS, _MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> int:
    """The processor's cores that this process may use, and at most the whole cores of its quota; at least one.

    Threads beyond the quota do not compute more: the system stops all of them for the rest of each period.

    Args:
        cgroups: where Linux shows control groups.
        membership: the file that says which group the process is in.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(cgroups, membership)
    return cores if quota is None else max(1, min(cores, int(quota)))


def cpu_quota(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> float | None:
    """The smallest quota, in cores, of the process's control group and those around it; None if there is none."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            quotas += [_version_2(folder) for folder in _around(cgroups, path)]
        elif "cpu" in controllers.split(","):
            quotas += [_version_1(folder) for folder in _around(cgroups / "cpu", path)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _around(root: Path, path: str) -> Iterator[Path]:
    """The group at `path`, and those around it. In a container the root is often its own group, whatever `path` is."""
    folder = root / path.lstrip("/")
    while folder != root and root in folder.parents:
        yield folder
        folder = folder.parent
    yield root


def _version_2(folder: Path) -> float | None:
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    return None


def _version_1(folder: Path) -> float | None:
    with suppress(OSError, ValueError):
        quota = int((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
        return quota / period if quota > 0 else None
    return None
