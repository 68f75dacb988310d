"""A box of one's own over HTTP, behind the guard, against a service that misbehaves."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import torch

from craft.blackbox.guards.guard import BoxError
from craft.blackbox.guards.predictions import GuardedBox
from craft.learner.collaborative import Collaborative
from craft.protocol import BudgetExceeded, QueryMeter
from tests.conformance.toy import ToyBox


class ApiBox:
    """A model that answers GET /about and POST /predict with JSON."""

    def __init__(self, address: str, budget: int) -> None:
        self._address = address
        about = self._call("about")
        self.context_length = about["context_length"]  # L
        self.context_width = about["context_width"]  # D
        self.embedding_std = about["embedding_std"]  # the unit of an offset
        self.class_names = tuple(about["class_names"])  # K names, in the order of the scores
        self.image_sets = dict(about["image_sets"])  # name -> number of images N
        self.meter = QueryMeter(budget=budget)

    def predict(
        self, image_set: str, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        self.meter.charge(purpose, len(context_offsets))  # before anything is asked
        for offset in context_offsets:  # (L, D) each
            scores = self._call("predict", {"image_set": image_set, "offset": offset.tolist()})
            yield torch.tensor(scores)[None]  # (1, N, K), logits

    def _call(self, name: str, question: dict | None = None) -> object:
        body = None if question is None else json.dumps(question).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._address}/{name}", body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


class Service(ThreadingHTTPServer):
    """A toy model behind HTTP; ``faults`` says what befalls a question, by its number."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.toy, self.questions = ToyBox(), 0
        self.faults: dict[int, Callable[[Handler, list], None]] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Answers /about and /predict."""

    server: Service

    def do_GET(self) -> None:
        """Facts."""
        toy = self.server.toy
        names = ("context_length", "context_width", "embedding_std", "class_names", "image_sets")
        self.answer({name: getattr(toy, name) for name in names})

    def do_POST(self) -> None:
        """Scores of one context, or what befalls the question."""
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        offset = torch.tensor(question["offset"])[None]
        (scores,) = torch.cat(list(self.server.toy.predict(question["image_set"], offset)))
        self.server.questions += 1
        fault = self.server.faults.get(self.server.questions, Handler.answer)
        fault(self, scores.tolist())

    def answer(self, value: Any, status: int = 200) -> None:
        """Send JSON."""
        self.send_text(json.dumps(value), status)

    def send_text(self, text: str, status: int = 200) -> None:
        """Send anything."""
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def slow(handler: Handler, scores: list) -> None:
    time.sleep(3)
    handler.answer(scores)  # right, but nobody waits for it any more


def dies(handler: Handler, scores: list) -> None:
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 100000\r\n\r\n[[0.1, ")


def fails(handler: Handler, scores: list) -> None:
    handler.answer("out of memory", 500)


def web_page(handler: Handler, scores: list) -> None:
    handler.send_text("<html>Maintenance</html>")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Service() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


Tuned = Callable[[], tuple[GuardedBox, Collaborative]]


@pytest.fixture
def tuned(service: Service) -> Tuned:
    """Return what tunes a learner through the service: the box, and the fitted learner."""

    def run() -> tuple[GuardedBox, Collaborative]:
        box = GuardedBox(ApiBox(service.address, budget=400), timeout=2, retries=3, pause=0)
        learner = Collaborative(budget=400, population=20)
        return box, learner.fit(box, service.toy.labels["train"], seed=1)

    return run


def test_a_learner_is_tuned_through_a_service_that_stumbles_and_charged_once(
    service: Service, tuned: Tuned
) -> None:
    # The search's 3rd candidate, one between two generations (a refinement), and others.
    service.faults = {3: slow, 22: dies, 60: fails, 61: web_page, 62: dies}
    box, learner = tuned()
    toy = ToyBox(budget=400)
    direct = Collaborative(budget=400, population=20).fit(toy, toy.labels["train"], seed=1)
    assert box.meter.counts == toy.meter.counts
    assert toy.meter.counts == {"search": 400, "refine": 20, "evaluate": 0}
    assert service.questions == 420 + len(service.faults)
    torch.testing.assert_close(learner.offset_, direct.offset_)


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (dict.fromkeys(range(25, 29), fails), "context 4 of 20: HTTPError: HTTP Error 500"),
        (dict.fromkeys(range(25, 29), web_page), "context 4 of 20: JSONDecodeError"),
        ({25: lambda handler, scores: handler.answer(scores[:-1])}, r"shape \(1, 79, 4\), not"),
        ({25: lambda handler, scores: handler.answer([[0.5] * 3] * 80)}, r"shape \(1, 80, 3\)"),
        (
            {25: lambda handler, scores: handler.answer([[float("nan")] * 4] * 80)},
            "numbers that are not finite",
        ),
    ],
)
def test_a_service_that_stays_broken_is_named(
    service: Service, tuned: Tuned, faults: dict, said: str
) -> None:
    service.faults = faults
    with pytest.raises(BoxError, match=rf"asked for search on 'train', .*{said}"):
        tuned()


def test_a_budget_is_kept_before_anything_is_asked(service: Service) -> None:
    box = GuardedBox(ApiBox(service.address, budget=3), timeout=2, retries=1, pause=0)
    assert len(torch.cat(list(box.predict("train", torch.zeros(2, 2, 3))))) == 2
    with pytest.raises(BudgetExceeded, match="4 search queries asked of a budget of 3"):
        next(box.predict("train", torch.zeros(2, 2, 3)))
    assert service.questions == box.meter.counts["search"] == 2
