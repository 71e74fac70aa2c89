"""Exports for browsers: checked in headless Chromium and Node.js, and a page that computes where it is opened."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from browsers import NEEDS_CHROMIUM, NEEDS_PACKAGES, classify, opened, running, violations
from feathertune.errors import UserError
from feathertune.export import web_page
from feathertune.export.exporting import export_run, summary_lines
from feathertune.export.web_page import outputs_of_page
from feathertune.folders.export import ExportFolder
from feathertune.folders.parity import Parity
from feathertune.prediction.inference import predict_logits
from feathertune.run.load import load_trained
from feathertune.serving.predictor import Predictor
from feathertune.web.engine import Answers
from shell import feathertune

pytest.importorskip("onnx", reason="the onnx extra is not installed")
pytestmark = [
    NEEDS_CHROMIUM,
    NEEDS_PACKAGES,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]

DEPLOYING = Path(__file__).resolve().parents[2] / "docs" / "DEPLOYING.md"
TrainedRun = Callable[[str, str], Path]
TEXTS = ["sun moon tree", "a <b>river</b>", "long " * 200]


@pytest.fixture(scope="module")
def pages(trained_run: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """fp32, and int8 with the fp32 one beside it."""
    place = tmp_path_factory.mktemp("pages")
    plain = export_run(trained_run("bert", "fp32"), "web", place / "fp32")
    both = export_run(trained_run("bert", "int8"), "web", place / "int8", beside=[place / "fp32"])
    for export in (plain, both):
        assert export.parity.passed, export.parity.refused
    return {"fp32": plain.folder, "int8": both.folder}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running() as started:
        yield started


class Host(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


class IsolatingHost(Host):
    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


@contextmanager
def hosted(folder: Path, host: type[Host] = Host) -> Iterator[str]:
    """The folder at an address, as any static host gives it: without headers of ours, unless it isolates pages."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(host, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def test_the_gate_asks_the_browser_about_every_row(pages: dict[str, Path]) -> None:
    parity = Parity.read(pages["int8"] / "parity.json")
    hows = ["Chromium, one thread", "Node.js, one thread", "Chromium, several threads"]
    by_way = {check.how: check for check in parity.checks}
    assert set(by_way) <= set(hows)
    assert by_way["Chromium, one thread"].rows == parity.rows == 60
    assert (by_way["Chromium, one thread"].milliseconds or 0) > 0
    missing = [how for how in hows if how not in by_way]
    assert len(parity.not_checked) == len(missing)  # without node, or on one core
    if shutil.which("node"):
        assert by_way["Node.js, one thread"].rows == 60


def test_time_and_size_are_printed(trained_run: TrainedRun, pages: dict[str, Path]) -> None:
    from feathertune.export.exporting import Export

    lines = summary_lines(Export(pages["fp32"], Parity.read(pages["fp32"] / "parity.json")))
    assert any(line.startswith("Chromium, one thread: ") and line.endswith(" ms a text") for line in lines)
    (size,) = [line for line in lines if line.startswith("the page fetches ")]
    plain, sent = (float(word) for word in size.split() if word.replace(".", "").isdigit())
    assert 14.2 < plain < 20  # the wasm alone has 14.2 MB, by gzip 3.7
    assert 3.7 < sent < 5


def test_another_token_or_label_is_refused(trained_run: TrainedRun) -> None:
    trained = load_trained(trained_run("bert", "fp32"))
    tokens = [trained.tokenize([text])[0].tolist() for text in TEXTS]
    logits_NC = predict_logits(trained.classifier, trained.tokenize(TEXTS))
    names = trained.classifier.label_names
    labels = [names[index] for index in trained.decision.classes(trained.decision.probabilities(logits_NC))]
    right = Answers(logits_NC, labels, tokens, milliseconds=1.0, isolated=False)

    def refused(answers: Answers) -> tuple[str, ...]:
        return outputs_of_page("Chromium", answers, trained, TEXTS, None).refused

    assert refused(right) == ()
    assert refused(replace(right, tokens=[[1, 2], *tokens[1:]])) == (
        "the tokens of 1 texts differ, the first of them of 'sun moon tree'",
    )
    other = [names[names.index(label) - 1] for label in labels]
    assert refused(replace(right, labels=other)) == (
        "3 labels do not follow from the logits by temperature and threshold",
    )


