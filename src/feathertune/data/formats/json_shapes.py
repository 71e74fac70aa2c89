"""Where the rows of a JSON document are: an outline of it, and the layouts in which people publish tables.

The outline is made in one pass that keeps a few keys and elements of each part, so that a document of any size has a
small one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from feathertune.data.formats.header import LABEL_NAMES, TEXT_NAMES, USUAL_NAMES
from feathertune.data.formats.json_stream import JsonStream
from feathertune.data.formats.split_names import split_of
from feathertune.errors import UserError
from feathertune.wording.numbers import count

_DEPTH = 4  # how deep below the top rows are looked for
_SAMPLED = 50
_COLUMN_NAMES = USUAL_NAMES | {"texts", "ids"}  # keys that name columns, not classes


@dataclass
class Outline:
    """A part of a document: its kind (object, array or scalar), size, and a sample of what is in it."""

    path: tuple[str, ...]
    kind: str
    size: int = 0
    elements: list[object] = field(default_factory=list)
    children: dict[str, Outline] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The path as `data.field` has it."""
        return ".".join(self.path)

    def holds(self, kind: type) -> bool:
        """Whether it is an array whose first elements are of a kind."""
        return self.kind == "array" and bool(self.elements) and all(isinstance(one, kind) for one in self.elements)


class Plan(NamedTuple):
    """How a table is read: the path of the part, and its layout.

    rows: an array, an element a row; records: an object with a row under each key; columns: an object with an array
    under each column's name; cells: the same with an object of rows; split: the columns' names beside the rows; record:
    an object that is the only row; classes: an object with the texts of each class.
    """

    path: tuple[str, ...]
    layout: str
    notes: tuple[str, ...] = ()


def outline(stream: JsonStream, path: tuple[str, ...] = ()) -> Outline:
    """The outline of the value that comes next. Raises UserError if it is no JSON."""
    start = stream.peek()
    if start == "[":
        found = Outline(path, "array")
        for _, element in stream.elements():
            found.size += 1
            if len(found.elements) < _SAMPLED:
                found.elements.append(element)
        return found
    if start != "{" or len(path) >= _DEPTH:
        value = stream.value()
        return Outline(path, "object" if isinstance(value, dict) else "scalar")
    found = Outline(path, "object")
    for key in stream.members():
        if key in found.children:
            raise stream.error(f"the key {key!r} appears twice")
        found.size += 1
        child = outline(stream, (*path, key))
        if len(found.children) < _SAMPLED:
            found.children[key] = child
    return found


def descend(stream: JsonStream, path: tuple[str, ...]) -> bool:
    """Go to the part at `path`, so that it comes next; whether there is one."""
    for name in path:
        if stream.peek() != "{":
            return False
        for key in stream.members():
            if key == name:
                break
            outline(stream, path)  # passes over it without keeping it in memory
        else:
            return False
    return True


def plans(document: Outline, field_name: str | None, place: str) -> dict[str, Plan]:
    """Split -> how its table is read; `field_name` is `data.field`.

    Raises:
        UserError: there are no rows, or several parts may be meant.
    """
    if field_name is None:
        return _tables(document, place)
    part = _find(document, field_name)
    if part is None:
        listed = _lines([one for one in _arrays(document) if one.size])
        raise UserError(f"the file has no {field_name!r}{listed}", where=place, fix="Correct data.field.")
    return _tables(part, place)


def _find(part: Outline, name: str) -> Outline | None:
    """The part under a key, or under keys with dots between them."""
    if name in part.children:
        return part.children[name]
    found = (_find(child, name[len(key) + 1 :]) for key, child in part.children.items() if name.startswith(f"{key}."))
    return next((one for one in found if one is not None), None)


def _tables(part: Outline, place: str) -> dict[str, Plan]:
    by_split = _by_split(part)
    if by_split:
        left = sorted(set(part.children) - {child.path[-1] for child in by_split.values()})
        notes = (f"not read, as they are no splits: {', '.join(map(repr, left))}",) if left else ()
        found = {}
        for split, child in by_split.items():
            plan = _table(child, place)
            found[split] = plan._replace(notes=(*plan.notes, *notes) if split == "train" else plan.notes)
        return found
    return {"train": _table(part, place)}


def _by_split(part: Outline) -> dict[str, Outline]:
    """Split -> the part of that name, where there is a train part and all that are named after splits hold rows."""
    named = {split: child for key, child in part.children.items() if (split := split_of(key)) is not None}
    rows = all(child.kind == "object" or child.holds(dict) or child.holds(list) for child in named.values())
    return named if rows and "train" in named else {}


