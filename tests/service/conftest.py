"""One service for all tests that do not stop it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from craft.service.limits import Limits
from tests.service.server import Running, serving, settings


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service of mini-rn, with short waits."""
    limits = Limits(
        body_bytes=1 << 20,
        json_bytes=1 << 16,
        upload_bytes=4 << 20,
        images=200,
        head_seconds=1.0,
        body_seconds=1.0,
        upload_seconds=1.0,
        idle_seconds=1.0,
    )
    with serving(settings(tmp_path_factory.mktemp("service"), limits=limits)) as running:
        yield running


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
