"""Which of several encodings a text is in, by the letters that its languages use most.

Each encoding reads the bytes; the reading that is the likeliest text is taken. The model is small: for each language
its letters beyond ASCII in the order of their frequency, whose probabilities fall off geometrically; for Chinese,
Japanese and Korean the frequent characters and the levels of the national standards. What stands beside a letter counts
as well: a capital after a small letter, or a letter beside a digit, is rare; an apostrophe between letters is not.
"""

# ruff: noqa: RUF001 -- letters that look like others are meant

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import cache

_WEST = [
    *("éàèêçôùîâûëïœ", "éèñïöüç", "üäößé", "óíáéñúü", "ãçéáíóêõúàâô", "äåöé", "åøæéö", "èàùòéì", "éëïöüèó"),
    *("áíðóéöúþýæ", "àóèçéíòúïü", "äõüö"),
]
_CENTRAL = ["łąężśćóńź", "íáéěýčžřšůúťňďó", "áíéýčžšúľťôňďäó", "áéőöóüűíú", "ăâîşţ", "ăâîșț", "čšžćđ"]
_TURKISH = ["ışüğçöİâî"]
_BALTIC = ["ėšįųžąūčę", "āīēšūžņļčģķ", "äõüöšž"]
_RUSSIAN = ["оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё", "аеоитнрсвлкдпмзяъубгчжшщцйхюфь"]
_CYRILLIC = [
    *_RUSSIAN,
    "оанвіиетрсклдмупзьябгйчшхжюїцщєфґ",
    "аоиенртсдквпулмзбјгжшчћцљхњђџф",
    "аеінротсклдпмуыўзябгчйжшхцюьёэф",
]
_GREEK = ["αοιετνσηρυκπλςμίόάέήγδύθχωβφώξζϊψΰΐϋ"]
_HEBREW = ["יוהלאמתברשנדםעחקכפגסטזןצףךץ"]
_ARABIC = ["اليمنورتبةعدسفهكقحجشصطخضثزذأغئىءظإآؤ،", "ايرندمهوتبشکسگلپزفخقعجچحصضطغثذظژ"]
_THAI = ["านรกอเมงีย่ลวดทส้ตปัคิบไหแพจะุขใชำื์ถโู็ซผศธณภญึฟฉฐ"]

# In each pair of encodings that read a text equally, the first is meant: those of Windows, then those that are older.
SINGLE_BYTE: Mapping[str, tuple[list[str], float]] = {  # encoding -> languages, logarithm of how usual it is
    "cp1252": (_WEST, 0.0),
    "cp1250": (_CENTRAL, -1.0),
    "cp1251": (_CYRILLIC, -1.0),
    "cp1253": (_GREEK, -1.0),
    "cp1254": (_TURKISH, -1.0),
    "cp1255": (_HEBREW, -1.0),
    "cp1256": (_ARABIC, -1.0),
    "cp1257": (_BALTIC, -1.0),
    "cp874": (_THAI, -1.0),
    "iso8859_15": (_WEST, -2.0),
    "iso8859_2": (_CENTRAL, -2.0),
    "iso8859_7": (_GREEK, -2.0),
    "iso8859_8": (_HEBREW, -2.0),
    "iso8859_6": (_ARABIC, -2.0),
    "iso8859_13": (_BALTIC, -3.0),
    "koi8_r": (_RUSSIAN, -2.0),
    "koi8_u": (_CYRILLIC, -3.0),
    "iso8859_5": (_CYRILLIC, -3.0),
    "cp866": (_RUSSIAN, -3.0),
    "mac_cyrillic": (_CYRILLIC, -4.5),
    "mac_roman": (_WEST, -4.0),
    "cp850": (_WEST, -4.0),
    "cp437": (_WEST, -5.0),
    "cp852": (_CENTRAL, -4.0),
    "cp857": (_TURKISH, -4.0),
    "mac_latin2": (_CENTRAL, -5.0),
}
_FREQUENT = {
    "gb18030": "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
    "用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实"
    "很太吃服务热情质量差买再店菜电影酒便宜快慢送货东西真喜欢",
    "cp950": "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡"
    "用道行所然家種事成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實"
    "很太吃服務熱情質量差買再店菜電影酒便宜快慢送貨東西真喜歡",
    "cp949": "이다는을가에의지고하기사도로리한서은자어시인정나대부그해일아수를제원전스조라구동소보여안상들면주었국"
    "과공장신있만습니게요무너우선화비경마거오미치방유세실없것영좋더때으러음모트재성진문중내식회연말했분데",
}
# Encoding -> the codec of the national standard, and the first bytes of its frequent characters.
_LEVELS = {
    "gb18030": ("gb2312", 0xB0, 0xD7),
    "cp950": ("big5", 0xA4, 0xC6),
    "cp949": ("euc_kr", 0xB0, 0xC8),
    "cp932": ("shift_jis", 0x88, 0x98),
    "euc_jp": ("shift_jis", 0x88, 0x98),
}
MULTI_BYTE = tuple(_LEVELS)
_ASIAN_MARKS = frozenset("，。、！？；：（）「」『』《》“”…～ー　・【】—")
_MARKS = frozenset("‘’“”–—…•€£§°©®™«»¿¡·½¼¾²³ªº„‚\xa0\xad´№×")
_MONEY = frozenset("€£")
_ASCII = -3.0  # logarithm of the probability of an ASCII character, in all readings
_FOREIGN = -3.0  # of a character beyond ASCII in a language with Latin letters
_CAPITAL, _CAPITAL_INSIDE, _BESIDE_DIGIT = -2.5, -6.0, -3.0
_TWO_SCRIPTS = -8.0
_UNKNOWN, _WRONG = -14.0, -25.0


