"""Reading a split: rows become examples, one by one, in flat arrays; what cannot be used is kept apart."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from feathertune.data.annotators import TiedVotesError, VoteLog, share_matrix
from feathertune.data.bad_rows import BadRowError, empty_split, missing_note
from feathertune.data.columns import joined_text, text_columns
from feathertune.data.example import Split
from feathertune.data.formats.format import Table
from feathertune.data.labels import LabelReader, UnknownLabelError
from feathertune.data.rows import BadRow, Row, Votes, missing_column
from feathertune.data.spelling import MissingLabelError, SeveralLabelsError
from feathertune.data.texts import TextWriter
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection


class SplitReader:
    """Reads the splits of a source one after another, and keeps what was left out."""

    def __init__(
        self, section: DataSection, labels: LabelReader, names: tuple[str, ...] | None, skip: str | None
    ) -> None:
        """`names`: for the columns of files without a header. `skip`: how to skip bad rows, for the error."""
        self.bad_rows: list[BadRow] = []
        self.notes: list[str] = []
        self.votes = VoteLog(section.label.annotators)
        self._section, self._labels, self._names, self._skip = section, labels, names, skip

    def read(self, name: str, table: Table) -> Split:
        """Read one split. Raises a `BadRowError` if it has bad rows and these are not to be skipped."""
        section, labels = self._section, self._labels
        columns, bad, rows = _Columns(section, labels, self.votes, self._unknown_label(name)), [], 0
        for row in self._rows(table):
            rows += 1
            problem = row if isinstance(row, BadRow) else columns.add(row)
            if problem is not None:
                bad.append(problem)
        if bad and section.on_bad_row == "error":
            raise BadRowError(bad, rows, self._skip, table)
        self.bad_rows += bad
        self.notes += [*table.notes_after(), *missing_note(name, columns.missing)]
        if not columns.rows:
            raise empty_split(name, table, bad, self.votes.unlabelled)
        renumbered = labels.finalize() if name == "train" else None
        return columns.split(name, table.name, renumbered, len(labels.names))

    def _unknown_label(self, name: str) -> str | None:
        """What to do about labels that train lacks, however many rows have them."""
        if self._skip is None or name == "train":
            return None
        without = ", or do not read the test: data.test=false" if name == "test" else ""
        return f"Leave such rows out: {self._skip}{without}. Or add examples of the label to train."

    def _rows(self, table: Table) -> Iterator[Row | BadRow]:
        """The rows of a split. The columns of the first row are checked."""
        names = self._names if table.headerless and self._names is not None else None
        if names is not None and table.columns is not None and len(table.columns) != len(names):
            names = None
        checked = not table.fixed_columns
        for row in table.read(names):
            if not checked and isinstance(row, Row):
                checked = True
                self._check_columns(table, list(row.fields))
            yield row

    def _check_columns(self, table: Table, existing: list[str]) -> None:
        section, label = self._section, self._labels.column
        for column, key in (*((text, "data.text") for text in text_columns(section)), (label, "data.label.column")):
            if column not in existing:
                raise UserError(missing_column(column, existing), where=table.place, fix=f"Set {key}.")


class _Columns:
    """Collects the examples of a split: texts in a file of Arrow chunks, numbers in flat arrays."""

    def __init__(self, section: DataSection, labels: LabelReader, votes: VoteLog, unknown: str | None) -> None:
        self.rows, self._labels, self._ratings = array("q"), array("q"), array("d")
        self.missing = 0
        self._votes, self._unknown = votes, unknown
        self._shares: dict[int, dict[int, float]] = {}  # index of an example -> shares of its classes, for `soft`
        self._texts = TextWriter()
        self._columns, self._reader, self._label = text_columns(section), labels, labels.column
        self._strict = section.on_bad_row == "error"

    def add(self, row: Row) -> BadRow | None:
        """Add one row, or return it as a bad row. One whose label stands for none, or has no majority, is left out."""
        try:
            text = _text(row.fields, self._columns)
            if self._label not in row.fields:
                raise ValueError(missing_column(self._label, list(row.fields)))
            value = row.fields[self._label]
            if isinstance(value, Votes):
                if not self._votes.add(self._reader.vote_names(value), row.place):
                    return None
                if self._votes.how == "soft":
                    self._shares[len(self.rows)] = self._reader.shares(value)
            label, rating = self._reader.read(value)
        except TiedVotesError:
            return None
        except SeveralLabelsError as error:
            if self._strict:
                raise error.at(row.place) from None
            return BadRow(row.place, str(error))
        except MissingLabelError:
            self.missing += 1
            return None
        except UnknownLabelError as error:
            return BadRow(row.place, str(error), self._unknown)
        except ValueError as error:
            return BadRow(row.place, str(error))
        self._texts.add(text)
        self.rows.append(row.row)
        self._labels.append(label)
        if rating is not None:
            self._ratings.append(rating)
        return None

    def split(self, name: str, file: str, renumbered: npt.NDArray[np.int64] | None, classes: int) -> Split:
        """The split; `renumbered` [K] are the final indices of the provisional ones, `classes` is their number."""
        labels = np.array(self._labels, dtype=np.int64)
        if renumbered is None:
            renumbered = np.arange(classes)
        shares_NC = None
        if self._shares:
            shares_NC = np.zeros((len(labels), classes))
            for old, share_N in enumerate(share_matrix(labels, self._shares, len(renumbered)).T):
                shares_NC[:, renumbered[old]] += share_N
        return Split(
            name=name,
            rows=np.array(self.rows, dtype=np.int64),
            texts=self._texts.finish(),
            labels=renumbered[labels],
            ratings=np.array(self._ratings, dtype=np.float64) if self._ratings else None,
            file=file,
            shares=shares_NC,
        )


def _text(fields: dict[str, object], columns: tuple[str, ...]) -> str:
    """The unchanged text of a row. Raises ValueError with the reason if there is none."""
    for column in columns:
        if column not in fields:
            raise ValueError(missing_column(column, list(fields)))
    text = fields[columns[0]] if len(columns) == 1 else joined_text(fields, columns)
    if text is None:
        raise ValueError("the text is missing")
    if not isinstance(text, str):
        raise ValueError(f"the text {text!r} is not text but {type(text).__name__}")
    if not text.strip():
        raise ValueError("the text is empty")
    if "\0" in text:
        raise ValueError("the text contains a NUL character")
    return text
