"""Opening a data source by its name: the rows of each split, and a commit or checksums that pin them.

A source is `sample` (included in Feathertune), a folder, a file, or a Hub dataset id. A name that exists on disk is
never a Hub id. Data from the Hub is pinned to a commit, and no code from it is ever executed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from feathertune.data.formats.arrow_rows import BATCH_ROWS, rows_of_batch
from feathertune.data.formats.format import FileSettings, Table
from feathertune.data.formats.opening import DATA_SUFFIXES, open_file
from feathertune.data.formats.split_names import SPLITS, split_of
from feathertune.data.layouts import open_layout
from feathertune.data.rows import BadRow, Row
from feathertune.data.split_column import by_split_column
from feathertune.errors import UserError, in_short
from feathertune.recipe.schema import DataSection
from feathertune.system.files import expanded, sha256

SAMPLE_FOLDER = Path(__file__).parent / "sample"
MANY_FILES = 100
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)  # owner/name, or the bare name of an old dataset
_KINDS = ", ".join(sorted(DATA_SUFFIXES))


def file_settings(section: DataSection) -> FileSettings:
    """What a recipe says about its files."""
    return FileSettings(**{field.name: getattr(section, field.name) for field in fields(FileSettings)})


@dataclass(frozen=True)
class Source:
    """Split name (train, validation, test) -> split; `origin` pins the source; `notes` are for the user."""

    splits: dict[str, Table]
    origin: dict[str, object]
    notes: tuple[str, ...] = ()


def open_source(source: str, revision: str | None = None, settings: FileSettings = FileSettings()) -> Source:  # noqa: B008  # immutable
    """Open `source`, whatever it is. `revision` is only for a Hub id, `settings` only for files.

    Raises:
        UserError: it cannot be read; the message says what was tried.
    """
    path = SAMPLE_FOLDER if source == "sample" else expanded(source)
    if not path.exists() and _looks_like_hub_id(source):
        return _open_hub(source, revision)
    if revision is not None:
        raise UserError("a revision belongs to a Hub dataset id, not to local files", where="data.revision")
    if path.is_dir():
        return _open_folder(path, settings)
    if path.is_file():
        tables = open_file(path, settings).tables
        if set(tables) == {"train"}:
            tables = by_split_column(tables["train"])
        elif "train" not in tables:
            raise UserError(f"the file has no train split, only {', '.join(tables)}", where=source)
        splits = {split: tables[split] for split in SPLITS if split in tables}
        return Source(splits, {"files": {path.name: sha256(path)}})
    raise UserError(
        "there is no such file or folder, and it is not a Hub dataset id (owner/name) either",
        where=source,
        fix=f"Give a folder, a file ({_KINDS}), a Hub dataset id, or `sample`.",
    )


def _open_folder(folder: Path, settings: FileSettings) -> Source:
    layout = open_layout(folder, settings)
    return Source(layout.tables, {"files": _checksums(folder, layout.files)}, tuple(layout.notes))


def _checksums(folder: Path, files: Sequence[Path]) -> dict[str, str]:
    """Name -> sha256 of the files; of many, one sha256 over all names and checksums."""
    each = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
    if len(each) <= MANY_FILES:
        return each
    together = "".join(f"{name} {digest}\n" for name, digest in sorted(each.items()))
    return {f"{len(each):,} files": hashlib.sha256(together.encode()).hexdigest()}


def _open_hub(hub_id: str, revision: str | None) -> Source:
    """The train, validation and test splits of a Hub dataset at one commit. Other splits are ignored."""
    hub_id, commit = _resolve(hub_id, revision)
    tables = _download(hub_id, commit)
    splits: dict[str, Table] = {}
    notes = []
    for name in tables:
        split = split_of(str(name))
        if split is None or split in splits:
            notes.append(f"the Hub's split {name!r} is not used")
        elif split == "test" and _is_unlabelled(tables[name]):
            notes.append("the Hub's test split has no labels (all are -1) and is not used")
        else:
            splits[split] = _hub_split(hub_id, str(name), tables[name])
    if "train" not in splits:
        raise UserError(f"the dataset has no train split, only {', '.join(map(str, tables))}", where=hub_id)
    splits = {split: splits[split] for split in SPLITS if split in splits}
    return Source(splits, {"revision": commit}, tuple(notes))


def _hub_split(hub_id: str, name: str, table: Any) -> Table:
    """One `datasets.Dataset` as a split; the integers of a ClassLabel become its names."""
    place = f"{hub_id}/{name}"
    class_names = _class_names(table)

    def read(_: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        first = 1
        # The arrow format returns the stored values, so that no image or audio file is decoded.
        for batch in table.with_format("arrow").iter(BATCH_ROWS):
            for row in rows_of_batch(batch, place, first):
                if isinstance(row, Row):
                    for column, names in class_names.items():
                        row.fields[column] = _class_name(row.fields[column], names)
                yield row
            first += batch.num_rows

    return Table(place=place, name=name, read=read, fixed_columns=True)


def _class_names(table: Any) -> dict[str, list[str]]:
    """Column -> class names, for each ClassLabel."""
    from datasets import ClassLabel

    return {column: feature.names for column, feature in table.features.items() if isinstance(feature, ClassLabel)}


def _is_unlabelled(table: Any) -> bool:
    """Whether all labels are -1, as in the test splits of many benchmarks."""
    columns = list(_class_names(table))
    values = table.select_columns(columns).with_format("arrow")[:]
    return bool(columns) and all(pc.max(values.column(column)).as_py() == -1 for column in columns)


def _class_name(value: object, names: list[str]) -> str | None:
    """The class name of a ClassLabel's integer; None for -1, which stands for a missing label."""
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None


