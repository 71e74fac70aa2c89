"""`--read KEY=VALUE`, and the lines of a recipe that errors propose, as options of `predict`."""

import pytest

from feathertune.data.formats.format import FileSettings
from feathertune.errors import UserError
from feathertune.serving.typed_options import read_settings, reworded, rewording


@pytest.mark.parametrize(
    ("option", "settings"),
    [
        ("separator=;", FileSettings(separator=";")),
        ("separator=|", FileSettings(separator="|")),
        ("separator=\\t", FileSettings(separator="\t")),
        ('separator="\\t"', FileSettings(separator="\t")),
        ("data.separator=;", FileSettings(separator=";")),
        ('quote="', FileSettings(quote='"')),
        ("quote=", FileSettings(quote="")),
        ("escape=\\", FileSettings(escape="\\")),
        ("encoding=windows-1252", FileSettings(encoding="windows-1252")),
        ("columns=text, label", FileSettings(columns=("text", "label"))),
        ("columns=[text, 'a, b']", FileSettings(columns=("text", "a, b"))),
        ("header=false", FileSettings(header=False)),
        ("header=yes", FileSettings(header=True)),
        ("sheet=2024", FileSettings(sheet="2024")),
        ("field=data.rows", FileSettings(field="data.rows")),
        ("format=xlsx", FileSettings(format="xlsx")),
    ],
)
def test_values_are_as_they_stand(option: str, settings: FileSettings) -> None:
    assert read_settings([option]) == settings


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("separator", "not of the form KEY=VALUE"),
        ("shet=A", "did you mean 'sheet'"),
        ("source=x", "The keys: format, separator"),
        ("separator=;;", "--read: separator"),
        ("format=word", "--read: format"),
        ("header=perhaps", "--read: header"),
    ],
)
def test_other_options_are_refused(option: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_settings([option])


@pytest.mark.parametrize(
    ("proposed", "typed"),
    [
        ("data.separator=';'", "--read separator=';'"),
        ("Set 'data.columns=[a, b]' or data.header=true.", "Set --read 'columns=[a, b]' or --read header=true."),
        ("Correct data.field.", "Correct --read field."),
        ("Or leave it out: data.on_bad_row=skip", "Or leave it out: --on-bad-row skip"),
        ("data.text=review", "--text-column review"),
        ("Give the folder: data.source=a", "Give the folder: --input a"),
        ("Give the folder: 'data.source=a b'", "Give the folder: --input 'a b'"),
        ("metadata.format stays, and so does data.source", "metadata.format stays, and so does data.source"),
        (None, None),
    ],
)
def test_keys_of_a_recipe_are_proposed_as_options(proposed: str | None, typed: str | None) -> None:
    assert reworded(proposed) == typed


def test_an_error_is_reworded_but_for_the_names_of_files() -> None:
    with pytest.raises(UserError) as caught, rewording():
        raise UserError("two readings: data.header=false or data.header=true", where="data.text:3", fix="data.sheet=A")
    error = caught.value
    assert (error.what, error.where, error.fix) == (
        "two readings: --read header=false or --read header=true",
        "data.text:3",
        "--read sheet=A",
    )
