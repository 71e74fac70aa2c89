"""The scripts that texts are written in, and a base that reads a script: for texts that a base's tokenizer does not."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable

# Of the 100 languages of XLM-RoBERTa (Conneau et al. 2020, appendix A), as Unicode's names of letters begin.
_XLM_ROBERTA_READS = frozenset({
    "CYRILLIC", "GREEK", "ARMENIAN", "HEBREW", "ARABIC", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA",
    "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "THAI", "LAO", "MYANMAR", "GEORGIAN", "ETHIOPIC", "KHMER",
    "HANGUL", "HIRAGANA", "KATAKANA", "CJK",
})  # fmt: skip
DENSE = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL"})  # scripts in which a letter is a syllable or a word
_NAMES = {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
_XLM_ROBERTA, _ROBERTA, _QWEN = "FacebookAI/xlm-roberta-base", "FacebookAI/roberta-base", "Qwen/Qwen3-0.6B-Base"
_SAMPLED = 100_000  # characters


def main_script(texts: Iterable[str]) -> str | None:
    """The script of most letters, as Unicode's names of them begin ('LATIN', 'CJK'); None if there are no letters.

    Latin letters count only where there are few others: names and links are Latin everywhere.
    """
    letters: Counter[str] = Counter()
    characters = 0
    for text in texts:
        if characters > _SAMPLED:
            break
        characters += len(text)
        letters.update(character for character in text if character.isalpha())
    scripts: Counter[str] = Counter()
    for letter, number in letters.items():
        scripts[unicodedata.name(letter, "UNNAMED").split()[0].split("-")[0]] += number
    others = scripts.total() - scripts["LATIN"]
    if others > 0.3 * scripts.total():
        del scripts["LATIN"]
        if scripts["HIRAGANA"] + scripts["KATAKANA"] > 0.1 * scripts.total():
            return "HIRAGANA"
    return scripts.most_common(1)[0][0] if scripts.total() else None


def script_title(script: str) -> str:
    """A script's name for a sentence: 'Chinese', 'Cyrillic'."""
    return _NAMES.get(script, script.capitalize())


def base_for(script: str | None, base: str) -> str:
    """A supported base, by its id on the Hub, whose tokenizer reads a script, and which is not `base` itself.

    RoBERTa's and Qwen's tokenizers read bytes, so no character is unknown to them.
    """
    if script == "LATIN":
        choices = (_ROBERTA, _XLM_ROBERTA)
    elif script in _XLM_ROBERTA_READS:
        choices = (_XLM_ROBERTA, _QWEN)
    else:
        choices = (_QWEN, _XLM_ROBERTA)
    name = base.rstrip("/").rpartition("/")[2].casefold()
    return next((one for one in choices if one.rpartition("/")[2].casefold() != name), choices[0])
