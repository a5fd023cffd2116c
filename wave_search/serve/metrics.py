"""Figures of the running server, in the text format of Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0, generate_latest
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from wave_search.serve.service import Service

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
metrics_router = APIRouter()


class Metrics:
    """Counts the answers of a server, and describes its state when asked. Safe to use from several threads.

    Args:
        service: whose state.
    """

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "wave_search_requests", "Answered requests.", ("route", "status"), registry=self._registry
        )
        self._latencies = Histogram(
            "wave_search_request_seconds",
            "Time from a request to the beginning of its answer.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(_State(service))
        ProcessCollector(registry=self._registry)

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count an answer that has begun."""
        self._requests.labels(route, str(status)).inc()
        self._latencies.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all figures."""
        return generate_latest(self._registry)


class _State(Collector):
    """The figures that are read when they are asked for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Read them."""
        service = self._service
        described = service.library.describe()
        for name, lane in (("searches", service.searches), ("conversions", service.conversions)):
            counts = GaugeMetricFamily(f"wave_search_{name}", f"Number of {name} now.", labels=("state",))
            counts.add_metric(("running",), lane.running)
            counts.add_metric(("waiting",), lane.waiting)
            yield counts
            yield CounterMetricFamily(f"wave_search_{name}_refused", f"Refused {name}.", lane.refused)
        yield GaugeMetricFamily(
            "wave_search_index_version", "Number of the version that is served.", described.index_version
        )
        for name, by, numbers in (
            ("segments", "modality", described.segments),
            ("files", "kind", described.files),
        ):
            held = GaugeMetricFamily(f"wave_search_index_{name}", f"Indexed {name}.", labels=(by,))
            for value, number in numbers.items():
                held.add_metric((value,), number)
            yield held
        size_bytes = service.previews.size_bytes
        yield GaugeMetricFamily("wave_search_cache_bytes", "Disk space of the previews.", size_bytes)
        processes = service.previews.decoder_processes + service.library.index().decoder_processes
        yield GaugeMetricFamily("wave_search_decoder_processes", "Number of decoder processes.", processes)


class Measured:
    """ASGI middleware that counts what is answered, and how soon."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.count(_route(scope), message["status"], time.perf_counter() - began_s)
            await send(message)

        await self._app(scope, receive, sending)


def _route(scope: Scope) -> str:
    """Return the pattern of a path. There are few, whatever is asked for."""
    pattern = getattr(scope.get("route"), "path", None)
    if pattern is None:
        return "page"
    own = pattern.split("/")[1:]  # below the prefix with which its router is included
    return "/".join([*scope["path"].split("/")[: -len(own)], *own])


@metrics_router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Figures of the server for Prometheus: requests, searches, index, previews, memory."""
    text = await run_in_threadpool(request.app.state.metrics.text)
    return Response(text, headers={"content-type": CONTENT_TYPE_PLAIN_1_0_0})
