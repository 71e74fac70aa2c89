"""The comparison of readers: what it makes, how it judges, and that Feathertune reads every kind rightly."""

from pathlib import Path

import pytest

import data_kinds
from labelled_exports import all_kinds, write_all
from labelled_files import HALVES, Kind


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every kind."""
    path = tmp_path_factory.mktemp("kinds")
    write_all(path)
    return path


@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: kind.name)
def test_feathertune_reads_it_without_an_option(kind: Kind, folder: Path) -> None:
    assert list(data_kinds.feathertune(folder / kind.name)) == [kind.labels]


def test_an_answer_is_right_if_a_column_holds_the_labels(tmp_path: Path) -> None:
    kind = Kind("a.csv", "", HALVES, {})
    assert data_kinds.outcome(lambda _: [{"x": 60}, HALVES], tmp_path, kind) == "right"
    assert data_kinds.outcome(lambda _: [{"neg": 30, "pos": 29}], tmp_path, kind) == "other"

    def fails(_: Path) -> data_kinds.Columns:
        raise ValueError

    assert data_kinds.outcome(fails, tmp_path, kind) == "error"


def test_values_are_compared_as_labels_are_written() -> None:
    assert data_kinds.counted([1.0, True, ["a"], "b"]) == {"1": 1, "true": 1, "a": 1, "b": 1}
