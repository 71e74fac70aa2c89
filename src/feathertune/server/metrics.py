"""What a server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_POWERS = tuple(float(2**power) for power in range(15))


class Metrics:
    """The metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = to = CollectorRegistry()
        self.requests = Counter("feathertune_requests", "Requests answered.", ["path", "status"], registry=to)
        self.seconds = Histogram(
            "feathertune_request_seconds",
            "From a request's head to its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=to,
        )
        self.in_progress = Gauge("feathertune_requests_in_progress", "Requests in progress.", registry=to)
        self.texts = Counter("feathertune_texts", "Texts predicted.", registry=to)
        self.truncated = Counter("feathertune_texts_truncated", "Texts that were cut.", registry=to)
        self.batch_seconds = Histogram(
            "feathertune_batch_seconds", "Computing one batch.", buckets=_SECONDS, registry=to
        )
        self.batch_tokens = Histogram(
            "feathertune_batch_tokens", "Tokens predicted together.", buckets=_POWERS, registry=to
        )
        self.batch_requests = Histogram(
            "feathertune_batch_requests", "Requests that shared a batch.", buckets=_POWERS[:10], registry=to
        )
        self.queue_tokens = Gauge("feathertune_queue_tokens", "Tokens that wait.", registry=to)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self.registry)
