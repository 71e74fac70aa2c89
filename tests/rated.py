"""A folder of small tsv files with ratings, as tests of reading data use it."""

from pathlib import Path

from feathertune.recipe.schema import DataSection, LabelSection

RATING = LabelSection(rating="rating", above=0.5)
DEV = "text\trating\nwhat ?\t0\nwho ?\t1\n"


def folder(path: Path, **files: str | bytes) -> Path:
    """A folder of tsv files; train and dev have good rows by default."""
    for name, content in {"train": DEV, "dev": DEV, **files}.items():
        (path / f"{name}.tsv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def section(path: Path, **fields: object) -> DataSection:
    """The folder's section of a recipe."""
    return DataSection.model_validate({"source": str(path), "label": RATING, **fields})
