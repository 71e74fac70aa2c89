"""What this machine's processor is and can do, as Linux tells; nothing elsewhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


@cache
def processor_flags() -> frozenset[str]:
    """What the processor can do, as Linux names it; empty elsewhere."""
    return frozenset(_entry("flags").split() + _entry("Features").split())


@cache
def processor_vendor() -> str:
    """`AuthenticAMD`, `GenuineIntel`, ...; empty where Linux does not tell."""
    return _entry("vendor_id")


def processor_name() -> str:
    """Such as `Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz`; empty where Linux does not tell."""
    return _entry("model name")


def _entry(name: str) -> str:
    """The first processor's entry of that name, or nothing."""
    if not _CPUINFO.is_file():
        return ""
    for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
