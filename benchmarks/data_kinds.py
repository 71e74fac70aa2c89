"""Which kinds of labelled files are read rightly, without an option, by Feathertune and by others.

Each of the files of `labelled_files.py` and `labelled_exports.py` is given to each reader as a user would give it: a
file by its name, a folder as a folder. An answer is right if it has all labelled rows, and a column whose values and
their counts are the labels. Anything else is an error, or (worse) other rows or labels without an error. For
Feathertune the labels must also be what it would train on.

    python benchmarks/data_kinds.py [--output table.md]

The others are those of `datasets` (which SetFit and Trainer load files with), and, where they are installed, Ludwig's
and AutoTrain's own. They get credit for the right rows even where a user would then have to name the columns.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from labelled_exports import all_kinds, write_all
from labelled_files import Kind

Columns = Iterable[Mapping[str, int]]  # of each column, how often its values occur
LOADERS = {".json": "json", ".jsonl": "json", ".csv": "csv", ".tsv": "csv", ".txt": "text", ".parquet": "parquet"}


def feathertune(path: Path) -> Columns:
    """The labels that training would use."""
    from feathertune.run.inspect import inspect_source

    counts: Counter[str] = Counter()
    for split in inspect_source(str(path)).splits.values():
        counts.update(split.labels)
    return [counts]


def with_datasets(path: Path) -> Columns:
    """`load_dataset`, as its documentation has it for each suffix; all splits together."""
    from datasets import load_dataset

    if path.is_dir():
        splits = load_dataset(str(path))
    else:
        suffixes = [suffix for suffix in path.suffixes if suffix in LOADERS] or [".txt"]
        options = {"sep": "\t"} if suffixes[0] == ".tsv" else {}
        splits = load_dataset(LOADERS[suffixes[0]], data_files=str(path), **options)
    names = {name for split in splits.values() for name in split.column_names}
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for split in splits.values():
        for name in split.column_names:
            feature = split.features[name]
            values = split[name]
            columns[name] += [feature.int2str(one) for one in values] if hasattr(feature, "int2str") else list(values)
    return map(counted, columns.values())


def with_ludwig(path: Path) -> Columns:
    """Ludwig's reader for its `--dataset`."""
    from ludwig.utils.data_utils import load_dataset

    return frame_columns(load_dataset(str(path)))


def with_autotrain(path: Path) -> Columns:
    """AutoTrain's reader for its training files."""
    from autotrain.dataset import AutoTrainDataset

    data = AutoTrainDataset(
        train_data=[str(path)],
        task="text_multi_class_classification",
        token="",
        project_name="x",
        username="x",
        column_mapping={"text": "text", "label": "label"},
        percent_valid=0.2,
        ext=path.suffix[1:],
    )
    return frame_columns(data.train_df)


READERS: dict[str, Callable[[Path], Columns]] = {
    "Feathertune": feathertune,
    "datasets (SetFit, Trainer)": with_datasets,
    "Ludwig": with_ludwig,
    "AutoTrain": with_autotrain,
}


def frame_columns(frame: Any) -> Columns:
    """The columns of a pandas data frame."""
    return [counted(frame[name].tolist()) for name in frame.columns]


def counted(values: Iterable[object]) -> Mapping[str, int]:
    """How often each value occurs; 1.0 counts as 1, True as true, ['a'] as a."""
    return Counter(plain(value) for value in values)


def plain(value: object) -> str:
    """A value as a label is written."""
    if isinstance(value, list) and len(value) == 1:
        return plain(value[0])
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def outcome(read: Callable[[Path], Columns], path: Path, kind: Kind) -> str:
    """`right`, `other` (without an error), or `error`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            columns = list(read(path))
    except ModuleNotFoundError:
        raise
    except Exception:
        return "error"
    return "right" if any(dict(column) == dict(kind.labels) for column in columns) else "other"


def compare(folder: Path) -> dict[str, dict[str, str]]:
    """Reader -> kind -> outcome, for the readers that are installed."""
    kinds = write_all(folder)
    found: dict[str, dict[str, str]] = {}
    for name, read in READERS.items():
        try:
            found[name] = {kind.name: outcome(read, folder / kind.name, kind) for kind in kinds}
        except ModuleNotFoundError as error:
            print(f"{name} is left out: {error}")
    return found


def as_table(found: Mapping[str, Mapping[str, str]]) -> str:
    """A Markdown table: a row for each kind, a column for each reader, and sums."""
    head = ["file", "what it is", *found]
    rows = [head, [":--"] * len(head)]
    rows += [[f"`{kind.name}`", kind.what, *(found[name][kind.name] for name in found)] for kind in all_kinds()]
    counts = {name: Counter(found[name].values()) for name in found}
    rows.append(
        [
            "",
            "right / other without an error / error",
            *(f"{counts[name]['right']} / {counts[name]['other']} / {counts[name]['error']}" for name in found),
        ]
    )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    """Write the files, try every reader, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="write the table here, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = as_table(compare(Path(folder)))
    print(table)
    if arguments.output is not None:
        arguments.output.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
