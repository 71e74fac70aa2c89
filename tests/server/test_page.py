"""The page at `/` in Chromium, served by a real server: what a person does with it, and what axe-core finds."""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from browsers import NEEDS_CHROMIUM, classify, opened, running, violations
from feathertune.serving.predictor import Predictor

pytestmark = NEEDS_CHROMIUM
TEXTS = ["the cat", "a <b>dog</b>", "=SUM(A1)"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running() as browser:
        yield browser


@pytest.fixture
def serve(app: Callable[..., Any], browser_address: Callable[..., str]) -> Callable[..., str]:
    """Settings -> the address of a server of the tiny run."""
    return lambda **settings: browser_address(app(**settings))


def test_texts_are_classified_as_predict_does_and_html_stays_text(
    browser: Any, serve: Callable[..., str], predictor: Predictor
) -> None:
    tab, complaints = opened(browser, serve())
    classify(tab, TEXTS)
    wanted = predictor.predict(TEXTS)
    rows = [[cell.inner_text() for cell in row.locator("td").all()] for row in tab.locator("#rows tr").all()]
    assert [row[0] for row in rows] == TEXTS
    assert [row[1] for row in rows] == [one.label for one in wanted]
    assert [row[2].strip() for row in rows] == [f"{100 * one.score:.1f}%" for one in wanted]
    assert tab.locator("#rows b").count() == 0
    assert complaints == []


def test_the_csv_has_all_probabilities_and_no_formula(
    browser: Any, serve: Callable[..., str], predictor: Predictor
) -> None:
    tab, _ = opened(browser, serve(max_texts=2))  # in two requests
    classify(tab, TEXTS)
    with tab.expect_download() as download:
        tab.click("#download")
    content = Path(download.value.path()).read_text(encoding="utf-8-sig")
    heads, *rows = csv.reader(io.StringIO(content))
    assert heads == ["text", "label", *(f"p({label})" for label in predictor.label_names)]
    assert [row[0] for row in rows] == [*TEXTS[:2], "'=SUM(A1)"]
    assert [[float(value) for value in row[2:]] for row in rows] == [
        list(one.probabilities.values()) for one in predictor.predict(TEXTS)
    ]


def test_a_dropped_table_gives_its_longest_column(browser: Any, serve: Callable[..., str], tmp_path: Path) -> None:
    table = 'id,comment\r\n1,"the ""cat"", and"\r\n2,"a dog\nof two lines"\r\n'
    (tmp_path / "new.csv").write_text(table, encoding="utf-8", newline="")
    tab, _ = opened(browser, serve())
    tab.set_input_files("#file", tmp_path / "new.csv")
    tab.wait_for_selector("#table")
    assert tab.is_checked("#header")
    assert tab.locator("#column").evaluate("list => list.selectedOptions[0].text") == "comment"
    tab.click("#go")
    tab.wait_for_selector("#status:has-text('2 texts in ')")
    assert tab.locator("#rows td:first-child").all_inner_texts() == ['the "cat", and', "a dog\nof two lines"]
    (tmp_path / "bad.csv").write_bytes(b"caf\xe9,1\n")
    tab.set_input_files("#file", tmp_path / "bad.csv")
    tab.wait_for_selector("#status:has-text('bad.csv is not a text in UTF-8.')")


def test_words_that_mattered_are_marked_and_unmarked(
    browser: Any, serve: Callable[..., str], predictor: Predictor
) -> None:
    text = "a \U0001f600 cat , the dog"  # which is two characters of JavaScript
    tab, complaints = opened(browser, serve())
    classify(tab, [text, "the cat"])
    tab.locator("#rows button").first.click()
    tab.wait_for_selector("mark")
    marks = set(tab.locator("mark").all_inner_texts())
    assert marks
    assert marks <= {"a", "cat", "the", "dog"}
    assert tab.locator("#rows td").first.inner_text() == text
    label, score = predictor.predict(text)[0].label, predictor.predict(text)[0].score
    weights = {
        word: score - predictor.predict(text.replace(word, "", 1))[0].probabilities[label]
        for word in ("cat", "the", "dog")
    }
    word, weight = max(weights.items(), key=lambda item: abs(item[1]))
    title = tab.locator("mark", has_text=word).get_attribute("title")
    assert title == f"without it, {label} is {abs(100 * weight):.1f} points {'more' if weight < 0 else 'less'} probable"
    tab.locator("#rows button").first.click()
    assert tab.locator("mark").count() == 0
    assert complaints == []


def test_a_server_with_a_key_asks_for_it(browser: Any, serve: Callable[..., str]) -> None:
    tab, _ = opened(browser, serve(api_key="secret"))
    tab.wait_for_selector("#key")
    assert tab.inner_text("#labels") == ""
    tab.fill("#texts", "the cat")
    tab.fill("#key", "wrong")
    tab.click("#go")
    tab.wait_for_selector("#status.wrong:has-text('API key')")
    assert tab.locator("#rows tr").count() == 0
    tab.fill("#key", "secret")
    classify(tab, TEXTS)
    assert tab.locator("#rows tr").count() == len(TEXTS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    browser: Any, serve: Callable[..., str], scheme: str, width: int
) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    tab, complaints = opened(browser, serve(), color_scheme=scheme, viewport={"width": width, "height": 800})
    assert violations(tab) == []
    classify(tab, ["the cat", "a very long text " * 5])
    tab.locator("#rows button").first.click()
    tab.wait_for_selector("#rows button[aria-expanded=true]")
    assert violations(tab) == []
    size = tab.context.new_cdp_session(tab).send("Page.getLayoutMetrics")["cssContentSize"]
    assert size["width"] <= width
    assert complaints == []