def test_without_node_the_gate_says_so(
    trained_run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_page, "find_node", lambda: None)
    monkeypatch.setattr(web_page, "usable_cores", lambda: 1)
    ways = web_page.browser_ways(ExportFolder(tmp_path), TEXTS, load_trained(trained_run("bert", "fp32")), None)
    assert ways.outputs == ()
    assert ways.not_checked == (
        "in Node.js, which is not installed",
        "in Chromium with several threads: this machine has one core",
    )


def test_our_own_runtime_opens_it_too(pages: dict[str, Path], trained_run: TrainedRun) -> None:
    ours = Predictor(trained_run("bert", "fp32")).predict(TEXTS)
    theirs = Predictor(pages["fp32"]).predict(TEXTS)
    assert [one.label for one in theirs] == [one.label for one in ours]
    assert [one.score for one in theirs] == pytest.approx([one.score for one in ours], abs=1e-5)


def test_the_page_computes_without_its_host_and_sends_nothing(browser: Any, pages: dict[str, Path]) -> None:
    with hosted(pages["fp32"]) as address:
        tab, complaints = opened(browser, address)
        tab.wait_for_selector("#about li:has-text('of validation right')")
    requests: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    classify(tab, TEXTS)  # the host has gone
    rows = [[cell.inner_text() for cell in row.locator("td").all()] for row in tab.locator("#rows tr").all()]
    wanted = Predictor(pages["fp32"]).predict([text.strip() for text in TEXTS])
    assert [row[1] for row in rows] == [one.label for one in wanted]
    assert [float(row[2].strip(" %")) for row in rows] == pytest.approx([100 * one.score for one in wanted], abs=0.06)
    assert requests == []
    assert complaints == []
    assert tab.inner_text("#note") == "Texts stay in this browser: nothing is sent."


def test_an_isolated_page_computes_in_threads_within_its_policy(browser: Any, pages: dict[str, Path]) -> None:
    with hosted(pages["fp32"], IsolatingHost) as address:
        tab, complaints = opened(browser, address)
        assert tab.evaluate("crossOriginIsolated")
        classify(tab, TEXTS)
        labels = tab.locator("#rows td:nth-child(2)").all_inner_texts()
        assert labels == [one.label for one in Predictor(pages["fp32"]).predict([text.strip() for text in TEXTS])]
        assert complaints == []


def test_words_are_weighed_in_the_browser_as_a_server_weighs_them(browser: Any, pages: dict[str, Path]) -> None:
    text = "a \U0001f600 sun's tree , the r\u00edver"
    with hosted(pages["fp32"]) as address:
        tab, complaints = opened(browser, address)
        classify(tab, [text, "single"])
        tab.locator("#rows button").first.click()
        tab.wait_for_selector("mark")
        predictor = Predictor(pages["fp32"])
        whole = predictor.predict(text)[0]
        for mark in tab.locator("mark").all():
            word = mark.inner_text()
            assert word in {"a", "sun's", "tree", "the", "r\u00edver"}
            at = text.index(word)
            without = predictor.predict(text[:at] + text[at + len(word) :])[0].probabilities[whole.label]
            points = float(mark.get_attribute("title").split(" is ")[1].split(" points ")[0])
            assert points == pytest.approx(abs(100 * (whole.score - without)), abs=0.11)
        tab.locator("#rows button").last.click()
        tab.wait_for_selector("#status.wrong:has-text('two words at least')")
        assert complaints == []


