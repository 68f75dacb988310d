"""A service on the loopback for tests: in a thread of this process, or a process of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import uvicorn
import yaml
from PIL import Image

from craft.client.connection import Connection
from craft.service import keys
from craft.service.database import Database
from craft.service.service import Service
from craft.service.start import Settings, build, config
from tests.service.forks import Fork

ROOT = Path(__file__).resolve().parents[2]
BACKBONE = ROOT / "config/backbones/mini-rn.yaml"
CLASSES = ["circle", "square", "star", "cross", "heart"]
EVERYTHING = ("predictions", "texts", "features")


def pictures(folder: Path, count: int = 6, seed: int = 0) -> list[Path]:
    """Write PNG files of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    files = [folder / f"{n}.png" for n in range(count)]
    for file in files:
        Image.fromarray(rng.integers(0, 255, (40, 32, 3), dtype=np.uint8)).save(file)
    return files


def settings(folder: Path, **changes: Any) -> Settings:
    """Return settings of a service of mini-rn with one task and one image set of the owner."""
    pictures(folder / "pictures")
    tasks = folder / "tasks.yaml"
    tasks.write_text(yaml.safe_dump({"shapes": {"class_names": CLASSES}}))
    given = Settings(
        backbone=BACKBONE,
        keys=folder / "keys.sqlite",
        images={"pictures": folder / "pictures"},
        tasks=tasks,
        port=0,
    )
    return replace(given, **changes)


@dataclass
class Running:
    """A service that answers."""

    url: str
    database: Database
    service: Service | None = None  # where it runs in this process
    secrets: dict[str, str] = field(default_factory=dict)

    def key(self, name: str, **grants: Any) -> str:
        """Add a key and return it."""
        given = {"access": EVERYTHING, "makes_tasks": True} | grants
        self.secrets[name] = keys.add(self.database, name, **given)
        return self.secrets[name]

    def connection(self, key: str, **options: Any) -> Connection:
        """Return a connection of a key."""
        return Connection(self.url, key, **options)

    def client(self, key: str | None = None) -> httpx2.Client:
        """Return a plain HTTP client."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=60)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)


@contextlib.contextmanager
def serving(given: Settings) -> Iterator[Running]:
    """Serve in a thread of this process."""
    service = build(given)
    opened = socket.socket()
    opened.bind(("127.0.0.1", 0))
    opened.listen()
    server = uvicorn.Server(config(service))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    try:
        port = opened.getsockname()[1]
        yield Running(f"http://127.0.0.1:{port}", service.database, service)
    finally:
        server.should_exit = True
        thread.join(30)
        opened.close()


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Process:
    """``craft serve`` in a process of its own, which a test may kill and start again."""

    def __init__(self, folder: Path, *options: str) -> None:
        given = settings(folder)
        self._log = folder / "serve.log"
        self._log.touch()
        port = free_port()
        self._arguments = [
            *("serve", "--port", str(port), "--backbone", str(given.backbone)),
            *("--keys", str(given.keys), "--tasks", str(given.tasks)),
            *("--images", f"pictures={folder / 'pictures'}", *options),
        ]
        self.running = Running(f"http://127.0.0.1:{port}", Database(given.keys))
        self._fork: Fork | None = None

    @property
    def log(self) -> str:
        """All that it said."""
        return self._log.read_text()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        before, end = len(self.log), time.monotonic() + 120
        self._fork = Fork("craft.console", self._arguments, self._log)
        while "startup complete" not in self.log[before:]:
            assert self._fork.status is None and time.monotonic() < end, self.log
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._fork.kill()

    def stop(self) -> int:
        """Ask it to end; return its exit status."""
        self._fork.terminate()
        return self._fork.wait()


def raw(address: tuple[str, int], parts: Sequence[bytes], pause: float = 0.0) -> bytes:
    """Send bytes as they are, and return what comes back until the other side closes."""
    with socket.create_connection(address, timeout=60) as opened:
        for part in parts:
            opened.sendall(part)
            time.sleep(pause)
        found = b""
        with contextlib.suppress(ConnectionError):
            while piece := opened.recv(1 << 16):
                found += piece
        return found
