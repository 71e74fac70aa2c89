"""The encoding of a text file, from its beginning: a byte order mark, UTF-8, or charset-normalizer's guess."""

from __future__ import annotations

import codecs
import re
from collections import Counter

from charset_normalizer import from_bytes

from feathertune.errors import UserError, nearest

SNIFFED = 2**20  # bytes
_MARKS = {  # longer ones first: the mark of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Supersets that Windows writes in place of what charset-normalizer names.
_WINDOWS = {
    "latin_1": "cp1252",
    "iso8859_1": "cp1252",
    "iso8859_15": "cp1252",
    "gb2312": "gb18030",
    "mac_cyrillic": "cp1251",
}
_NAMES = {"utf-8": "UTF-8", "utf-16": "UTF-16", "utf-32": "UTF-32", "cp932": "Shift JIS", "shift_jis": "Shift JIS"}
_COMMON = ("utf-8", "utf-16", "windows-1252", "windows-1251", "windows-1250", "shift_jis", "gb18030", "big5", "euc-kr")
_MUCH = 0.25  # of the letters that are not ASCII
_STRAY = 3  # lines with bytes that are not UTF-8: fewer are damage, as many mean another encoding
_PUNCTUATION = frozenset("\u2018\u2019\u201a\u201c\u201d\u201e\u2013\u2014…£€°§«»©®·¿¡\xa0")
_WEST = (  # the letters beyond ASCII of languages
    "äöüß", "àâæçéèêëîïôœùûüÿ", "áéíóúüñ", "ãõáéíóúâêôçàü", "àèéìòùî", "åäöé", "æøåéèòôü", "áéíóúýðþæö", "áäéèëïíóöúü",
    "äöõüšž", "àçéèíïóòúü",
)  # fmt: skip
_CENTRE = ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž")
_ALPHABETS = {  # in order of how common they are
    "cp1252": _WEST,
    "cp1250": _CENTRE,
    "cp1254": ("çğ\u0131öşüâîû\u0307",),  # dotless i, and the dot of a small letter of \u0130
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž"),
    "iso8859_2": _CENTRE,
    "mac_roman": _WEST,
    "cp850": _WEST,
}
_INNER_CAPITAL = re.compile("(?<=[a-z])[À-ÖØ-ÞŠŽŒŸ]")
_KNOWN = 0.97  # the share of letters that a language must have, for a text to be in it
_DENSE = 0.35  # of a line: more letters beyond ASCII than languages in Latin script have


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
    wide = _wide(head)
    if wide is not None:
        return wide
    try:
        head.decode()
        return "utf-8"
    except UnicodeDecodeError:
        pass
    return "utf-8" if _is_damaged_utf_8(head) else _guess(head)


def checked_encoding(name: str) -> str:
    """Python's name of the encoding that a user names. Raises a UserError if there is none."""
    try:
        found = codecs.lookup(name)
    except LookupError:
        found = None
    if found is None or not found._is_text_encoding:
        near = nearest(name.lower(), list(_COMMON))
        hint = f"; did you mean {near!r}?" if near else ""
        raise UserError(
            f"there is no encoding {name!r}{hint}", where="data.encoding", fix=f"For example: {', '.join(_COMMON)}."
        )
    return {"utf-8-sig": "utf-8", "iso8859-1": "cp1252"}.get(found.name, found.name)


def encoding_title(name: str) -> str:
    """An encoding's usual name: 'Windows-1252' of cp1252."""
    if name.startswith("cp125"):
        return f"Windows-{name[2:]}"
    return _NAMES.get(name, name.replace("_", "-").upper())


def encoding_key(name: str) -> str:
    """An encoding as it is typed: `windows-1252` of cp1252."""
    return f"windows-{name[2:]}" if name.startswith("cp125") else name


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: in a text of mostly Latin letters every second byte is NUL."""
    start = head[:4096]
    if len(start) < 4 or start.count(0) < 0.3 * len(start):
        return None
    return "utf-16-le" if start[1::2].count(0) > start[0::2].count(0) else "utf-16-be"


def _is_damaged_utf_8(head: bytes) -> bool:
    """Whether only a few lines are not UTF-8, or others have letters that are."""
    bad = good = 0
    for line in head.splitlines():
        if line.isascii():
            continue
        try:
            line.decode()
            good += 1
        except UnicodeDecodeError:
            bad += 1
    return bad < _STRAY or good > bad


def _guess(head: bytes) -> str:
    """The encoding of text that is not UTF-8."""
    foreign = b"\n".join(line for line in head.splitlines() if not line.isascii())[:65536]
    latin = _latin(foreign)
    if latin is not None:
        return latin
    for japanese in ("cp932", "euc_jp"):  # which other guesses take for Chinese, or the other way round
        if _share(foreign, japanese, "\u3040", "\u30ff") > _MUCH:
            return japanese
    best = from_bytes(foreign).best()
    name = "cp1252" if best is None else _WINDOWS.get(best.encoding, best.encoding)
    if name in ("cp932", "euc_jp", "cp1251", "koi8_r"):  # no kana: then Cyrillic, whose small letters tell which
        return max(("cp1251", "koi8_r"), key=lambda one: _share(foreign, one, "\u0430", "\u044f"))
    return name


def _latin(data: bytes) -> str | None:
    """The encoding in which a text has the letters of one language in Latin script; None if there is none."""
    best, most = None, _KNOWN
    for encoding, alphabets in _ALPHABETS.items():
        text = data.decode(encoding, errors="replace")
        letters = Counter(letter for letter in _plausible(text) if not letter.isascii())
        total = letters.total()
        if total > _DENSE * len(text):
            continue
        for alphabet in alphabets:
            known = sum(count for letter, count in letters.items() if letter in _PUNCTUATION or letter in alphabet)
            if known > most * total or (best is None and known == most * total):
                best, most = encoding, known / total
    return best


def _plausible(text: str) -> str:
    """The text in small letters; a capital after a small letter, as in `donÕt`, is none of a language."""
    return _INNER_CAPITAL.sub("\ufffd", text).lower()


def _share(data: bytes, encoding: str, first: str, last: str) -> float:
    """The share of characters from `first` to `last` among those that are not ASCII; 0 if it cannot be decoded."""
    try:
        letters = [character for character in data.decode(encoding) if not character.isascii()]
    except UnicodeDecodeError:
        return 0.0
    return sum(first <= character <= last for character in letters) / max(len(letters), 1)