def test_two_models_side_by_side(browser: Any, pages: dict[str, Path]) -> None:
    texts = [f"{one} {other}" for one in ("sun", "moon", "tree") for other in ("river", "long", "cat")]
    with hosted(pages["int8"]) as address:
        tab, complaints = opened(browser, address, viewport={"width": 360, "height": 700})
        classify(tab, texts)
        names = ["bert-int8", "bert-fp32"]
        assert tab.locator("#heads th").all_inner_texts() == ["Text", *names]
        labels = [tab.locator(f"#rows td[data-name={name}] .label").all_inner_texts() for name in names]
        for name, answers in zip(("int8", "fp32"), labels, strict=True):
            assert answers == [one.label for one in Predictor(pages[name]).predict(texts)]
        apart = sum(one != other for one, other in zip(*labels, strict=True))
        summaries = tab.locator("#summary li").all_inner_texts()
        assert [line.split(":")[0] for line in summaries] == names
        assert all(" ms a text" in line for line in summaries)
        assert f"another label than bert-int8 for {apart} text" in summaries[1]
        tab.check("#only")
        assert tab.locator("#rows tr").count() == apart
        assert violations(tab) == []
        assert complaints == []


def test_opened_as_a_file_the_page_says_what_it_needs(browser: Any, pages: dict[str, Path]) -> None:
    tab = browser.new_page()
    tab.goto((pages["fp32"] / "index.html").as_uri())
    assert "python3 -m http.server" in tab.inner_text("#labels")


@pytest.mark.parametrize(
    ("to", "beside", "what"),
    [
        ("onnx", ["fp32"], "--to onnx has no page that shows several models"),
        ("web", ["fp32", "fp32"], "two models of the page would be called bert-fp32"),
        ("web", ["fp32"] * 3, "a page shows 3 models at most"),
        ("web", ["."], "this is not an export for browsers"),
        ("web", ["other labels"], "this export has other labels"),
        ("web", ["refused"], "the parity gate has refused this export"),
    ],
)
def test_a_model_that_cannot_be_shown_is_refused(
    to: Any, beside: list[str], what: str, pages: dict[str, Path], trained_run: TrainedRun, tmp_path: Path
) -> None:
    others = {**pages, ".": tmp_path, "other labels": tmp_path / "labels", "refused": tmp_path / "refused"}
    for name, file, content in (
        ("other labels", "labels.json", '["no", "maybe"]'),
        ("refused", "parity.json", None),
    ):
        shutil.copytree(pages["fp32"], others[name])
        path = others[name] / file
        parity = json.loads(path.read_text())
        path.write_text(content or json.dumps({**parity, "passed": False, "refused": ["no"]}))
    with pytest.raises(UserError) as error:
        export_run(trained_run("bert", "int8"), to, tmp_path / "out", beside=[others[name] for name in beside])
    assert error.value.what == what
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.refused").exists()


def test_missing_packages_are_named_before_anything_is_written(
    trained_run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATHERTUNE_CACHE", str(tmp_path / "empty"))
    with pytest.raises(UserError, match="the packages that compute in a browser are missing"):
        export_run(trained_run("bert", "int8"), "web", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_commands_in_the_documentation(trained_run: TrainedRun, tmp_path: Path) -> None:
    """Each command of the page's section of docs/DEPLOYING.md, in its order."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node or npm is not installed")
    section = DEPLOYING.read_text(encoding="utf-8").split("## A page that computes in the browser")[1].split("\n## ")[0]
    commands = re.findall(r"^\$ (.*)$", section, re.MULTILINE)
    assert len(commands) == 4
    shutil.copytree(trained_run("bert", "int8"), tmp_path / "runs" / "int8")
    for command in commands:
        program, *rest = shlex.split(command)
        if program == "feathertune":
            done = feathertune(*rest, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
        elif rest[:2] == ["-m", "http.server"]:
            with subprocess.Popen([sys.executable, "-u", *rest, "0"], cwd=tmp_path, stdout=subprocess.PIPE) as host:
                assert host.stdout is not None
                port = re.search(rb"port (\d+)", host.stdout.readline())[1].decode()  # type: ignore[index]
                assert "Content-Security-Policy" in httpx2.get(f"http://127.0.0.1:{port}/").text
                host.terminate()
        else:
            printed = subprocess.run([program, *rest], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
            lines = [line.split("\t") for line in printed.splitlines()]
            wanted = Predictor(tmp_path / "site").predict([text for _, _, text in lines])
            assert [label for label, _, _ in lines] == [one.label for one in wanted]
            assert len(lines) == 2
