"""Requests in one queue: the same answers as alone, a fair share for each, and no request harmed by another."""

import asyncio
import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from feathertune.errors import TextError
from feathertune.export.exporting import export_run
from feathertune.server.batching import Batcher, _Overload
from feathertune.server.metrics import Metrics
from feathertune.server.refusals import Refusal
from feathertune.server.settings import Settings
from feathertune.serving.predictor import Prediction, Predictor
from tiny import WORDS


class Recorder:
    """A predictor that notes its batches, and waits in the first one until it is let go."""

    max_length = 16

    def __init__(self, *, waits: bool = False) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Event()
        if not waits:
            self.go.set()

    def begin_thread(self) -> None:
        self.threads = {*getattr(self, "threads", ()), threading.get_ident()}

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        self.batches.append(list(texts))
        assert self.go.wait(10)
        if "bad" in texts:
            raise TextError("the text is bad", list(texts).index("bad"))
        if "bug" in texts:
            raise ZeroDivisionError
        return [Prediction(text, "yes", 1.0, {"yes": 1.0}) for text in texts]


def with_batcher(predictor: Any, use: Callable[[Batcher], Any], **settings: Any) -> Any:
    async def main() -> Any:
        batcher = Batcher(predictor, Settings(**settings), Metrics())
        batcher.start()
        try:
            return await use(batcher)
        finally:
            await batcher.stop()

    return asyncio.run(main())


async def held(batcher: Batcher, recorder: Recorder) -> asyncio.Task[Any]:
    """A request whose batch is being computed, so that what follows waits."""
    first = asyncio.create_task(batcher.predict(["first"], [1]))
    while not recorder.batches:
        await asyncio.sleep(0.001)
    return first


@pytest.mark.parametrize("kind", ["lora", "int8", "onnx", "onnx-int8", "bag_of_words"])
def test_answers_under_load_equal_those_of_predict_bit_for_bit(
    kind: str, trained: Callable[..., Path], tmp_path: Path
) -> None:
    if kind.startswith("onnx"):
        pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
        run = trained("int8", "quantize={weights: int8, training: ptq}") if kind == "onnx-int8" else trained("lora")
        export_run(run, "onnx", tmp_path / "onnx")
        path = tmp_path / "onnx"
    else:
        changes = {"int8": ["quantize={weights: int8, training: ptq}"], "bag_of_words": ["method=bag_of_words"]}
        path = trained(kind, *changes.get(kind, []))
    predictor, draw = Predictor(path, independent=True, threads=1), random.Random(0)  # noqa: S311 - texts, no secrets
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 20))) for _ in range(300)]
    by_all_cores = Predictor(path, independent=True)
    wanted = {text: (by_all_cores if number % 2 else predictor).predict(text)[0] for number, text in enumerate(texts)}

    async def load(batcher: Batcher) -> int:
        async def client(size: int) -> int:
            differing = 0
            for _ in range(6):
                chosen = draw.choices(texts, k=size)
                tokens = [min(count, predictor.max_length or count) for count in predictor.token_counts(chosen)]
                answers = await batcher.predict(chosen, tokens)
                differing += sum(answer != wanted[text] for answer, text in zip(answers, chosen, strict=True))
                await asyncio.sleep(draw.random() / 500)
            return differing

        return sum(await asyncio.gather(*(client(size) for size in [1] * 12 + [2, 5, 60, 250])))

    assert with_batcher(predictor, load, max_batch_tokens=256, workers=3) == 0


def test_one_text_does_not_wait_for_a_request_of_thousands() -> None:
    recorder = Recorder(waits=True)

    async def use(batcher: Batcher) -> None:
        first = await held(batcher, recorder)
        many = asyncio.create_task(batcher.predict(["many"] * 3000, [10] * 3000))
        ones = [asyncio.create_task(batcher.predict([f"one {number}"], [10])) for number in range(5)]
        await asyncio.sleep(0.01)
        recorder.go.set()
        await asyncio.gather(first, *ones)
        assert not many.done()
        assert len(await many) == 3000

    with_batcher(recorder, use, max_batch_tokens=160)
    assert recorder.batches[1].count("many") == 11  # what is left of 16, once all had their turn
    assert {text for text in recorder.batches[1] if text != "many"} == {f"one {number}" for number in range(5)}
    assert all(len(batch) <= 16 for batch in recorder.batches)


def test_two_long_requests_share_batches_and_keep_their_order() -> None:
    recorder = Recorder(waits=True)

    async def use(batcher: Batcher) -> None:
        first = await held(batcher, recorder)
        a = asyncio.create_task(batcher.predict([f"a{number}" for number in range(40)], [10] * 40))
        b = asyncio.create_task(batcher.predict([f"b{number}" for number in range(40)], [10] * 40))
        await asyncio.sleep(0.01)
        recorder.go.set()
        await first
        assert [one.text for one in await a] == [f"a{number}" for number in range(40)]
        assert [one.text for one in await b] == [f"b{number}" for number in range(40)]

    with_batcher(recorder, use, max_batch_tokens=160)
    assert [sum(text[0] == name for text in recorder.batches[1]) for name in "ab"] == [8, 8]


