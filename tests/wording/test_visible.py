"""Texts from elsewhere on a screen."""

from feathertune.wording.visible import MAX_TEXT, shortened, shown, visible


def test_no_character_acts_on_the_screen() -> None:
    assert visible("a\x1b[31m\u202eb\n\u2028") == r"a\x1b[31m\u202eb\n\u2028"
    assert visible("é 中 👍") == "é 中 👍"


def test_a_long_text_is_cut() -> None:
    assert shown("x" * MAX_TEXT) == "x" * MAX_TEXT
    assert shown("x" * 2000) == "x" * MAX_TEXT + "… (2,000 characters)"
    assert shown(12, 3) == "12"


def test_a_name_is_shortened_to_one_line() -> None:
    assert shortened("two\nlines", 20) == "two lines"
    assert shortened("a long name", 6) == "a lon…"
