"""The dialect of a text file with separators: which separator, which quotes, which escape.

Each candidate reads the first rows; the best gives most rows as many fields as the first one. (A consistency measure in
the spirit of van den Burg, Nazábal and Sutton 2019, 'Wrangling messy CSV files by detecting row and type patterns',
without their type score: the rows of labelled data have few columns.) Where two candidates fit equally, the name of the
file decides, then nothing: both are shown.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from feathertune.data.formats.header import USUAL_NAMES
from feathertune.data.formats.lines import MAX_LINE
from feathertune.data.formats.names import with_whole_header

SAMPLED_ROWS = 1000
SEPARATORS = (",", "\t", ";", "|", "^", "~", "\x01", "\x1f")
BY_SUFFIX = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".psv": "|"}
MIN_FIT = 0.8  # share of the rows with as many fields as the first one
_CLOSE = 0.02
_MANY = 8  # rows: if so many texts are in quotes, these are marks although the header has none

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

csv.field_size_limit(max(MAX_LINE, csv.field_size_limit()))


@dataclass(frozen=True)
class Dialect:
    """How fields are written: `quote` None means that quotes are characters, `escape` None that they are doubled."""

    separator: str
    quote: str | None = '"'
    escape: str | None = None
    skip_spaces: bool = False

    def reader(self, lines: Iterator[str]) -> Iterator[list[str]]:
        """The rows of `lines`, read strictly."""
        if self.quote is None and self.escape is None:
            return (line.rstrip("\n").removesuffix("\r").split(self.separator) for line in lines)
        if self.escape == "\\":
            lines = map(self._with_other_backslashes, lines)
        return csv.reader(
            lines,
            delimiter=self.separator,
            quotechar=self.quote,
            quoting=csv.QUOTE_MINIMAL if self.quote is not None else csv.QUOTE_NONE,
            escapechar=self.escape,
            skipinitialspace=self.skip_spaces,
            strict=True,
        )

    def _with_other_backslashes(self, line: str) -> str:
        r"""A line whose backslashes stay where they escape nothing, as in `C:\new`: `csv` would drop them."""
        kept = f"\\{self.quote or ''}{self.separator}\r\n"
        return _ESCAPED.sub(lambda match: match[0] if match[1] in kept else f"\\{match[0]}", line)


@dataclass(frozen=True)
class Fit:
    """How well a dialect reads a sample.

    Attributes:
        dialect: which.
        share: of rows with as many fields as the first one, which has more than one; else 0.
        prose: share of fields that begin with a space, as after a comma in a sentence.
        rows: the first rows.
    """

    dialect: Dialect
    share: float
    prose: float
    rows: list[list[str]] = field(repr=False)

    @property
    def score(self) -> float:
        """The share, less where separators look like punctuation."""
        return self.share - 0.3 * self.prose


def find_dialects(lines: Sequence[str], suffix: str, given: dict[str, str | None]) -> list[Fit]:
    """The dialects that may be meant, best first: one, or two that fit equally well; none for text without columns.

    Args:
        lines: the first lines of the file, with their line ends, without blank ones at the beginning.
        suffix: of the file's name.
        given: what the user set: separator, quote, escape, by name ('' for none).
    """
    separators = (given["separator"],) if given.get("separator") else SEPARATORS
    text = "".join(lines[:SAMPLED_ROWS])
    fits = [
        _best_quoting(lines, text, separator or ",", given) for separator in separators if (separator or ",") in text
    ]
    if given.get("separator"):
        return fits
    fits = [fit for fit in fits if fit.share >= MIN_FIT and (suffix in BY_SUFFIX or not is_prose(fit))]
    if not fits:
        return []
    fits.sort(key=lambda fit: -fit.score)  # stable: in the order of SEPARATORS
    close = [fit for fit in fits if fit.score > fits[0].score - _CLOSE]
    if len(close) > 1:  # `a;yes;1,5` has no column after its comma
        close = [fit for fit in close if not _only_in_numbers(lines, fit.dialect.separator)] or close
    if suffix != ".csv":  # which is the name of files with any separator
        close = [fit for fit in close if fit.dialect.separator == BY_SUFFIX.get(suffix)] or close
    usual = [fit for fit in close if all(cell.strip().casefold() in USUAL_NAMES for cell in fit.rows[0])]
    best = [fit for fit in close if fit.dialect.separator == "," and fit.score > close[-1].score]
    return usual[:1] or best[:1] or close[:2]


def default_dialect(lines: Sequence[str], suffix: str, given: dict[str, str | None]) -> Fit:
    """The dialect that a file's name stands for, where none fits well: rows that do not fit are then bad rows."""
    text = "".join(lines[:SAMPLED_ROWS])
    return _best_quoting(lines, text, given.get("separator") or BY_SUFFIX.get(suffix, ","), given)


