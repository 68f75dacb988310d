"""The owner's metrics: counters that move, on a port of their own, without anybody's secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from craft.client.image_sets import upload_files
from tests.service.server import Running, pictures
from tests.service.test_calls import ask


class Metrics:
    """What the owner reads at ``/metrics``."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"

    def text(self) -> str:
        """Return the page as it is."""
        answer = httpx2.get(self._url)
        assert answer.status_code == 200
        return answer.text

    def count(self, name: str, **labels: str) -> float:
        """Return a counter; one that was never counted is 0."""
        families = text_string_to_metric_families(self.text())
        samples = (sample for family in families for sample in family.samples)
        found = [one.value for one in samples if (one.name, one.labels) == (name, labels)]
        return sum(found)


@pytest.fixture
def metrics(server: Running) -> Iterator[Metrics]:
    listening = server.service.metrics.serve(0)
    assert listening.server_address[0] == "127.0.0.1"
    yield Metrics(listening.server_port)
    listening.shutdown()
    listening.server_close()


def test_charged_questions_move_the_counters_of_their_key_and_replays_do_not(
    server: Running, metrics: Metrics
) -> None:
    client, other = (server.client(server.key(name)) for name in ("counted", "idle"))
    own = {"key": "counted", "purpose": "search"}
    assert metrics.count("craft_queries_total", **own) == 0
    for expected in (3, 6):
        assert ask(client, f"question-{expected}").status_code == 200
        assert metrics.count("craft_queries_total", **own) == expected
        assert metrics.count("craft_scorings_total", **own) == 6 * expected
    ask(client, "question-3")
    assert metrics.count("craft_queries_total", **own) == 6
    other.get("/v1/usage")
    assert metrics.count("craft_queries_total", **own | {"key": "idle"}) == 0


@pytest.mark.parametrize(
    ("call", "path", "status"),
    [("/v1/usage", "/v1/usage", "401"), ("/secret/path?key=x", "other", "404")],
)
def test_calls_are_counted_by_route_and_status(
    call: str, path: str, status: str, server: Running, metrics: Metrics
) -> None:
    before = metrics.count("craft_calls_total", path=path, status=status)
    assert str(server.client().get(call).status_code) == status
    assert metrics.count("craft_calls_total", path=path, status=status) == before + 1
    assert "secret" not in metrics.text()


def test_they_hold_no_key_and_nothing_of_what_was_asked(
    server: Running, metrics: Metrics, tmp_path: Path
) -> None:
    key = server.key("uploader")
    upload_files(server.connection(key), "hidden-set", pictures(tmp_path))
    server.connection(key).task(["hidden class"], "a {}")
    assert ask(server.client(key), "hidden-call", image_set="hidden-set").status_code == 200
    said = metrics.text()
    assert 'key="uploader"' in said and "hidden" not in said
    assert not any(secret[6:] in said for secret in server.secrets.values())


@pytest.mark.parametrize("granted", [True, False])
def test_no_key_reads_them_from_the_service(granted: bool, server: Running) -> None:
    key = server.key(f"reader {granted}") if granted else None
    assert server.client(key).get("/metrics").status_code == 404
