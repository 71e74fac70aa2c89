"""The processor of this machine and its features, read from /proc/cpuinfo; empty on systems other than Linux."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


@cache
def processor_flags() -> frozenset[str]:
    """The features of the processor, by their names in Linux."""
    return frozenset(_entry("flags").split() + _entry("Features").split())


@cache
def processor_vendor() -> str:
    """Such as `AuthenticAMD` or `GenuineIntel`."""
    return _entry("vendor_id")


def processor_name() -> str:
    """Such as `Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz`."""
    return _entry("model name")


def _entry(name: str) -> str:
    """The entry of the first processor with this name; empty if there is none."""
    if not _CPUINFO.is_file():
        return ""
    for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
