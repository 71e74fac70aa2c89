"""The beginning of a text file: its encoding, its line ends, its first lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feathertune.data.formats.compressed import open_binary
from feathertune.data.formats.encoding import SNIFFED, checked_encoding, find_encoding
from feathertune.data.formats.lines import has_mac_lines


@dataclass(frozen=True)
class Sample:
    """The decoded beginning of a text file.

    Attributes:
        text: without a byte order mark; bytes that are not of the encoding are replaced.
        encoding: Python's name.
        whole: whether that is the whole file.
        mac: whether its lines end with carriage returns alone.
    """

    text: str
    encoding: str
    whole: bool
    mac: bool

    @property
    def lines(self) -> list[str]:
        r"""The lines, each with its '\n'; the last one is left out if it may be cut."""
        text = self.text.replace("\r", "\n") if self.mac else self.text
        lines = text.split("\n")
        last = lines.pop()
        complete = [f"{line}\n" for line in lines]
        return [*complete, last] if last and (self.whole or not complete) else complete


def read_sample(path: Path, encoding: str | None = None) -> Sample:
    """The first MiB of a text file. `encoding` is the user's; None: it is found.

    Raises:
        UserError: the file cannot be read, or there is no such encoding.
    """
    with open_binary(path) as file:
        head = file.read(SNIFFED + 1)
    whole = len(head) <= SNIFFED
    head = head[:SNIFFED]
    found = find_encoding(head, whole=whole) if encoding is None else checked_encoding(encoding)
    text = head.decode(found, errors="replace").removeprefix("\ufeff")
    return Sample(text, found, whole, has_mac_lines(text))
