"""Opening workbooks: which of the sheets has the table, or one for each split."""

from __future__ import annotations

from dataclasses import replace

from feathertune.data.formats.format import Table
from feathertune.data.formats.opened import OpenedFile, Sniffed
from feathertune.data.formats.sheets import SheetTable, Workbook
from feathertune.data.formats.split_names import split_of
from feathertune.errors import UserError, nearest


def open_workbook(file: Sniffed, kind: str) -> OpenedFile:
    """Open a workbook: the sheet that was chosen, those named after splits, or the only one that is a table.

    Raises:
        UserError: it is unreadable or empty, has no such sheet, or several sheets may be meant.
    """
    book = Workbook(file.content, kind)
    names = book.names()
    chosen = file.settings.sheet
    if chosen is not None and chosen not in names:
        near = nearest(chosen, names)
        listed = ", ".join(repr(name) for name in names)
        hint = f"; did you mean {near!r}?" if near else ""
        raise UserError(f"there is no sheet {chosen!r}{hint} (the sheets are {listed})", where=file.place)
    found = {}
    for name in names if chosen is None else [chosen]:
        table = book.table(name, file.settings.header, file.settings.columns)
        if table is not None:
            found[name] = table
    if not found:
        raise UserError(
            "the workbook is empty" if chosen is None else f"the sheet {chosen!r} is empty", where=file.place
        )
    by_split = _chosen(found, file.place)
    unread = [name for name in found if name not in {table.sheet for table in by_split.values()}]
    note = (f"not read: the sheet {unread[0]!r}",) if len(unread) == 1 else ()
    note = (f"not read: the sheets {', '.join(map(repr, unread))}",) if len(unread) > 1 else note
    return OpenedFile(
        {split: _opened(file, kind, book, table, note if split == "train" else ()) for split, table in by_split.items()}
    )


def _chosen(found: dict[str, SheetTable], place: str) -> dict[str, SheetTable]:
    """Split -> its sheet."""
    by_split: dict[str, SheetTable] = {}
    for name, table in found.items():
        split = split_of(name)
        if split is not None and split in by_split:
            raise UserError(f"the sheets {by_split[split].sheet!r} and {name!r} are both {split}", where=place)
        if split is not None:
            by_split[split] = table
    if "train" in by_split:
        return by_split
    tables = [table for table in found.values() if len(table.columns) > 1 and table.sample]
    candidates = tables or list(found.values())
    if len(candidates) == 1:
        return {"train": candidates[0]}
    lines = "".join(f"\n  data.sheet={_quoted(table.sheet)}: {_first(table)}" for table in candidates[:10])
    raise UserError(f"several sheets may be meant{lines}", where=place, fix="Choose one of them.")


def _opened(file: Sniffed, kind: str, book: Workbook, table: SheetTable, note: tuple[str, ...]) -> Table:
    columns = tuple(table.columns.values())
    found = replace(file.format, kind=kind, encoding=None, header=table.header, sheet=table.sheet)
    return file.table(lambda names: book.rows(table, names), found, columns=columns, notes=table.notes + note)


def _quoted(name: str) -> str:
    return name if name.isidentifier() else repr(name)


def _first(table: SheetTable) -> str:
    """The columns and the first row, shortened."""
    first = " | ".join(table.sample[0]) if table.sample else "no row"
    return f"{', '.join(table.columns.values())[:80]} (first row: {first[:80]})"
