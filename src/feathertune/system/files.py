"""Files: written so that a crash leaves the old file or the new one and never a part; checksums, safe paths."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from feathertune.errors import UserError
from feathertune.system.temporary import held, remove_left_beside, temporary_file


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; on success, flush it to disk and rename it to `path`.

    On an exception the temporary file is removed and `path` stays as it was. A kill leaves it: see `system.temporary`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left_beside(path)
    temporary = temporary_file(path)
    try:
        with held(temporary):
            yield temporary
        with temporary.open("r+b") as file:  # writable, since Windows flushes no other files
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~file_mask())  # mkstemp creates private files, but run folders are shared
        temporary.replace(path)
        fsync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path` atomically. NaN and infinity are refused: JSON has neither."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises UserError if it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError("the file is missing", where=str(path)) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"not valid JSON: {error}", where=str(path)) from None


def fsync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename survives a power cut, if the system supports it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def expanded(path: str) -> Path:
    """The path with a leading ~ or ~name expanded, if there is such a user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def contained_path(folder: Path, name: str) -> Path:
    """`folder / name` with links resolved. Raises UserError if it lies outside `folder`."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise UserError(f"the path {name!r} leads out of {folder}", fix="Name a file inside the folder.")
    return path


def file_mask() -> int:
    """The umask of this process: the permissions that new files do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
