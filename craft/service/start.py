"""Start a service: open its database, load its model, encode the owner's images, listen."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import uvicorn
from threadpoolctl import threadpool_limits
from uvicorn.protocols.http.h11_impl import H11Protocol

from craft.client.wire import PROBLEM
from craft.files import yaml12
from craft.service.app import Service, create_app
from craft.service.charges import forget_old
from craft.service.database import Database
from craft.service.documents import TaskRequest
from craft.service.limits import Limits
from craft.service.metrics import Metrics
from craft.service.model import Model, Task
from craft.service.tasks import OWNER, store

log = logging.getLogger("craft.service")

#: Suffixes of image files in the owner's folders.
IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ServeError(ValueError):
    """The settings of a service are invalid."""


@dataclass(frozen=True)
class Settings:
    """Settings of a service."""

    backbone: Path
    keys: Path
    images: Mapping[str, Path] = field(default_factory=dict)
    tasks: Path | None = None
    reading: str = "shown"
    host: str = "127.0.0.1"
    port: int = 8000
    metrics_port: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1
    limits: Limits = field(default_factory=Limits)


def build(settings: Settings) -> Service:
    """Return a service that is ready to answer; raises ServeError and errors of its files."""
    torch.set_num_threads(settings.threads)
    database = Database(settings.keys)
    forget_old(database)
    model = Model(settings.backbone, settings.device, settings.dtype, settings.threads)
    service = Service(model, database, settings.limits, Metrics())
    for name, task in _tasks(settings.tasks).items():
        length = model.tower(task).context_length
        store(database, OWNER, name, task, length, settings.limits.tasks_per_key)
    for name, folder in settings.images.items():
        files = _files(folder)
        service.image_sets.upload(None, name, folder, files, settings.reading)
        log.info("image set %s: %d images of %s", name, len(files), folder)
    log.info("model %s, revision %s", model.name, model.revision)
    return service


def _tasks(path: Path | None) -> dict[str, Task]:
    if path is None:
        return {}
    found = {}
    for name, content in yaml12.read(path).items():
        try:
            asked = TaskRequest.model_validate(content, strict=True)
        except ValueError as error:
            raise ServeError(
                f"{path}: {name}: expected class_names and a template ({error})"
            ) from None
        found[name] = Task(tuple(asked.class_names), asked.template, asked.context_words)
    return found


def _files(folder: Path) -> Sequence[str]:
    if not folder.is_dir():
        raise ServeError(f"{folder}: expected a folder of images, got none")
    found = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGES and path.is_file()
    )
    if not found:
        raise ServeError(f"{folder}: expected images ({', '.join(IMAGES)}), got none")
    return found


def serve(settings: Settings) -> None:
    """Serve until a signal arrives. Raises ServeError if it cannot listen on the address."""
    if settings.host not in _LOOPBACK:
        log.warning(
            "%s: reachable from other machines; keys and images travel unencrypted unless a proxy "
            "with TLS is in front of it (docs/serving.md)",
            settings.host,
        )
    listening = _listen(settings.host, settings.port)
    with threadpool_limits(1, user_api="blas"):
        service = build(settings)
        if settings.metrics_port is not None:
            metrics = service.metrics.serve(settings.metrics_port)
            log.info("metrics on http://127.0.0.1:%d/metrics", metrics.server_port)
        host, port = listening.getsockname()[:2]
        log.info("serving on http://%s:%d", f"[{host}]" if ":" in host else host, port)
        server = uvicorn.Server(config(service))
        # craft.runtime.signals handles signals; the server then finishes calls in progress.
        asyncio.run(server.serve(sockets=[listening]))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
    except OSError as error:
        raise ServeError(
            f"address: expected one to listen on, got {host}:{port} ({error.strerror})"
        ) from None
    opened.listen()  # from here on, clients wait instead of being refused
    return opened


def config(service: Service) -> uvicorn.Config:
    """Return uvicorn's configuration for a service."""
    head = service.limits.head_seconds

    class Patient(_Impatient):
        seconds = head

    return uvicorn.Config(
        create_app(service),
        http=Patient,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=1000,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=30,
    )


_LATE = (
    b'{"type":"about:blank","title":"Request Timeout","status":408,'
    b'"detail":"expected a request\'s head in time"}'
)


class _Impatient(H11Protocol):
    """A connection that ends if its first request is late."""

    seconds = 10.0

    def connection_made(self, transport: Any) -> None:
        """Start the clock."""
        super().connection_made(transport)
        self._late = self.loop.call_later(self.seconds, self._end)

    def handle_events(self) -> None:
        """Stop the clock at the first request."""
        super().handle_events()
        if self.scope is not None:
            self._late.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._late.cancel()
        super().connection_lost(exc)

    def _end(self) -> None:
        if self.scope is None and not self.transport.is_closing():
            head = (
                f"HTTP/1.1 408 Request Timeout\r\nContent-Type: {PROBLEM}\r\nConnection: close\r\n"
            )
            head += f"Content-Length: {len(_LATE)}\r\n\r\n"
            self.transport.write(head.encode() + _LATE)
            self.transport.close()
