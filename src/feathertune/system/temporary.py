"""Temporary files and folders of ours: their names, and removing those that a killed process left behind.

Everything is written next to its final place under a name that no other program gives,
`.NAME.feathertune-XXXXXXXX.tmp`, and then renamed. SIGKILL or a power cut leaves such a file. Whoever writes to the
same place next removes it, unless a living process holds it (`held`).
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, which does not remove or rename open files
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".tmp"
MAX_NAME = 48  # characters: at most 192 bytes, which leaves room for the rest of a name of 255
_OURS = re.compile(r"\..+\.feathertune-[a-z0-9_]{8}\.tmp")
# Earlier versions had no mark in the names. Only those that they wrote first, or that are large, are recognized.
_OLD = re.compile(r"\.((recipe\.yaml|metrics\.jsonl|best(-epoch-\d+)?\.safetensors)\.[a-z0-9_]{8}|step-\d{6,})\.tmp")


def temporary_file(path: Path) -> Path:
    """Create an empty file for what will become `path`, in the same folder."""
    handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=SUFFIX, dir=path.parent)
    os.close(handle)
    return Path(name)


def temporary_folder(path: Path) -> Path:
    """Create an empty folder for what will become `path`, in the same folder."""
    return Path(tempfile.mkdtemp(prefix=_prefix(path), suffix=SUFFIX, dir=path.parent))


@contextmanager
def held(temporary: Path) -> Iterator[None]:
    """Mark a temporary file or folder as in use; the mark ends with the process, however that ends.

    Where the system has no such locks, nothing is marked.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(temporary, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def is_temporary(path: Path) -> bool:
    """Whether this is the name of a temporary file or folder of ours."""
    return bool(_OURS.fullmatch(path.name) or _OLD.fullmatch(path.name))


def is_new(folder: Path) -> bool:
    """Whether the folder does not exist, or holds nothing but our own temporary files."""
    return not folder.exists() or (folder.is_dir() and all(map(is_temporary, folder.iterdir())))


def remove_left_in(folder: Path) -> None:
    """Remove what killed processes left anywhere in a folder of ours; it need not exist."""
    for parent, folders, files in os.walk(folder):  # links are not followed
        for name in [*folders, *files]:
            if is_temporary(path := Path(parent, name)):
                _remove(path)
        folders[:] = [name for name in folders if Path(parent, name).is_dir()]


def remove_left_beside(path: Path) -> None:
    """Remove what killed processes left that would have become `path`."""
    if not path.parent.is_dir():
        return
    prefix = _prefix(path)
    for entry in path.parent.iterdir():
        if entry.name.startswith(prefix) and len(entry.name) == len(prefix) + 8 + len(SUFFIX):
            _remove(entry)


def _prefix(path: Path) -> str:
    return f".{path.name[:MAX_NAME]}.feathertune-"


def _remove(path: Path) -> None:
    """Remove a temporary file or folder that nobody holds. What cannot be removed stays: it is in nobody's way."""
    with suppress(OSError):
        if path.is_symlink() or _is_held(path):
            return
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _is_held(path: Path) -> bool:
    if fcntl is None:
        return False
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False