def _best_quoting(lines: Sequence[str], text: str, separator: str, given: dict[str, str | None]) -> Fit:
    """The quotes with which one separator fits best; doubled quotes for commas where nothing speaks against them."""
    spaced = _is_spaced(lines, separator)
    if given.get("quote") is not None or given.get("escape") is not None:
        quote = given["quote"] if given.get("quote") is not None else '"'
        return _fit(lines, Dialect(separator, quote or None, given.get("escape") or None, spaced))
    plain, doubled = (_fit(lines, Dialect(separator, quote, None, spaced)) for quote in (None, '"'))
    quoted = [doubled]
    without_pairs = text.replace("\\\\", "")  # where backslashes end a field, the quote behind them is not escaped
    if '\\"' in without_pairs:
        escaped = _fit(lines, Dialect(separator, '"', "\\", spaced))
        if escaped.share >= max(MIN_FIT, plain.share, doubled.share) and _all_escaped(text, separator):
            return escaped
        quoted.append(escaped)
    if _is_wrapped(lines, separator, "'"):
        quoted.insert(0, _fit(lines, Dialect(separator, "'", "\\" if "\\'" in without_pairs else None, spaced)))
    best = max(quoted, key=lambda fit: fit.share)
    if max(best.share, plain.share) < 1 and f"{separator}'" in text.replace("\n'", f"{separator}'"):
        single = _fit(lines, Dialect(separator, "'", None, spaced))  # around the fields that need it
        if single.share == 1:
            return single
    if best.share >= MIN_FIT and _are_marks(lines, separator, best):
        return best
    written_as_csv = separator == "," or (separator != "\t" and '"' not in text)  # quotes may come further down
    if not written_as_csv and plain.share == best.share:
        return plain
    return max((best, plain), key=lambda fit: fit.share)


def _all_escaped(text: str, separator: str) -> bool:
    """Whether all quotes are escaped by a backslash but those around fields, and not doubled."""
    edge = re.escape(separator)
    inner = rf'(?<!\\)(?<!{edge})(?<!\n)(?<!^)"(?!{edge}|\r?\n|$)'
    return re.search(inner, text.replace("\\\\", "")) is None


def _are_marks(lines: Sequence[str], separator: str, quoted: Fit) -> bool:
    """Whether quotes are marks and no characters: all fields of a column have them, or fields that need them.

    A field needs quotes if it has a quote (doubled) or the separator in it. There must be more such fields than rows
    that the quotes break.
    """
    quote = quoted.dialect.quote or '"'
    first = lines[0].rstrip("\r\n").split(separator)
    in_all = len(first) > 1 and all(len(cell) > 1 and cell[0] == cell[-1] == quote for cell in map(str.strip, first))
    if in_all or _is_wrapped(lines, separator, quote):
        return True
    mark = re.escape(separator)
    field_ = re.compile(rf"(?:^|{mark}){quote}((?:[^{quote}\n]|{quote}{quote})*+){quote}(?={mark}|\r?$)", re.MULTILINE)
    inner = (match[1] for match in field_.finditer("".join(lines)))
    needed = sum(quote in text or separator in text for text in inner)
    return needed > round((1 - quoted.share) * len(quoted.rows))


def _is_wrapped(lines: Sequence[str], separator: str, quote: str) -> bool:
    """Whether nearly all rows have a field that begins and ends with the quote: the first one too, or many do."""
    rows = [line.rstrip("\r\n") for line in lines[1:SAMPLED_ROWS] if line.strip()]
    wrapped = re.compile(rf"(?:^|{re.escape(separator)} ?){quote}.+{quote}(?:{re.escape(separator)}|$)")
    certain = len(rows) >= _MANY or wrapped.search(lines[0].rstrip("\r\n")) is not None
    return certain and bool(rows) and sum(wrapped.search(row) is not None for row in rows) >= 0.9 * len(rows)


def _is_spaced(lines: Sequence[str], separator: str) -> bool:
    """Whether each separator is followed by a space, in the header as well: `text, label`."""
    rows = [line for line in lines[:50] if separator in line and not separator.isspace()]
    return (
        bool(rows)
        and f"{separator} " in lines[0]
        and all(rows_line.rstrip("\r\n").rsplit(separator, 1)[1].startswith(" ") for rows_line in rows)
    )


def is_prose(fit: Fit) -> bool:
    """Whether the separators look like the punctuation of sentences."""
    return fit.prose > 0.5


def _only_in_numbers(lines: Sequence[str], separator: str) -> bool:
    """Whether the separator is only between digits, as a decimal comma."""
    text = "".join(lines[:SAMPLED_ROWS])
    return len(re.findall(rf"(?<=\d){re.escape(separator)}(?=\d)", text)) == text.count(separator)


def _fit(lines: Sequence[str], dialect: Dialect) -> Fit:
    """How well a dialect reads the first rows."""
    rows: list[list[str]] = []
    errors = 0
    reader = dialect.reader(iter(lines))
    while len(rows) + errors < SAMPLED_ROWS:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            errors += 1
            continue
        if any(cell.strip() for cell in row):
            rows.append(row)
    rows = with_whole_header(rows)
    if not rows or len(rows[0]) < 2:
        return Fit(dialect, 0.0, 0.0, rows)
    same = sum(len(row) == len(rows[0]) for row in rows)
    cells = [cell for row in rows for cell in row[1:] if cell]
    prose = sum(cell.startswith(" ") for cell in cells) / max(len(cells), 1)
    if dialect.skip_spaces and not all(cell.strip().casefold() in USUAL_NAMES for cell in rows[0]):
        prose = 1.0
    return Fit(dialect, same / (len(rows) + errors), prose, rows)
