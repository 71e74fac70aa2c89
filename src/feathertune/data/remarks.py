"""What may be wrong with a dataset, in the same words by `inspect data` and `train`: docs/DATA.md has the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from feathertune.data.example import Dataset, Split
from feathertune.data.label_remarks import about_labels
from feathertune.data.overlap import Overlap
from feathertune.data.scripts import DENSE, base_for, main_script, script_title
from feathertune.data.texts import iterate
from feathertune.errors import UserError
from feathertune.folders.inputs import Remark
from feathertune.recipe.parsing import typed
from feathertune.wording.numbers import count

UNKNOWN = 0.05  # share of tokens that are unknown, from which it is said
TOKENS_A_CHARACTER, OF_DENSE_SCRIPTS = 0.8, 1.2  # English has 0.25, Chinese 0.7, by a tokenizer that knows them
WHOLE = 0.99  # share of texts that a proposed max_length reads whole
MAX_LENGTH = 32768  # of the recipe's model.max_length
_STEP = 8  # a proposed max_length is a multiple of it
_SAMPLED = 2000  # texts, to find their script


@dataclass(frozen=True)
class Reading:
    """How a model reads the texts.

    Attributes:
        base: the model's source.
        max_length: tokens; longer texts are cut.
        limit: the tokens of the longest text that the model has positions for; None if it has no limit, or unknown.
        around: tokens that every text has besides its own: [CLS], [SEP], a prompt.
        unknown_share: of train's own tokens.
        unknown_token: such as [UNK]; None if the tokenizer has none.
        special_texts: split -> how many texts have a special token written out.
        special_as: `model.special_tokens_in_text`.
    """

    base: str
    max_length: int
    limit: int | None
    around: int
    unknown_share: float
    unknown_token: str | None
    special_texts: Mapping[str, int]
    special_as: str


def find_remarks(
    dataset: Dataset,
    overlap: Overlap,
    tokens: Mapping[str, npt.NDArray[np.int64]] | None = None,
    reading: Reading | None = None,
) -> tuple[Remark, ...]:
    """What may be wrong with a dataset.

    Args:
        dataset: the dataset.
        overlap: its repeated texts.
        tokens: split name -> [N] number of tokens of each text, not cut; None if nothing is tokenized.
        reading: how the model reads the texts; None as for `tokens`.
    """
    remarks = list(about_labels(dataset))
    if tokens is not None and reading is not None:
        remarks += _about_tokens(dataset.splits["train"], tokens["train"], reading)
        remarks += _about_length(tokens, reading)
        remarks += _about_special_tokens(reading)
    remarks += _about_overlap(dataset, overlap)
    if dataset.bad_rows:
        first = dataset.bad_rows[0]
        text = f"{count(len(dataset.bad_rows), 'bad row')} left out"
        remarks.append(Remark(kind="bad_rows", text=text, fix=f"the first, {first.place}: {first.reason}"))
    return tuple(remarks)


def refuse(remarks: tuple[Remark, ...], source: str) -> None:
    """Raise a UserError if there are remarks, for `--strict`."""
    if remarks:
        lines = "".join(f"\n  {remark.line}" for remark in remarks)
        raise UserError(
            f"{count(len(remarks), 'remark')} on the data, and --strict makes them errors:{lines}",
            where=source,
            fix="Mend the data or set the keys; without --strict these are warnings.",
        )


def _about_tokens(train: Split, tokens_N: npt.NDArray[np.int64], reading: Reading) -> Iterator[Remark]:
    """Whether the tokenizer knows the texts' characters and words."""
    if reading.unknown_share >= UNKNOWN:
        script = main_script(islice(iterate(train.texts), _SAMPLED))
        most = "most tokens are unknown: " if reading.unknown_share > 0.5 else ""
        yield Remark(
            kind="unknown_tokens",
            text=f"{most}{reading.unknown_share:.0%} of train's tokens are {reading.unknown_token}, unknown to the "
            f"tokenizer of {reading.base}",
            fix=another_base(script, reading.base),
        )
        return
    characters = int(pc.sum(pc.utf8_length(train.texts)).as_py())
    ratio = (int(tokens_N.sum()) - reading.around * len(train)) / max(characters, 1)
    if ratio <= TOKENS_A_CHARACTER:
        return
    script = main_script(islice(iterate(train.texts), _SAMPLED))
    if ratio > (OF_DENSE_SCRIPTS if script in DENSE else TOKENS_A_CHARACTER):
        yield Remark(
            kind="tokens_a_character",
            text=f"train has {ratio:.2g} tokens a character: the tokenizer of {reading.base} has few words of this "
            "language",
            fix=another_base(script, reading.base),
        )