def test_idle_workers_share_what_waits_and_answers_keep_their_order() -> None:
    recorder = Recorder(waits=True)

    async def use(batcher: Batcher) -> None:
        request = asyncio.create_task(batcher.predict([f"a{number}" for number in range(40)], [10] * 40))
        while len(recorder.batches) < 2:
            await asyncio.sleep(0.001)
        assert [len(batch) for batch in recorder.batches] == [20, 20]
        recorder.go.set()
        assert [one.text for one in await request] == [f"a{number}" for number in range(40)]

    with_batcher(recorder, use, workers=2)
    assert len(recorder.threads) == 2


def test_a_burst_is_taken_and_an_overload_refused_soon() -> None:
    recorder = Recorder(waits=True)

    async def use(batcher: Batcher) -> None:
        first = await held(batcher, recorder)
        burst = [asyncio.create_task(batcher.predict(["a"], [100])) for _ in range(100)]  # 1 s at 10,000 tokens/s
        await asyncio.sleep(0)
        assert not any(one.done() for one in burst)
        await asyncio.sleep(0.25)  # it is no burst any more
        with pytest.raises(Refusal) as refused:
            await batcher.predict(["b"], [1])
        assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
        recorder.go.set()
        await asyncio.gather(first, *burst)
        assert len(await batcher.predict(["c"], [1])) == 1

    with_batcher(recorder, use, max_queue_seconds=0.5)


def test_few_requests_wait_however_slow_the_model_is() -> None:
    recorder = Recorder(waits=True)

    async def use(batcher: Batcher) -> None:
        first = await held(batcher, recorder)
        few = [asyncio.create_task(batcher.predict(["a"], [10_000])) for _ in range(32)]
        await asyncio.sleep(0.25)
        recorder.go.set()
        assert len(await asyncio.gather(first, *few)) == 33

    with_batcher(recorder, use, max_queue_seconds=0.01, max_queue_tokens=10**9)


def test_a_burst_is_no_overload_and_an_overload_has_an_end() -> None:
    overload = _Overload()

    def refused(long: bool, now: float) -> bool:
        return overload.refuses(long=long, now=now)

    assert [refused(True, 0.0), refused(True, 0.2), refused(True, 1.0)] == [False] * 3  # two bursts
    assert [refused(False, 1.1), refused(True, 1.15), refused(True, 1.3)] == [
        False,
        False,
        True,
    ]  # now and then, and on
    assert [refused(False, 1.4), refused(True, 2.0)] == [False, True]  # no further burst so soon
    assert [refused(False, 5.0), refused(True, 12.1), refused(True, 12.2)] == [False] * 3


def test_a_text_beyond_the_budget_is_a_batch_of_its_own() -> None:
    recorder = Recorder()
    with_batcher(recorder, lambda batcher: batcher.predict(["a", "long", "b"], [10, 500, 10]), max_batch_tokens=100)
    assert recorder.batches == [["a"], ["long"], ["b"]]


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    recorder = Recorder(waits=True)

    async def use(batcher: Batcher) -> None:
        first = await held(batcher, recorder)
        waiting = asyncio.create_task(batcher.predict(["a"] * 5, [10] * 5))
        await asyncio.sleep(0.01)
        with pytest.raises(Refusal) as refused:
            await batcher.predict(["b"] * 6, [10] * 6)
        assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
        recorder.go.set()
        await asyncio.gather(first, waiting)
        assert len(await batcher.predict(["c"] * 20, [10] * 20)) == 20  # an empty queue takes any request

    with_batcher(recorder, use, max_queue_tokens=100)


@pytest.mark.parametrize(("word", "error"), [("bad", TextError), ("bug", ZeroDivisionError)])
def test_an_error_in_one_request(word: str, error: type[Exception]) -> None:
    """A text at fault harms its own request only; a bug fails the batch, and the next one is computed."""
    recorder = Recorder(waits=True)

    async def use(batcher: Batcher) -> list[Any]:
        first = await held(batcher, recorder)
        tasks = [asyncio.create_task(batcher.predict([text], [1])) for text in ("a", word, "b")]
        await asyncio.sleep(0.01)
        recorder.go.set()
        await first
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert (await batcher.predict(["after"], [1]))[0].text == "after"
        return outcomes

    a, wrong, b = with_batcher(recorder, use)
    assert isinstance(wrong, error)
    if word == "bad":
        assert (a[0].text, b[0].text) == ("a", "b")


def test_a_request_that_was_given_up_is_not_computed() -> None:
    recorder = Recorder(waits=True)

    async def use(batcher: Batcher) -> None:
        first = await held(batcher, recorder)
        gone = asyncio.create_task(batcher.predict(["gone"] * 3, [1] * 3))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        recorder.go.set()
        await first
        await batcher.predict(["next"], [1])

    with_batcher(recorder, use)
    assert recorder.batches == [["first"], ["next"]]