def likeliest(data: bytes) -> tuple[str, float] | None:
    """The likeliest encoding of text that is not UTF-8, and the mean log-probability of its characters beyond ASCII.

    None if there are no such characters.
    """
    foreign = sum(byte > 127 for byte in data)
    if not foreign:
        return None
    scores = {name: _single_byte(_decoded(data, name), *table) for name, table in SINGLE_BYTE.items()}
    scores |= {name: _multi_byte(_decoded(data, name), name) for name in MULTI_BYTE}
    best = max(scores, key=lambda name: scores[name])  # the first of equal ones
    return best, (scores[best] - _ASCII * (len(data) - foreign)) / foreign


def _decoded(data: bytes, encoding: str) -> str:
    return data.decode(encoding, errors="replace")


def _single_byte(text: str, languages: list[str], usual: float) -> float:
    """The log-probability of a text in the likeliest of `languages`."""
    letters: Counter[str] = Counter()
    total = usual
    padded = f" {text} "
    for index, character in enumerate(text, 1):
        if character < "\x80":
            total += _ASCII
            continue
        before, after = padded[index - 1], padded[index + 1]
        if character.isalpha() or "\u0e00" <= character <= "\u0e7f":  # Thai vowels are marks
            total += _beside(character, before, after)
            letters[character if character in "İ" else character.lower()] += 1
        else:
            total += _FOREIGN + _mark(character, before, after)
    return total + max(_of_language(letters, language) for language in languages)


def _of_language(letters: Counter[str], language: str) -> float:
    known = _probabilities(language)
    return sum(count * known.get(letter, _UNKNOWN) for letter, count in letters.items())


@cache
def _probabilities(language: str) -> dict[str, float]:
    """Letter -> logarithm of its probability; in languages with Latin letters, those beyond ASCII are rare."""
    weights = [math.exp(-4 * rank / len(language)) for rank in range(len(language))]
    rare = _FOREIGN if language[0] < "\u0370" else 0.0
    return {
        letter: math.log(0.9 * weight / sum(weights)) + rare for letter, weight in zip(language, weights, strict=True)
    }


def _beside(letter: str, before: str, after: str) -> float:
    """What the characters beside a letter add to its log-probability."""
    total = _BESIDE_DIGIT if before.isdigit() or after.isdigit() else 0.0
    if letter >= "\u0370" and (_is_latin(before) or _is_latin(after)):
        total += _TWO_SCRIPTS
    if letter.isupper():
        total += _CAPITAL_INSIDE if before.islower() else -1.0 if before.isupper() or after.isupper() else _CAPITAL
    elif before.isupper() and after.isupper():
        total += _CAPITAL_INSIDE
    if not before.isalpha() and not after.isalpha() and letter < "\u0370":
        total += _BESIDE_DIGIT  # a word of one letter
    return total


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _mark(mark: str, before: str, after: str) -> float:
    """The log-probability of a character that is no letter, among those beyond ASCII."""
    if mark == "\ufffd" or "\x80" <= mark < "\xa0":
        return _WRONG
    if mark not in _MARKS:
        return _UNKNOWN
    if mark == "’" and before.isalpha() and after.isalpha():
        return -1.2
    if mark == "’" and after.isalpha():
        return -6.0
    if mark in _MONEY and (after.isdigit() or before.isdigit() or before == " "):
        return -1.5
    if mark == "°" and before.isdigit():
        return -1.5
    at_edge = before.isalpha() != after.isalpha() or (before in ' "' and after == " ")
    return -2.5 if at_edge else -4.0


def _multi_byte(text: str, encoding: str) -> float:
    """The log-probability of a text in Chinese, Japanese or Korean."""
    return sum(count * _of_asian(character, encoding) for character, count in Counter(text).items()) - 2.0


def _of_asian(character: str, encoding: str) -> float:
    if character < "\x80":
        return _ASCII
    if character == "\ufffd":
        return _WRONG
    if character in _ASIAN_MARKS:
        return -4.5
    japanese = encoding in ("cp932", "euc_jp")
    if "\u3041" <= character <= "\u30fe":
        return (-4.3 if character < "\u30a0" else -6.0) if japanese else -12.0
    if "\uff61" <= character <= "\uff9f":
        return -9.0
    if character in _FREQUENT.get(encoding, ""):
        return -5.5
    codec, first, last = _LEVELS[encoding]
    try:
        lead = character.encode(codec)[0]
    except UnicodeEncodeError:
        return _UNKNOWN - 2
    return -8.5 if first <= lead <= last else -9.0 if "\uff01" <= character <= "\uff5e" else -13.0
