"""Requests meet in batches: a queue, and one thread that computes.

While a batch is computed, others wait, and the next batch takes from all of them: in turns, each request a share of the
token budget, so that a single text never waits for a request of thousands. An idle server starts at once; only where
the last batch had several requests does the next one wait a moment for those that are about to arrive. Who shares a
batch has no influence on the answers (`Predictor.predict`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from feathertune.errors import UserError
from feathertune.server.metrics import Metrics
from feathertune.server.refusals import overloaded
from feathertune.server.settings import Settings
from feathertune.serving.predictor import Prediction, Predictor

_SHARES = 8  # a request takes at most this part of a batch before all others had their turn
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Job:
    """The texts of one request.

    Attributes:
        texts, tokens: what to predict, and how many tokens of each text are read.
        taken: how many of them are in a batch, or were.
        answers: of the first of them.
        done: becomes `answers` when they are complete.
    """

    texts: Sequence[str]
    tokens: Sequence[int]
    done: asyncio.Future[list[Prediction]]
    taken: int = 0
    answers: list[Prediction] = field(default_factory=list)

    @property
    def waiting_tokens(self) -> int:
        return sum(self.tokens[self.taken :])


class Batcher:
    """Predicts the texts of many requests. Belongs to one event loop; see `start` and `stop`."""

    def __init__(self, predictor: Predictor, settings: Settings, metrics: Metrics) -> None:
        self._predictor, self._settings, self._metrics = predictor, settings, metrics
        self._jobs: deque[_Job] = deque()
        self._queued_tokens = 0
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._task: asyncio.Task[None] | None = None
        self._tokens_per_second = 10_000.0  # a guess until the first batches are measured

    def start(self) -> None:
        """Start taking jobs."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Stop once all jobs are answered."""
        while self._jobs:
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown()

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
        if self._queued_tokens and self._queued_tokens + total > self._settings.max_queue_tokens:
            seconds = max(1, round(self._queued_tokens / self._tokens_per_second))
            raise overloaded("the server is overloaded: too many texts wait for their answer", seconds)
        job = _Job(texts, tokens, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._count_queued(total)
        self._arrived.set()
        try:
            return await job.done
        finally:
            if job in self._jobs:  # given up: the client has gone, or the server stops
                self._jobs.remove(job)
                self._count_queued(-job.waiting_tokens)

    def _count_queued(self, tokens: int) -> None:
        self._queued_tokens += tokens
        self._metrics.queue_tokens.set(self._queued_tokens)

    async def _work(self) -> None:
        loop, shared = asyncio.get_running_loop(), False
        while True:
            await self._arrived.wait()
            if shared and self._queued_tokens < self._settings.max_batch_tokens:
                await asyncio.sleep(self._settings.max_wait)
            parts = self._next_batch()
            if not self._jobs:
                self._arrived.clear()
            if not parts:
                continue
            shared = len(parts) > 1
            started = time.perf_counter()
            await loop.run_in_executor(self._thread, self._compute, parts)
            self._finish(parts, time.perf_counter() - started)

    def _next_batch(self) -> list[_Part]:
        """What is computed next: a part of each request in turn, until the budget is used up."""
        budget = self._settings.max_batch_tokens
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
            self._count_queued(-sum(job.tokens[begin : job.taken]))
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

    def _finish(self, parts: list[_Part], seconds: float) -> None:
        """Hand the answers on."""
        tokens = sum(sum(part.job.tokens[part.begin : part.end]) for part in parts)
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
            job.answers.extend(part.answers)
            if len(job.answers) == len(job.texts):
                job.done.set_result(job.answers)


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