def another_base(script: str | None, base: str) -> str:
    """A line with a base that reads a script: 'model.source=... reads Chinese'."""
    other = base_for(script, base)
    reads = "any character" if script in (None, "LATIN") or "Qwen" in other else script_title(script or "")
    return f"{typed('model.source', other)} reads {reads}"


def _about_length(tokens: Mapping[str, npt.NDArray[np.int64]], reading: Reading) -> Iterator[Remark]:
    """Texts that are cut."""
    lengths = np.concatenate([tokens[name] for name in tokens])
    cut = int((lengths > reading.max_length).sum())
    if not cut:
        return
    longest, most = int(lengths.max()), float(np.quantile(lengths, WHOLE))
    wanted = most if reading.max_length < most and longest > 2 * reading.max_length else longest
    length = min(-int(-wanted // _STEP) * _STEP, reading.limit or MAX_LENGTH, MAX_LENGTH)
    if length > reading.max_length:
        whole = int((lengths <= length).sum())
        fix = f"model.max_length={length} reads {_share(whole, len(lengths))} of the texts whole"
    else:
        fix = "the model has no more positions: shorten the texts, or take a base that reads longer ones"
    texts = f"{count(cut, 'text')} ({_share(cut, len(lengths))})"
    have, are = ("has", "is") if cut == 1 else ("have", "are")
    yield Remark(
        kind="long_texts",
        text=f"{texts} {have} more than {reading.max_length} tokens and {are} cut at model.max_length",
        fix=fix,
    )


def _about_special_tokens(reading: Reading) -> Iterator[Remark]:
    marked = sum(reading.special_texts.values())
    if not marked:
        return
    how, other = ("read as text", "parse") if reading.special_as == "text" else ("parsed", "text")
    done = "parses them" if other == "parse" else "reads them as text"
    yield Remark(
        kind="special_tokens",
        text=f"{count(marked, 'text')} {'has' if marked == 1 else 'have'} special tokens written out, which are {how}",
        fix=f"model.special_tokens_in_text={other} {done}",
    )


def _about_overlap(dataset: Dataset, overlap: Overlap) -> Iterator[Remark]:
    """Texts that occur more than once."""
    for name, found in overlap.duplicates.items():
        if found.rows:
            repeat = "repeats an earlier text" if found.rows == 1 else "repeat earlier texts"
            share = _share(found.rows, len(dataset.splits[name]))
            fix = f"the first: {', '.join(found.examples[0].places[:2])}" if found.examples else None
            text = f"{count(found.rows, 'row')} ({share}) of {name} {repeat}"
            yield Remark(kind="duplicates", text=text, fix=fix)
    for name, found in overlap.duplicates.items():
        if found.conflicts:
            text = f"{count(found.conflicts, 'text')} of {name} with conflicting labels"
            first = found.examples[0]  # conflicts come first
            places = ", ".join(f"{place} {label!r}" for place, label in zip(first.places, first.labels, strict=True))
            yield Remark(kind="conflicts", text=text, fix=f"correct one of the labels, such as {places}")
    for leak in overlap.leaks:
        places = " and ".join(leak.examples[0].places[:2])
        text = f"{count(leak.rows, 'text')} of {leak.second} also found in {leak.first}"
        yield Remark(kind="leaks", text=text, fix=f"remove {'it' if leak.rows == 1 else 'them'} from one, as {places}")


def _share(part: int, whole: int) -> str:
    """A share in percent; neither 0% nor 100% for what is not."""
    percent = 100 * part / max(whole, 1)
    if 0 < percent < 0.1:
        return "under 0.1%"
    if percent < 100 and round(percent, 1) == 100:
        return "over 99.9%"
    return f"{percent:.1f}%" if percent < 10 or (percent > 99 and part < whole) else f"{percent:.0f}%"
