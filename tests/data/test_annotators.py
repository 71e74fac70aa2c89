"""Several annotators: the label, the shares, what is left out, and the agreement in data.json."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from feathertune.data import loading, other_data
from feathertune.data.annotators import Rule, TiedVotesError, decide
from feathertune.data.example import Dataset
from feathertune.data.formats.format import Table
from feathertune.data.loading import load_dataset
from feathertune.data.other_data import load_split
from feathertune.data.rows import BadRow, Row, Votes
from feathertune.data.sources import Source
from feathertune.data.statistics import describe
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection, LabelSection
from feathertune.terminal.data_tables import render

LABELS: tuple[object, ...] = (
    Votes(("b", "b", "a")),
    Votes(("a", "b")),
    "b",
    Votes(("c", "a", "a", None)),
    Votes(("a", "a")),
    Votes(),
)


@pytest.mark.parametrize(
    ("names", "how", "label"),
    [
        (["a", "b", "b"], "majority", "b"),
        (["a", "b", "b"], "first", "a"),
        (["a", "b", "b"], "soft", "b"),
        (["b", "a"], "soft", "b"),
        (["b", "a"], "first", "b"),
        (["b"], "majority", "b"),
    ],
)
def test_the_label_of_a_text(names: list[str], how: Rule, label: str) -> None:
    assert decide(names, how) == label


def test_a_tie_has_no_majority() -> None:
    with pytest.raises(TiedVotesError, match="'b' and 'a' are equally frequent"):
        decide(["b", "a"], "majority")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source whose train split has the labels above, four times."""

    def read(_: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        for number, label in enumerate(LABELS * 4, start=1):
            yield Row(f"train:{number}", number, {"text": f"text number {number}", "label": label})

    table = Table("train", "train", read, fixed_columns=True, notes_after=lambda: ("A tool: 1 text left out (why)",))
    for module in (loading, other_data):
        monkeypatch.setattr(module, "open_source", lambda *_: Source({"train": table}, {"files": {}}))


def loaded(how: Rule) -> Dataset:
    label = LabelSection(column="label", annotators=how)
    return load_dataset(DataSection(source="made up", text="text", label=label), seed=0)


def sizes(dataset: Dataset) -> dict[str, int]:
    """Label -> number of examples in all splits."""
    labels = np.concatenate([split.labels for split in dataset.splits.values()])
    return {name: int((labels == index).sum()) for index, name in enumerate(dataset.label_names)}


@pytest.mark.usefixtures("opened")
def test_majority_leaves_out_ties_and_says_so() -> None:
    dataset = loaded("majority")
    assert sizes(dataset) == {"a": 8, "b": 8}  # c never has a majority, so it is no class
    assert dataset.splits["train"].shares is None
    assert dataset.notes[:3] == (
        "A tool: 1 text left out (why)",
        "4 texts without a label left out",
        (
            "16 texts with labels of several annotators: the most frequent counts (label.annotators: majority); "
            "4 without a majority, such as train:2, left out (soft trains on them, first takes the newest label)"
        ),
    )


@pytest.mark.usefixtures("opened")
def test_first_takes_the_newest() -> None:
    assert sizes(loaded("first")) == {"a": 8, "b": 8, "c": 4}


@pytest.mark.usefixtures("opened")
def test_soft_trains_on_the_shares() -> None:
    dataset = loaded("soft")
    assert dataset.label_names == ("a", "b", "c")
    train = dataset.splits["train"]
    assert train.shares is not None
    expected = {1: (1 / 3, 2 / 3, 0), 2: (0.5, 0.5, 0), 3: (0, 1, 0), 4: (2 / 3, 0, 1 / 3), 5: (1, 0, 0)}
    for row, shares in zip(train.rows, train.shares, strict=True):
        assert shares == pytest.approx(expected[row % 6])
    assert len(train) + len(dataset.splits["validation"]) == 20
    assert "4 without a majority, such as train:2, count in metrics as the newest label" in dataset.notes[2]


def test_soft_without_several_annotators_says_that_it_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(20)))
    label = LabelSection(column="label", annotators="soft")
    dataset = load_dataset(DataSection(source=str(tmp_path), text="text", label=label), seed=0)
    assert dataset.splits["train"].shares is None
    assert dataset.votes is None
    assert "soft changes nothing, as no text has labels of several annotators" in dataset.notes[0]


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("how", ["majority", "soft", "first"])
def test_the_agreement_is_over_all_texts_however_they_are_decided(how: Rule) -> None:
    found = describe(loaded(how), None).agreement
    assert found is not None
    assert (found.items, found.annotators) == (16, 3)
    # each text 4 times: bba, ab, caa, aa. Of n = 40 labels 24 are a, 12 b, 4 c
    observed = 4 * (2 * 2 / 2 + 2 * 1 / 1 + 2 * 2 / 2)
    expected = (40**2 - 24**2 - 12**2 - 4**2) / 39
    assert found.alpha == pytest.approx(1 - observed / expected)


@pytest.mark.usefixtures("opened")
def test_inspect_shows_the_agreement_in_a_line() -> None:
    console = Console(file=(output := io.StringIO()), width=200)
    console.print(render(describe(loaded("majority"), None)))
    assert "Agreement of annotators: Krippendorff's alpha \N{MINUS SIGN}0.08, " in output.getvalue()
    assert "(low; 16 texts with up to 3 labels)" in output.getvalue()


def test_a_file_that_nobody_labelled_is_refused_by_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row(f"train:{number}", number, {"text": "a", "label": Votes()}) for number in (1, 2)]
    table = Table("train", "train", lambda _: iter(rows), True, notes_after=lambda: ("Argilla: 2 records pending",))
    monkeypatch.setattr(loading, "open_source", lambda *_: Source({"train": table}, {"files": {}}))
    with pytest.raises(UserError, match=r"no text of the train split has a label \(Argilla: 2 records pending\)"):
        loaded("majority")


@pytest.mark.usefixtures("opened")
def test_a_file_to_evaluate_on_must_have_a_label_for_each_text(tmp_path: Path) -> None:
    (tmp_path / "new.csv").touch()
    section = DataSection(source="made up", text="text", label=LabelSection(column="label"))
    with pytest.raises(UserError, match="the annotators of 4 texts gave two labels equally often"):
        load_split(tmp_path / "new.csv", section, ("a", "b", "c"))
