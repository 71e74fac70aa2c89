"""Requests meet in batches: a queue, and workers that compute, each in a thread and on its share of the cores.

While batches are computed, others wait, and the next batch takes from all of them: in turns, each request a share of
the token budget, so that a single text never waits for a request of thousands. An idle worker starts at once; only
where its last batch had several requests does the next one wait a moment for those that are about to arrive. Where
several workers are idle, each takes its part of what waits. Who shares a batch has no influence on the answers
(`Predictor.predict`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from feathertune.errors import UserError
from feathertune.server.metrics import Metrics
from feathertune.server.refusals import overloaded
from feathertune.server.settings import MIN_QUEUE, Settings
from feathertune.serving.predictor import Prediction, Predictor

_SHARES = 8  # a request takes at most this part of a batch before all others had their turn
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Job:
    """The texts of one request.

    Attributes:
        texts, tokens: what to predict, and how many tokens of each text are read.
        waiting_tokens: of the texts that are in no batch yet.
        taken: how many texts are in a batch, or were.
        answers: text -> its prediction, as far as they are computed.
        done: becomes the answers when they are complete.
    """

    texts: Sequence[str]
    tokens: Sequence[int]
    waiting_tokens: int
    done: asyncio.Future[list[Prediction]]
    taken: int = 0
    answers: dict[int, Prediction] = field(default_factory=dict)


class Batcher:
    """Predicts the texts of many requests. Belongs to one event loop; see `start` and `stop`."""

    def __init__(self, predictor: Predictor, settings: Settings, metrics: Metrics) -> None:
        self._predictor, self._settings, self._metrics = predictor, settings, metrics
        self._jobs: deque[_Job] = deque()
        self._queued_tokens = 0
        self._arrived = asyncio.Event()
        self._threads = ThreadPoolExecutor(
            settings.workers, thread_name_prefix="predict", initializer=predictor.begin_thread
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._idle = self._computing_tokens = 0
        self._overload = _Overload()
        self._tokens_per_second = 10_000.0  # of one worker: a guess until the first batches are measured

    def start(self) -> None:
        """Start taking jobs."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._work()) for _ in range(self._settings.workers)]

    async def stop(self) -> None:
        """Stop once all jobs are answered."""
        while self._jobs or self._computing_tokens:
            await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown()

    async def predict(self, texts: Sequence[str], tokens: Sequence[int]) -> list[Prediction]:
        """One prediction for each text.

        Args:
            texts: at least one.
            tokens: how many tokens of each are read.

        Raises:
            Refusal: 429, the queue is full.
            UserError: of `Predictor.predict`.
        """
        total = sum(tokens)
        self.admit(total)
        job = _Job(texts, tokens, total, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._count_queued(total)
        self._arrived.set()
        try:
            return await job.done
        finally:
            if job in self._jobs:  # given up: the client has gone, or the server stops
                self._jobs.remove(job)
                self._count_queued(-job.waiting_tokens)

    def admit(self, tokens: int = 0) -> None:
        """Raise a Refusal (429) if a request of so many tokens must not wait here."""
        rate = self._tokens_per_second * self._settings.workers
        too_many = self._queued_tokens and self._queued_tokens + tokens > self._settings.max_queue_tokens
        long = len(self._jobs) >= MIN_QUEUE and self._tokens_before() / rate > self._settings.max_queue_seconds
        if too_many or self._overload.refuses(long=bool(long), now=time.monotonic()):
            seconds = max(1, round(self._queued_tokens / rate))
            raise overloaded("the server is overloaded: too many texts wait for their answer", seconds)

    def _tokens_before(self) -> int:
        """What is computed before a new request: the batches in progress, and of each request a share, or its rest."""
        share = max(1, self._settings.max_batch_tokens // _SHARES)
        return self._computing_tokens + sum(min(job.waiting_tokens, share) for job in self._jobs)

    def _count_queued(self, tokens: int) -> None:
        self._queued_tokens += tokens
        self._metrics.queue_tokens.set(self._queued_tokens)

    async def _work(self) -> None:
        """One worker."""
        loop, shared = asyncio.get_running_loop(), False
        while True:
            self._idle += 1
            await self._arrived.wait()
            if shared and self._queued_tokens < self._settings.max_batch_tokens:
                await asyncio.sleep(self._settings.max_wait)
            parts = self._next_batch()
            self._idle -= 1
            if not self._jobs:
                self._arrived.clear()
            if not parts:
                continue
            shared = len(parts) > 1
            tokens = sum(sum(part.job.tokens[part.begin : part.end]) for part in parts)
            self._computing_tokens += tokens
            started = time.perf_counter()
            await loop.run_in_executor(self._threads, self._compute, parts)
            self._computing_tokens -= tokens
            self._finish(parts, tokens, time.perf_counter() - started)

    def _next_batch(self) -> list[_Part]:
        """What is computed next: a part of each request in turn, until the budget is used up."""
        # Workers that are idle, this one among them, share what waits.
        budget = min(self._settings.max_batch_tokens, max(1, math.ceil(self._queued_tokens / max(1, self._idle))))
        parts: dict[_Job, _Part] = {}
        left, share = budget, max(1, budget // _SHARES)
        while self._jobs and left > 0:
            job = self._jobs.popleft()
            if job not in parts:
                parts[job] = _Part(job, job.taken, job.taken)
            begin, used = job.taken, 0
            while job.taken < len(job.texts) and used < min(share, left):
                used += job.tokens[job.taken]
                if used > left and (len(parts) > 1 or job.taken > parts[job].begin):  # it would be too much
                    used -= job.tokens[job.taken]
                    left = 0
                    break
                job.taken += 1
            parts[job].end = job.taken
            taken = sum(job.tokens[begin : job.taken])
            job.waiting_tokens -= taken
            self._count_queued(-taken)
            left -= used
            if job.taken == begin:
                self._jobs.appendleft(job)  # its next text is the first of the next batch
            elif job.taken < len(job.texts):
                self._jobs.append(job)
        return [part for part in parts.values() if part.end > part.begin]

    def _compute(self, parts: list[_Part]) -> None:
        """In the thread: the answers to all parts, or where a text is at fault, to each part that it is not in."""
        try:
            predictions = self._predictor.predict([text for part in parts for text in part.texts])
        except UserError as error:
            if len(parts) == 1:
                parts[0].error = error
                return
            for part in parts:
                self._compute([part])
            return
        except Exception as error:
            _log.exception("a batch failed")
            for part in parts:
                part.error = error
            return
        begin = 0
        for part in parts:
            part.answers = predictions[begin : begin + len(part.texts)]
            begin += len(part.texts)

    def _finish(self, parts: list[_Part], tokens: int, seconds: float) -> None:
        """Hand the answers on."""
        self._tokens_per_second += 0.1 * (tokens / max(seconds, 1e-6) - self._tokens_per_second)
        self._metrics.batch_seconds.observe(seconds)
        self._metrics.batch_tokens.observe(tokens)
        self._metrics.batch_requests.observe(len(parts))
        for part in parts:
            job = part.job
            if job.done.done():  # cancelled
                continue
            if part.error is not None:
                job.done.set_exception(part.error)
                continue
            self._metrics.texts.inc(len(part.answers))
            self._metrics.truncated.inc(sum(answer.truncated for answer in part.answers))
            job.answers.update(enumerate(part.answers, part.begin))
            if len(job.answers) == len(job.texts):
                job.done.set_result([job.answers[index] for index in range(len(job.texts))])


class _Overload:
    """Tells a burst, which is taken, from an overload, in which nobody waits long.

    The queue may be too long now and then, and for `BURST` seconds. If it is so for longer, at intervals of less than
    `GAP` seconds, those who would wait in it are refused, until for `CALM` seconds nobody had to be.
    """

    BURST, GAP, CALM = 0.2, 0.5, 10.0

    def __init__(self) -> None:
        self._began = self._last = -math.inf  # when it was too long, first and last
        self._refused = -math.inf  # when the last one was

    def refuses(self, *, long: bool, now: float) -> bool:
        """Whether a request that comes now is refused, where the queue is too long or not."""
        if not long:
            return False
        if now - self._last > self.GAP:
            self._began = now
        self._last = now
        if now - self._began <= self.BURST and now - self._refused > self.CALM:
            return False
        self._refused = now
        return True


@dataclass(eq=False)
class _Part:
    """The texts `begin` to `end` of a job, in one batch."""

    job: _Job
    begin: int
    end: int
    answers: list[Prediction] = field(default_factory=list)
    error: Exception | None = None

    @property
    def texts(self) -> Sequence[str]:
        return self.job.texts[self.begin : self.end]
