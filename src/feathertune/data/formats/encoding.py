"""The encoding of a text file, from its beginning: a byte order mark, UTF-8, or the likeliest of the others.

Of the others, `letters` knows those that files of common languages are in; charset-normalizer finds the rest.
"""

from __future__ import annotations

import codecs
import re

from feathertune.data.formats.letters import likeliest
from feathertune.errors import UserError, nearest

SNIFFED = 2**20  # bytes
_MARKS = {  # longer ones first: the mark of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Supersets that Windows writes under these names, as browsers read them (https://encoding.spec.whatwg.org/#names-and-labels).
_WINDOWS = {
    "latin_1": "cp1252",
    "iso8859_1": "cp1252",
    "ascii": "utf-8",
    "utf_8_sig": "utf-8",
    "iso8859_9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "cp950",
}
_TITLES = {
    "cp932": "Shift JIS",
    "cp949": "EUC-KR",
    "cp950": "Big5",
    "cp874": "Windows-874",
    "mac_roman": "Mac Roman",
    "mac_latin2": "Mac Central European",
    "mac_cyrillic": "Mac Cyrillic",
}
_KEYS = {"cp932": "shift_jis", "cp949": "euc-kr", "cp950": "big5"}
_COMMON = ("utf-8", "utf-16", "windows-1252", "windows-1251", "windows-1250", "shift_jis", "gb18030", "big5", "euc-kr")
_NO_FILES = ("undefined", "idna", "punycode")  # codecs of Python that no file is in
# Lines that are not UTF-8: so few, of few bytes or a small share, are damage. More mean another encoding.
_STRAY_LINES, _STRAY_BYTES, _STRAY_SHARE = 2, 4, 0.05
_MIXED = 0.1  # lines of UTF-8 to each other line, from which on a file has both
_ENOUGH = 8192  # bytes of lines that are not ASCII, for a guess
_UNLIKELY = -8.0  # mean log-probability of letters that are in none of the known languages
_ISO_2022_JP = re.compile(rb"\x1b\$[@B]")
_ODD = re.compile(r"[\x00-\x08\x0e-\x1f\ue000-\uf8ff\ufffd]")


def find_encoding(head: bytes, *, whole: bool) -> str:
    """Python's name of the encoding of a text that begins with `head`.

    A text with a few bytes that are not UTF-8 still counts as UTF-8, so that the reader names their rows.

    Args:
        head: at most SNIFFED bytes.
        whole: whether that is the whole file.
    """
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    if not whole:
        head = head[: head.rfind(b"\n") + 1] or head
    wide = wide_encoding(head)
    if wide is not None:
        return wide
    if head.isascii():
        return "iso2022_jp" if _ISO_2022_JP.search(head) else "utf-8"
    try:
        head.decode()
        return "utf-8"
    except UnicodeDecodeError:
        return "utf-8" if _is_damaged_utf_8(head) else _guess(head)


def checked_encoding(name: str) -> str:
    """Python's name of the encoding that a user names. Raises a UserError if there is none."""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        found = None
    if found is None or not found._is_text_encoding or found.name in _NO_FILES:
        near = nearest(name.lower(), list(_COMMON))
        hint = f"; did you mean {near!r}?" if near else ""
        raise UserError(
            f"there is no encoding {name!r}{hint}", where="data.encoding", fix=f"For example: {', '.join(_COMMON)}."
        )
    written = found.name.replace("-", "_")
    return _WINDOWS.get(written, found.name if written.startswith("utf") else written)


def encoding_title(name: str) -> str:
    """An encoding's usual name: 'Windows-1252' of cp1252."""
    if name.startswith("cp125"):
        return f"Windows-{name[2:]}"
    return _TITLES.get(name, name.replace("_", "-").upper().replace("ISO8859", "ISO-8859"))


def encoding_key(name: str) -> str:
    """An encoding as it is typed: `windows-1252` of cp1252."""
    return f"windows-{name[2:]}" if name.startswith("cp125") else _KEYS.get(name, name)


def has_wide_mark(head: bytes) -> bool:
    """Whether a text begins with the byte order mark of UTF-16 or UTF-32."""
    return any(head.startswith(mark) for mark, name in _MARKS.items() if name != "utf-8")


def wide_encoding(head: bytes) -> str | None:
    """UTF-16 without a mark: every second byte of its Latin letters, digits, commas and line ends is NUL."""
    start = head[: 2**16]
    zeros = start[0::2].count(0), start[1::2].count(0)
    if len(start) < 4 or max(zeros) * 50 < len(start) or min(zeros) * 20 > max(zeros):
        return None
    name = "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    text = start[: len(start) // 2 * 2].decode(name, errors="replace")
    text = text[:-1] if len(start) < len(head) else text  # half of a pair may be left at its end
    has_lines = "\n" in text or "\r" in text or max(zeros) * 5 > len(start) * 2
    return name if has_lines and not _ODD.search(text) else None


def _is_damaged_utf_8(head: bytes) -> bool:
    """Whether only a few bytes are not UTF-8, or other lines have letters that are."""
    bad = good = strays = 0
    lines = head.splitlines()
    for line in lines:
        if line.isascii():
            continue
        try:
            line.decode()
            good += 1
        except UnicodeDecodeError:
            bad += 1
            strays += sum(byte > 127 for byte in line)
    few = strays <= _STRAY_BYTES or bad < _STRAY_SHARE * len(lines)
    return (bad <= _STRAY_LINES and few) or good >= _MIXED * bad


def _guess(head: bytes) -> str:
    """The encoding of text that is not UTF-8, by its lines that are not ASCII."""
    foreign = list(dict.fromkeys(line for line in head.splitlines() if not line.isascii()))
    every = max(sum(map(len, foreign)) // _ENOUGH, 1)
    data = b"\n".join(foreign[::every])[: 2 * _ENOUGH]
    found = likeliest(data)
    if found is not None and found[1] > _UNLIKELY:
        return found[0]
    from charset_normalizer import from_bytes  # 5 MB that a text in UTF-8 needs not

    best = from_bytes(data).best()
    return "cp1252" if best is None else _WINDOWS.get(best.encoding, best.encoding)