def _resolve(hub_id: str, revision: str | None) -> tuple[str, str]:
    """The dataset's current id, and the commit of `revision` (by default, of the main branch)."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if revision is not None and _COMMIT.fullmatch(revision):
        return hub_id, revision  # a full commit hash needs no request, so a cached dataset works offline
    try:
        info = HfApi().dataset_info(hub_id, revision=revision)
    except GatedRepoError:
        raise UserError(
            "this Hub dataset is gated",
            where=hub_id,
            fix="Accept its terms on the Hub, then `hf auth login`.",
        ) from None
    except RevisionNotFoundError:
        raise UserError(f"the Hub dataset {hub_id} has no revision {revision!r}", where="data.revision") from None
    except RepositoryNotFoundError:
        raise UserError(
            "there is no such file or folder, and no such dataset on the Hub (or it is private)",
            where=hub_id,
            fix="Check the spelling; for a private dataset, `hf auth login`.",
        ) from None
    except Exception as error:  # offline mode, no network or the Hub is down; the HTTP library has errors of its own
        raise UserError(
            f"there is no such file or folder, and the Hub cannot be reached: {in_short(error)}",
            where=hub_id,
            fix="Correct the path, or go online (unset HF_HUB_OFFLINE), or give a folder, a file or `sample`.",
        ) from error
    if info.sha is None:
        raise UserError("the Hub does not report the commit of this dataset, so it cannot be pinned", where=hub_id)
    return info.id, info.sha


def _download(hub_id: str, commit: str) -> Any:
    """The `datasets.DatasetDict` of a commit, from the cache or downloaded."""
    from datasets import load_dataset

    try:
        # datasets 4 and later never run a repository's code, so there is no option to disable it.
        return load_dataset(hub_id, revision=commit)
    except Exception as error:  # whatever the error is, the chosen data cannot be read
        raise UserError(f"the Hub dataset cannot be loaded: {in_short(error)}", where=hub_id) from error


def _looks_like_hub_id(source: str) -> bool:
    looks_like_file = Path(source).suffix.lower() in DATA_SUFFIXES | {".txt", ".json", ".gz", ".zip"}
    return _HUB_ID.fullmatch(source) is not None and len(source) <= 96 and not looks_like_file
