"""Requests as other servers' clients send them, and the answers that these clients read."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from feathertune.serving.predictor import Predictor

LONG = "the cat " * 20  # more than the 16 tokens that the model reads


@pytest.fixture(scope="module")
def client(run: Any, predictor: Predictor) -> Iterator[TestClient]:
    from feathertune.folders.opened import OpenedRun
    from feathertune.server.app import build_app
    from feathertune.server.info import describe
    from feathertune.server.settings import Settings

    settings = Settings(max_texts=8, max_request_tokens=100)
    app = build_app(predictor, describe(OpenedRun.at(run), predictor, settings, "fp32"), settings)
    with TestClient(app) as client:
        yield client


def sorted_scores(predictor: Predictor, text: str) -> list[dict[str, object]]:
    probabilities = predictor.predict(text)[0].probabilities
    ordered = sorted(probabilities.items(), key=lambda item: -item[1])
    return [{"label": label, "score": score} for label, score in ordered]


@pytest.mark.parametrize("inputs", ["the cat", ["the cat"]])
def test_predict_answers_one_text_with_one_list(client: TestClient, predictor: Predictor, inputs: object) -> None:
    assert client.post("/predict", json={"inputs": inputs}).json() == sorted_scores(predictor, "the cat")


def test_predict_answers_a_batch_with_a_list_for_each_text(client: TestClient, predictor: Predictor) -> None:
    given = client.post("/predict", json={"inputs": [["the cat"], ["a dog"]], "unknown": 1}).json()
    assert given == [sorted_scores(predictor, "the cat"), sorted_scores(predictor, "a dog")]


def test_raw_scores_are_the_logits_that_give_the_probabilities(client: TestClient, predictor: Predictor) -> None:
    raw = client.post("/predict", json={"inputs": "the cat", "raw_scores": True}).json()
    by_label = {one["label"]: one["score"] for one in raw}
    logits = np.array([[by_label[label] for label in predictor.label_names]], dtype=np.float32)
    wanted = list(predictor.predict("the cat")[0].probabilities.values())
    assert predictor.decision.probabilities(logits)[0].tolist() == wanted
    assert predictor.decision.temperature != 1


def test_a_text_that_is_too_long_is_cut_only_if_the_client_wants_that(client: TestClient, predictor: Predictor) -> None:
    refused = client.post("/predict", json={"inputs": [["a dog"], [LONG]]})
    assert refused.status_code == 413
    assert "inputs: text 2: " in refused.json()["error"]
    assert "the 16 that the model reads" in refused.json()["error"]
    cut = client.post("/predict", json={"inputs": LONG, "truncate": True})
    assert cut.json() == sorted_scores(predictor, LONG)
    assert client.post("/", json={"inputs": LONG}).json() == [sorted_scores(predictor, LONG)]
    assert client.post("/", json={"inputs": LONG, "parameters": {"truncation": False}}).status_code == 413
    assert client.post("/classify", json={"input": LONG}).status_code == 413
    assert client.post("/classify", json={"input": LONG, "truncate_prompt_tokens": -1}).status_code == 200


def test_the_inference_api_knows_top_k_and_functions(client: TestClient, predictor: Predictor) -> None:
    def scores(**parameters: object) -> list[list[dict[str, Any]]]:
        answer = client.post("/", json={"inputs": ["the cat", "a dog"], "parameters": parameters})
        given: list[list[dict[str, Any]]] = answer.json()
        return given

    assert scores(top_k=1) == [sorted_scores(predictor, text)[:1] for text in ("the cat", "a dog")]
    logits = {one["label"]: one["score"] for one in scores(function_to_apply="none")[0]}
    sigmoid = {one["label"]: one["score"] for one in scores(function_to_apply="sigmoid")[0]}
    assert sigmoid == pytest.approx({label: 1 / (1 + np.exp(-logit)) for label, logit in logits.items()})


def test_classify_gives_probabilities_in_the_order_of_the_labels(client: TestClient, predictor: Predictor) -> None:
    name = client.get("/v1/models").json()["data"][0]["id"]
    given = client.post("/classify", json={"model": name, "input": ["the cat", "a dog"]}).json()
    for index, (one, text) in enumerate(zip(given["data"], ["the cat", "a dog"], strict=True)):
        wanted = predictor.predict(text)[0]
        probs = list(wanted.probabilities.values())
        assert one == {"index": index, "label": wanted.label, "probs": probs, "num_classes": 2}
    assert (given["object"], given["model"]) == ("list", name)
    assert given["usage"]["prompt_tokens"] == sum(predictor.token_counts(["the cat", "a dog"]))
    wrong = client.post("/classify", json={"model": "gpt-5", "input": "a dog"})
    assert (wrong.status_code, wrong.json()["error"][:30]) == (404, "model: there is no model 'gpt-")


def test_info_names_model_decision_and_evaluation(client: TestClient, predictor: Predictor) -> None:
    info = client.get("/info").json()
    assert info["labels"] == list(predictor.label_names)
    assert info["decision"] == {"temperature": predictor.decision.temperature, "threshold": 0.3}
    assert (info["method"], info["precision"], info["max_length"]) == ("lora", "fp32", 16)
    assert len(info["base_sha256"]["model.safetensors"]) == 64
    assert 0 <= info["evaluation"]["validation"]["accuracy"] <= 1
    assert info["limits"]["max_texts"] == 8


def test_words_are_weighed_by_leaving_each_out(client: TestClient, predictor: Predictor) -> None:
    text = "the cat, a dog"
    given = client.post("/explain", json={"text": text}).json()
    label, score = given["label"], predictor.predict(text)[0].score
    assert [text[word["start"] : word["end"]] for word in given["words"]] == ["the", "cat", "a", "dog"]
    assert given["words"][1]["weight"] == score - predictor.predict("the , a dog")[0].probabilities[label]
    assert given["method"] == "occlusion"
    assert client.post("/explain", json={"text": "cat"}).json()["error"].startswith("text: it must have two words")


BAD: list[tuple[str, object, str]] = [
    ("/predict", {"inputs": ["a", "b"]}, "inputs: expected one text or a batch"),
    ("/predict", {"inputs": [["a", "b"]]}, "inputs: text 1: expected a list of one text, not of 2"),
    ("/predict", {"inputs": [["a"], "b"]}, "inputs: expected one text or a batch"),
    ("/predict", {"inputs": []}, "inputs: the list is empty"),
    ("/predict", {"inputs": [[]]}, "inputs: text 1: expected a list of one text, not of 0"),
    ("/predict", {"inputs": " \n"}, "inputs: the text is empty"),
    ("/predict", {"inputs": None}, "inputs: expected a text, not null"),
    ("/predict", {"inputs": float("nan")}, "inputs: expected a text, not a number"),
    ("/predict", {"inputs": {"text": "a"}}, "inputs: expected a text, not an object"),
    ("/predict", {"inputs": [["a"], ["\ud800"]]}, "inputs: text 2: the text holds half of a surrogate pair"),
    ("/predict", {"input": "a"}, "inputs: the field is missing"),
    ("/predict", {"inputs": "a", "truncate": "yes"}, "truncate: Input should be a valid boolean"),
    ("/predict", {"inputs": "a", "truncation_direction": "Left"}, "truncation_direction: this model's texts are cut"),
    ("/predict", ["a"], "the body: expected a JSON object"),
    ("/predict", "\ud800", "the body: expected a JSON object"),
    ("/", {"inputs": ["a", ""]}, "inputs: text 2: the text is empty"),
    ("/", {"inputs": [["a"]]}, "inputs: text 1: expected a text, not a list"),
    ("/", {"inputs": "a", "parameters": {"top_k": 0}}, "parameters.top_k: "),
    ("/", {"inputs": "a", "parameters": {"top_k": float("inf")}}, "parameters.top_k: "),
    ("/", {"inputs": "a", "parameters": {"function_to_apply": "x"}}, "parameters.function_to_apply: "),
    ("/classify", {"input": [1, 2]}, "input: text 1: expected a text, not a number"),
    ("/classify", {"input": "a", "truncate_prompt_tokens": 5}, "truncate_prompt_tokens: texts are cut at 16 tokens"),
    ("/explain", {"text": True}, "text: expected a text, not true or false"),
]


@pytest.mark.parametrize(("path", "body", "sentence"), BAD, ids=lambda value: json.dumps(value)[:40])
def test_a_bad_field_is_named(client: TestClient, path: str, body: object, sentence: str) -> None:
    answer = client.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(sentence)
    assert answer.json()["error_type"] == "Validation"


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"inputs": "\xff"}', b"[" * 100_000, b'{"inputs": ' + b"9" * 5000 + b"}"]
)
def test_what_is_no_json_is_refused(client: TestClient, body: bytes) -> None:
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"].startswith("the body")


def test_too_many_texts_or_tokens_are_refused(client: TestClient) -> None:
    answer = client.post("/", json={"inputs": ["a dog"] * 9})
    assert (answer.status_code, answer.json()["error"]) == (413, "inputs: 9 texts are more than the 8 allowed")
    answer = client.post("/", json={"inputs": [LONG] * 3})
    assert answer.status_code == 413
    assert "tokens are more than the 100 allowed in a request" in answer.json()["error"]


def test_an_unknown_path_is_answered_in_the_same_form(client: TestClient) -> None:
    answer = client.get("/generate")
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "there is no /generate; see /docs", "error_type": "Http"},
    )
    assert client.get("/predict").json()["error"] == "/predict does not take GET; see /docs"


def test_what_was_done_is_counted(app: Callable[..., Any]) -> None:
    with TestClient(app()) as client:
        client.post("/", json={"inputs": ["a dog", LONG]})
        client.post("/", json={})
        client.get("/secret-path")
        lines = client.get("/metrics").text.splitlines()
    assert 'feathertune_requests_total{path="/",status="200"} 1.0' in lines
    assert 'feathertune_requests_total{path="/",status="422"} 1.0' in lines
    assert 'feathertune_requests_total{path="other",status="404"} 1.0' in lines
    assert "feathertune_texts_total 2.0" in lines
    assert "feathertune_texts_truncated_total 1.0" in lines
    assert "feathertune_queue_tokens 0.0" in lines


def test_the_documentation_asks_nobody_else(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "POST /classify" in page.text
    assert "https://" not in page.text
    assert "<script" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert client.get("/docs.css").headers["content-type"].startswith("text/css")
