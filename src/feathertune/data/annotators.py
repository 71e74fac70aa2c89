"""Several annotators' labels of a text: the one that is taught, their shares, and the votes for the agreement."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from feathertune.wording.numbers import count

Rule = Literal["majority", "soft", "first"]


class TiedVotesError(ValueError):
    """Several labels are equally frequent, so that there is no majority."""


def decide(names: Sequence[str], how: Rule) -> str:
    """The label of a text from those of its annotators, newest first.

    `first` takes the newest. `majority` takes the most frequent. `soft` does, too, for what needs one label (metrics,
    a stratified split); there the newest of equally frequent ones decides, as training uses the shares in any case.

    Raises:
        TiedVotesError: by `majority`, two labels are equally frequent. Neither is more right than the other, and
            teaching one would be a guess.
    """
    if how == "first":
        return names[0]
    ranked = Counter(names).most_common()  # of equally frequent ones, the newest comes first
    if how == "majority" and len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
        raise TiedVotesError(f"{ranked[0][0]!r} and {ranked[1][0]!r} are equally frequent among the annotators' labels")
    return ranked[0][0]


def share_matrix(
    labels_N: npt.NDArray[np.int64], shares: Mapping[int, Mapping[int, float]], classes: int
) -> npt.NDArray[np.float64]:
    """[N, C] shares: `shares` (text -> class -> share) where a text has them, else 1 for its label."""
    shares_NC = np.zeros((len(labels_N), classes))
    shares_NC[np.arange(len(labels_N)), labels_N] = 1
    for index, of_classes in shares.items():
        shares_NC[index] = 0
        shares_NC[index, list(of_classes)] = list(of_classes.values())
    return shares_NC


class VoteLog:
    """The votes on all texts with several annotators, texts without a majority included."""

    def __init__(self, how: Rule) -> None:
        self.how: Rule = how
        self.texts = 0
        self.unlabelled = 0  # texts that nobody gave a label, although the tool asked
        self.tied: list[str] = []  # places
        self._names: dict[str, int] = {}
        self._text, self._name = array("q"), array("q")

    def add(self, names: Sequence[str], place: str) -> bool:
        """Add the labels that a text was given, newest first. False where there are none: it cannot be trained on."""
        if not names:
            self.unlabelled += 1
            return False
        for name in names:
            self._text.append(self.texts)
            self._name.append(self._names.setdefault(name, len(self._names)))
        self.texts += 1
        highest = Counter(names).most_common(2)
        if len(highest) > 1 and highest[0][1] == highest[1][1]:
            self.tied.append(place)
        return True

    def counts(self) -> npt.NDArray[np.int64] | None:
        """[M, K]: how many annotators gave each of M texts each of K labels; None without such texts."""
        if not self.texts:
            return None
        votes_MK = np.zeros((self.texts, len(self._names)), dtype=np.int64)
        np.add.at(votes_MK, (np.array(self._text), np.array(self._name)), 1)
        return votes_MK

    def notes(self) -> tuple[str, ...]:
        """What was done about several annotators, or none, for the user."""
        unlabelled = (f"{count(self.unlabelled, 'text')} without a label left out",) if self.unlabelled else ()
        return (*unlabelled, *self._decided())

    def _decided(self) -> tuple[str, ...]:
        if not self.texts and self.how == "soft":
            return ("label.annotators: soft changes nothing, as no text has labels of several annotators",)
        if not self.texts:
            return ()
        texts = f"{count(self.texts, 'text')} with labels of several annotators"
        tied = f"; {len(self.tied):,} without a majority, such as {self.tied[0]}," if self.tied else ""
        if self.how == "first":
            return (f"{texts}: the newest counts (label.annotators: first)",)
        if self.how == "soft":
            rest = f"{tied} count in metrics as the newest label" if tied else ""
            return (f"{texts}: trained on the labels' shares (label.annotators: soft){rest}",)
        rest = f"{tied} left out (soft trains on them, first takes the newest label)" if tied else ""
        return (f"{texts}: the most frequent counts (label.annotators: majority){rest}",)