def _table(part: Outline, place: str) -> Plan:
    if part.kind == "array":
        return Plan(part.path, "rows")
    layout = _layout(part)
    if layout is not None:
        return Plan(part.path, layout)
    if set(part.children) >= {"schema", "data"} and part.children["data"].holds(dict):  # pandas, orient="table"
        return Plan((*part.path, "data"), "rows")
    for kind in (dict, list):
        arrays = [one for one in _arrays(part) if one.holds(kind)]
        if len(arrays) == 1:
            return Plan(arrays[0].path, "rows", (f"the rows are those of {arrays[0].name!r} ({arrays[0].size:,})",))
        usual = [one for one in arrays if _has_usual_names(one)]
        if len(usual) == 1:
            left = ", ".join(repr(one.name) for one in arrays if one is not usual[0])
            notes = (f"the rows are those of {usual[0].name!r} ({usual[0].size:,}); not read: {left}",)
            return Plan(usual[0].path, "rows", notes)
        if arrays:
            raise UserError(
                f"several parts of the file may be its rows{_lines(arrays)}", where=place, fix="Choose one."
            )
    return Plan(part.path, _unnamed_layout(part, place))


def _has_usual_names(array: Outline) -> bool:
    """Whether the first element has a key that is usual for a text and one that is for a label."""
    first = array.elements[0]
    names = {key.casefold() for key in first} if isinstance(first, dict) else set()
    return bool(names & TEXT_NAMES and names & LABEL_NAMES)


def _layout(part: Outline) -> str | None:
    """The layout of an object that is a table as it is."""
    parts = list(part.children.values())
    columns, data = part.children.get("columns"), part.children.get("data")
    if columns is not None and data is not None and columns.holds(str) and data.holds(list):
        return "split"
    if not parts:
        return None
    if all(one.kind == "array" and not one.holds(dict) for one in parts) and len({one.size for one in parts}) == 1:
        if parts[0].size == 0:
            return None
        return "classes" if _is_by_class(part) else "columns"
    if all(one.kind == "object" for one in parts):
        single = len(parts) == 1 and any(child.holds(dict) for child in parts[0].children.values())
        return None if single else _rows_or_columns(part, parts)
    return None


def _is_by_class(part: Outline) -> bool:
    """Whether an object of arrays of one length has texts under their classes: no usual name, and no text twice."""
    parts = list(part.children.values())
    unique = all(one.holds(str) and len({str(text) for text in one.elements}) == len(one.elements) for one in parts)
    return (
        len(parts) > 1
        and parts[0].size > 1
        and unique
        and not {key.casefold() for key in part.children} & _COLUMN_NAMES
    )


def _rows_or_columns(part: Outline, parts: list[Outline]) -> str | None:
    """Of an object of objects, which are the rows: `records` if the outer keys are, `cells` if the inner ones."""
    inner = [set(one.children) for one in parts]
    if not all(keys == inner[0] for keys in inner[1:]) or any(one.size == 0 for one in parts):
        same = len(set.intersection(*inner)) > 0
        return "records" if same and all(_is_flat(one) for one in parts) else None
    if not all(_is_flat(one) for one in parts):
        return None
    outer_counts, inner_counts = all(key.isdecimal() for key in part.children), all(key.isdecimal() for key in inner[0])
    if outer_counts != inner_counts:
        return "records" if outer_counts else "cells"
    if {key.casefold() for key in part.children} & _COLUMN_NAMES:
        return "cells"
    return "records" if part.size >= parts[0].size else "cells"


def _is_flat(part: Outline) -> bool:
    return not any(child.kind == "object" and child.children for child in part.children.values())


def _unnamed_layout(part: Outline, place: str) -> str:
    """The layout of an object without a part that looks like rows: a single row, or texts by class."""
    parts = list(part.children.values())
    lists = [one for one in parts if one.holds(str)]
    if parts and len(lists) == len(parts) and len(parts) > 1:
        if {key.casefold() for key in part.children} & _COLUMN_NAMES:
            sizes = ", ".join(f"{key!r} {one.size:,}" for key, one in list(part.children.items())[:10])
            raise UserError(f"the columns have different numbers of values: {sizes}", where=place)
        return "classes"
    if any(one.kind == "scalar" for one in parts):
        return "record"
    raise UserError(
        "the JSON has no rows: neither an array of objects nor an object of columns",
        where=place,
        fix='Write an object a line, such as {"text": "...", "label": "..."}.',
    )


def _arrays(part: Outline) -> list[Outline]:
    """All arrays in a part."""
    if part.kind == "array":
        return [part]
    return [one for child in part.children.values() for one in _arrays(child)]


def _lines(arrays: list[Outline]) -> str:
    """The arrays, each with the line to type."""
    return "".join(
        f"\n  data.field={one.name}: {count(one.size, 'row')}, the first {_short(one)}" for one in arrays[:10]
    )


def _short(array: Outline) -> str:
    first = repr(array.elements[0])
    return first if len(first) <= 80 else f"{first[:80]}..."
