"""Models side by side: served under a path of their own, and compared on the page."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from browsers import NEEDS_CHROMIUM, classify, opened, running, violations
from feathertune.errors import UserError
from feathertune.folders.run import RunFolder
from feathertune.folders.summary import Summary
from feathertune.prediction.files import read_predictions
from feathertune.server.app import build_app
from feathertune.server.models import load_models
from feathertune.server.settings import Settings
from feathertune.server.sources import find_sources
from feathertune.serving.predictor import Predictor

TEXTS = ["the cat", "a dog", "sun moon", "a cat and a dog", "tree"]


@pytest.fixture(scope="module")
def other(trained: Callable[..., Path]) -> Path:
    return trained("int8", "method=qat", "quantize={weights: int8, training: ptq}")


@pytest.fixture(scope="module")
def models(run: Path, other: Path) -> list[Any]:
    return load_models(find_sources(run, [str(other), "before"], ()), Settings(name="first"))


@pytest.fixture
def client(models: list[Any]) -> Iterator[TestClient]:
    (predictor, info), *others = models
    with TestClient(build_app(predictor, info, Settings(max_body_bytes=500, api_key="key"), others)) as client:
        client.headers["Authorization"] = "Bearer key"
        yield client


def test_each_model_answers_under_its_path(client: TestClient, run: Path, other: Path) -> None:
    info = client.get("/info").json()
    assert (info["model_id"], info["beside"]) == ("first", ["beside/1", "beside/2"])
    names = [client.get(f"/{path}/info").json()["model_id"] for path in info["beside"]]
    assert names == [other.name, "before"]
    for path, folder in (("", run), ("/beside/1", other)):
        data = client.post(f"{path}/classify", json={"input": TEXTS}).json()["data"]
        wanted = Predictor(folder, independent=True).predict(TEXTS)
        assert [one["probs"] for one in data] == [list(one.probabilities.values()) for one in wanted]
        words = client.post(f"{path}/explain", json={"text": TEXTS[3]}).json()
        assert words["score"] == Predictor(folder, independent=True).predict(TEXTS[3])[0].score


def test_before_is_what_was_evaluated_before_training(client: TestClient, run: Path) -> None:
    stored = read_predictions(RunFolder(run).predictions("before", "validation"), "validation", 0.5)
    data = client.post("/beside/2/classify", json={"input": list(stored.texts[:8])}).json()["data"]
    assert [one["probs"] for one in data] == [pytest.approx(row, abs=1e-6) for row in stored.probabilities_NC[:8]]
    about = client.get("/beside/2/info").json()
    assert about["method"] == "before training"
    evaluated = Summary.read(RunFolder(run).summary).before["validation"]
    assert about["evaluation"]["validation"]["accuracy"] == evaluated.accuracy


def test_limits_and_key_are_those_of_the_server(client: TestClient) -> None:
    assert client.post("/beside/1/classify", json={"input": ["long " * 100]}).status_code == 413
    assert client.post("/beside/1/classify", json={"input": [7]}).status_code == 422
    assert client.post("/beside/1/predict", json={"inputs": ""}).json()["error"].startswith("inputs")
    assert client.get("/beside/3/info").status_code == 404
    del client.headers["Authorization"]
    assert client.post("/beside/1/classify", json={"input": TEXTS}).status_code == 401


@NEEDS_CHROMIUM
def test_the_page_compares_them(browser_address: Callable[..., str], models: list[Any], other: Path) -> None:
    (predictor, info), *others = models
    address = browser_address(build_app(predictor, info, Settings(), others))
    with running() as browser:
        tab, complaints = opened(browser, address, viewport={"width": 1100, "height": 900})
        classify(tab, TEXTS)
        assert tab.locator(".scroll").evaluate("box => box.scrollWidth <= box.clientWidth")  # all columns are seen
        assert tab.locator("#heads th").all_inner_texts() == ["Text", "first", other.name, "before"]
        for name, (model, _) in zip(("first", other.name, "before"), models, strict=True):
            labels = tab.locator(f"#rows td[data-name={name}] .label").all_inner_texts()
            assert labels == [one.label for one in model.predict(TEXTS)]
        assert [line.split(":")[0] for line in tab.locator("#about li").all_inner_texts()] == [
            "first",
            other.name,
            "before",
        ]
        tab.locator("#rows td.answer button").nth(1).click()
        tab.wait_for_selector("#rows button[aria-expanded=true]")
        assert violations(tab) == []
        assert complaints == []


@pytest.mark.parametrize(
    ("beside", "what"),
    [
        (["a", "b", "c"], "a page compares 3 models at most"),
        (["lora"], "two models would have this name"),
        (["labels"], "its labels are bad, good, and those of lora are"),
        (["nowhere"], "there is no such run folder"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    beside: list[str], what: str, run: Path, trained: Callable[..., Path], tmp_path: Path
) -> None:
    places = {"lora": run, "labels": tmp_path / "labels"}
    if beside == ["labels"]:
        (tmp_path / "data").mkdir()
        for split in ("train", "validation"):
            rows = "".join(f"{'sun' if i % 2 else 'cat'} {i},{'good' if i % 2 else 'bad'}\n" for i in range(40))
            (tmp_path / "data" / f"{split}.csv").write_text(f"text,label\n{rows}")
        places["labels"] = trained("labels", f"data={{source: '{tmp_path / 'data'}'}}")
    with pytest.raises(UserError) as error:
        load_models(find_sources(run, [str(places.get(one, tmp_path / one)) for one in beside], ()), Settings())
    assert error.value.what.startswith(what)
