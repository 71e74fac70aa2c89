"""What `inspect` shows before training: statistics of data, and a model with the layers that are adapted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from feathertune.data.converting import check_conversion
from feathertune.data.converting import convert as write_dataset
from feathertune.data.loading import load_dataset
from feathertune.data.remarks import refuse
from feathertune.data.statistics import describe
from feathertune.errors import UserError
from feathertune.folders.inputs import DataRecord
from feathertune.model.sources import find_base
from feathertune.recipe.files import load_recipe, parse_recipe, recipe_path
from feathertune.recipe.schema import DataSection, LabelSection, Recipe
from feathertune.recipe.yaml_text import dump_yaml
from feathertune.run.data_figures import draw_data
from feathertune.run.found_recipe import check_new_recipe, write_found_recipe
from feathertune.run.reading import DEFAULT_MODEL, read_by_default, read_by_model

if TYPE_CHECKING:
    from feathertune.model.classifier import PackedClassifier


def inspect_data(source: str, overrides: list[str] | None = None, **arguments: Any) -> dict[str, Any]:
    """Statistics of a source, JSON-ready. Arguments and errors are those of `inspect_source`."""
    return inspect_source(source, overrides, **arguments).to_json()


def inspect_source(
    source: str,
    overrides: list[str] | None = None,
    *,
    model: str | None = None,
    on_bad_row: str | None = None,
    strict: bool = False,
    quiet: bool = False,
    write_recipe: Path | str | None = None,
    convert: Path | str | None = None,
    figures: Path | str | None = None,
    **columns: Any,
) -> DataRecord:
    """Statistics of a source (see `describe`), and remarks on what may be wrong with it.

    Args:
        source: a recipe (a file, or the name of a shipped one), `sample`, a file, a folder or a Hub id.
        overrides: key=value changes to a recipe; of a bare source, those of `data` and `model`.
        model: whose tokenizer counts tokens; by default the recipe's model, or MiniLM if its package is installed.
        on_bad_row: error or skip; by default the recipe's, or error.
        strict: refuse data about which there are remarks.
        quiet: leave the remarks out.
        write_recipe: a YAML file to write, a recipe to train on the data: see `write_found_recipe`.
        convert: a .parquet, .csv or .jsonl file to write the dataset to: see `feathertune.data.converting.convert`.
        figures: a folder to draw lengths and labels in: characters.png, tokens.png, labels.png.
        columns: `text`, `label`, `rating`, `above`, `at_least`, as for `section_of`; not with a recipe.

    Raises:
        UserError: see `load_dataset`; a model is given, and training would refuse its tokenizer; a file exists
            already. Then nothing is written.
    """
    if write_recipe is not None:
        check_new_recipe(Path(write_recipe))
    if convert is not None:
        check_conversion(Path(convert))
    recipe, bare = _recipe_of(source, overrides or [], model, columns)
    section = recipe.data if on_bad_row is None else recipe.data.model_copy(update={"on_bad_row": on_bad_row})
    dataset = load_dataset(section, recipe.training.seed)
    named = model is not None or not bare or any(key.lstrip().startswith("model.") for key in overrides or [])
    read = read_by_model(recipe, dataset) if named else read_by_default(dataset)
    record = describe(dataset, read.tokens, reading=read.reading)
    special = None if read.reading is None else dict(read.reading.special_texts)
    record = record.model_copy(update={"notes": (*record.notes, *read.notes), "special_token_texts": special})
    if strict:
        refuse(record.remarks, source)
    if convert is not None:
        write_dataset(dataset, Path(convert))
    if write_recipe is not None:
        write_found_recipe(recipe, dataset, Path(write_recipe), source=source, bare=bare)
    if figures is not None:
        draw_data(dataset, read.tokens, Path(figures), recipe.model.max_length)
    return record.model_copy(update={"remarks": ()}) if quiet else record


def _recipe_of(source: str, overrides: list[str], model: str | None, columns: Mapping[str, Any]) -> tuple[Recipe, bool]:
    """The recipe that is inspected, and whether the source is bare data; then its other settings mean nothing."""
    path = recipe_path(source)
    if path is not None:
        if any(value is not None for value in columns.values()):
            raise UserError("a recipe names its own columns", fix="Change them with data.text=... and data.label=...")
        recipe = load_recipe(path, overrides)
        if model is None:
            return recipe, False
        other = recipe.model.model_copy(update={"source": model, "revision": None})
        return recipe.model_copy(update={"model": other, "init_from": None}), False
    for override in overrides:
        key = override.partition("=")[0].strip()
        if not key.startswith(("data.", "model.")) or key == "data.source":
            raise UserError(
                f"{override!r} is no setting of data or of a model, and other changes go with a recipe",
                fix="Change data.KEY=VALUE or model.KEY=VALUE, or name a recipe in the place of the data.",
            )
    try:
        section = section_of(source, **columns)
    except ValidationError as error:
        raise UserError(error.errors()[0]["msg"], where=source) from None
    data = section.model_dump(mode="json", exclude_defaults=True)
    text = dump_yaml({"model": {"source": model or DEFAULT_MODEL}, "data": data})
    return parse_recipe(text, overrides, where="the command line"), True


def section_of(
    source: str,
    *,
    text: str | None = None,
    label: str | None = None,
    rating: str | None = None,
    above: float | None = None,
    at_least: float | None = None,
) -> DataSection:
    """The recipe's section for a source and options; the columns that they leave open are found later.

    Raises:
        UserError: the options contradict each other.
    """
    has_threshold = above is not None or at_least is not None
    if (label is not None and (rating is not None or has_threshold)) or (above is not None and at_least is not None):
        raise UserError(
            "the options contradict each other", fix="Give --label, or --rating with --above or --at-least."
        )
    if rating is not None and not has_threshold:
        above = 0.5
    rating = "rating" if rating is None and has_threshold else rating
    return DataSection(
        source=source, text=text, label=LabelSection(column=label, rating=rating, above=above, at_least=at_least)
    )


def inspect_base(source: str, overrides: list[str] | None = None) -> PackedClassifier:
    """The model of a recipe, or the model `source` itself, adapted by the recipe's method and `overrides`.

    Its head has as many classes as `data.label.names` has names, by default two.
    """
    path = recipe_path(source)
    if path is not None:
        recipe = load_recipe(path, overrides)
    else:
        text = json.dumps({"model": {"source": source}, "data": {"source": "sample"}})
        recipe = parse_recipe(text, overrides or [], where="the command line")
    # Imported late: statistics of data and errors in a recipe need no torch, which takes seconds to import.
    from feathertune.model.base import load_base
    from feathertune.run.build import apply_method

    names = recipe.data.label.names or ("NEGATIVE", "POSITIVE")
    classifier = load_base(find_base(recipe.model.source, recipe.model.revision), names, recipe.training.seed)
    apply_method(classifier, recipe)
    return classifier
