"""Texts from elsewhere in Markdown."""

from feathertune.wording.markdown import escaped, fenced, markdown_table


def test_no_text_acts_as_markdown() -> None:
    assert escaped("<b>|*_`[x]\\\n# y") == r"\<b\>\|\*\_\`\[x\]\\ # y"


def test_a_table_has_as_many_cells_in_every_row() -> None:
    table = markdown_table(["a|b", "c"], [["1", "2\n3"], ["4", "5"]])
    assert table.splitlines() == [r"| a\|b | c |", "| :-- | --: |", "| 1 | 2 3 |", "| 4 | 5 |"]


def test_a_fence_is_longer_than_any_in_the_text() -> None:
    assert fenced("x", "yaml") == "```yaml\nx\n```"
    assert fenced("a ```` b") == "`````\na ```` b\n`````"
