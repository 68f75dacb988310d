"""Prometheus counters for the owner, on a separate port."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server


class Metrics:
    """Counters of calls and charges, by path and by the key's name; they never hold a key."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "craft_calls", "Calls by path and status.", ["path", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "craft_call_seconds", "Seconds until a call's head.", ["path"], registry=self.registry
        )
        names = ["key", "purpose"]
        self._queries = Counter("craft_queries", "Queries charged.", names, registry=self.registry)
        self._scorings = Counter(
            "craft_scorings", "Image scorings charged.", names, registry=self.registry
        )

    def charged(self, key: str, purpose: str, queries: int, scorings: int) -> None:
        """Count the charge of a question; a replay (0 queries) counts nothing."""
        if queries:
            self._queries.labels(key, purpose).inc(queries)
            self._scorings.labels(key, purpose).inc(scorings)

    def seen(self, path: str, status: int, seconds: float) -> None:
        """Count a call by the path of its route, not by the client's URL."""
        self._calls.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def serve(self, port: int) -> Any:
        """Serve ``/metrics`` on the loopback interface; return the server."""
        return start_http_server(port, "127.0.0.1", self.registry)[0]


class Counting:
    """Middleware that counts the calls of an application and leaves them unchanged."""

    def __init__(self, app: Any, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a call and count it when its head is sent."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()

        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                path = getattr(scope.get("route"), "path", "other")
                self._metrics.seen(path, message["status"], time.perf_counter() - start)
            await send(message)

        await self._app(scope, receive, counted)
