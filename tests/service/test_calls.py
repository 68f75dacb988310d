"""What the service answers, charges and refuses, over a real socket."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch

from craft.client.box import HttpBox, HttpFeatureBox, HttpTextBox
from craft.client.connection import ModelChanged, ServiceError
from craft.client.image_sets import select, upload_files
from craft.client.wire import COST, LEFT, PROBLEM, TENSORS, ZIP, pack_offsets, unpack_blocks
from craft.protocol import BlackBox, BudgetExceeded, FeatureBox, QueryMeter
from craft.service import keys
from craft.service.charges import usage
from craft.service.model import Task
from tests.service.server import CLASSES, Running, pictures, serving, settings

OFFSETS = 0.1 * torch.randn(3, 4, 64, generator=torch.Generator().manual_seed(1))
ON = {"task": "shapes", "image_set": "pictures"}


def ask(
    client: httpx2.Client,
    idempotency: str | None,
    content: bytes | None = None,
    path: str = "/v1/predict",
    kind: str = TENSORS,
    **params: str,
) -> httpx2.Response:
    headers = {"Content-Type": kind}
    headers |= {"Idempotency-Key": idempotency} if idempotency else {}
    body = pack_offsets(OFFSETS) if content is None else content
    return client.post(path, params=ON | params, content=body, headers=headers)


def problem(response: httpx2.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    found = response.json()
    assert found["status"] == status and found["title"] and found["detail"]
    return found


def test_scores_are_the_towers_own_and_a_replay_is_free(server: Running) -> None:
    client = server.client(server.key("scores", query_budget=10))
    first = ask(client, "a")
    assert (first.headers[COST], first.headers[LEFT]) == ("3", "7")
    service = server.service
    images = service.image_sets.features(service.image_sets.find("scores", "pictures"))
    text = service.model.tower(Task(tuple(CLASSES), "a photo of a {}.")).encode(OFFSETS)
    expected = service.model.logit_scale * torch.einsum("ne,pke->pnk", images, text)
    torch.testing.assert_close(torch.cat(list(unpack_blocks([first.content]))), expected)
    again = ask(client, "a")
    assert (again.headers[COST], again.headers[LEFT]) == ("0", "7")
    assert again.content == first.content
    assert usage(server.database, "scores")["by"] == [
        {"purpose": "search", "image_set": "pictures", "queries": 3, "scorings": 18}
    ]


def test_json_gives_the_same_scores(server: Running) -> None:
    client = server.client(server.key("json"))
    body = json.dumps({"offsets": OFFSETS.tolist()}).encode()
    headers = {"Idempotency-Key": "a", "Content-Type": "application/json"}
    headers |= {"Accept": "application/json"}
    scores = client.post("/v1/predict", params=ON, content=body, headers=headers).json()["scores"]
    expected = torch.cat(list(unpack_blocks([ask(client, "b").content])))
    torch.testing.assert_close(torch.tensor(scores), expected)


def test_an_idempotency_key_is_needed_and_stands_for_one_question(server: Running) -> None:
    client = server.client(server.key("idempotency"))
    problem(ask(client, None), 400)
    assert ask(client, "a").status_code == 200
    problem(ask(client, "a", pack_offsets(2 * OFFSETS)), 422)
    problem(ask(client, "x" * 256), 422)
    assert usage(server.database, "idempotency")["queries"]["spent"] == 3
    # The purpose is the client's word and no part of the answer.
    assert ask(client, "a", purpose="refine").headers[COST] == "0"


def test_a_budget_refuses_a_call_whole(server: Running) -> None:
    client = server.client(server.key("budget", query_budget=4, scoring_budget=None))
    assert ask(client, "a").status_code == 200
    found = problem(ask(client, "b"), 402)
    assert {name: found[name] for name in ("spent", "asked", "budget", "left")} == {
        "spent": 3,
        "asked": 3,
        "budget": 4,
        "left": 1,
    }
    assert usage(server.database, "budget")["queries"] == {"spent": 3, "budget": 4, "left": 1}
    assert ask(client, "b", pack_offsets(OFFSETS[:1])).headers[LEFT] == "0"
    scorer = server.client(server.key("scorings", scoring_budget=17))
    assert problem(ask(scorer, "a"), 402)["asked"] == 18


def test_a_hundred_queries_are_charged_to_many_threads_and_no_more(tmp_path: Path) -> None:
    # A server with the limits that ship: 32 threads on a busy machine can stall for the second
    # that the shared one grants a body.
    with serving(settings(tmp_path)) as server:
        key, single = server.key("threads", query_budget=100), pack_offsets(OFFSETS[:1])
        statuses: list[int] = []

        def work(thread: int) -> None:
            with server.client(key) as client:
                for number in range(4):
                    while (answer := ask(client, f"{thread}-{number}", single)).status_code in (
                        429,
                        503,
                    ):
                        assert int(answer.headers["Retry-After"]) > 0
                        time.sleep(0.1)
                    statuses.append(answer.status_code)

        with ThreadPoolExecutor(32) as pool:
            list(pool.map(work, range(32)))
        assert Counter(statuses) == {200: 100, 402: 28}
        assert usage(server.database, "threads")["queries"]["spent"] == 100


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"task": "none"}, 404),
        ({"image_set": "none"}, 404),
        ({"image_set": "../x"}, 422),
        ({"purpose": "fun"}, 422),
        ({"kind": "text/plain"}, 415),
        ({"content": b""}, 422),
        ({"content": b"\x80\x04K\x01."}, 422),  # a pickle
        ({"content": pack_offsets(OFFSETS[:0])}, 422),
        ({"content": pack_offsets(OFFSETS[:, :3])}, 422),
        ({"content": pack_offsets(OFFSETS / 0)}, 422),
        ({"content": b'{"offsets": [[[1, 2], [3]]]}', "kind": "application/json"}, 422),
        ({"content": b'{"offsets": [[["a"]]]}', "kind": "application/json"}, 422),
        ({"content": b"[" * 60_000, "kind": "application/json"}, 422),
        ({"content": b" " * 70_000, "kind": "application/json"}, 413),
        ({"content": bytes(2 << 20)}, 413),
    ],
)
def test_what_cannot_be_asked_is_named_and_not_charged(
    server: Running, change: dict[str, Any], status: int, request: pytest.FixtureRequest
) -> None:
    name = f"refused-{request.node.name}"
    problem(ask(server.client(server.key(name)), "a", **change), status)
    assert usage(server.database, name)["queries"]["spent"] == 0


def test_what_is_not_granted_is_refused(server: Running) -> None:
    client = server.client(server.key("poor", access=("predictions",), makes_tasks=False))
    problem(ask(client, "a", b'{"templates": ["a {}"]}', "/v1/texts", "application/json"), 403)
    problem(ask(client, "a", path="/v1/text-features"), 403)
    problem(ask(client, "a", path="/v1/image-features"), 403)
    problem(client.post("/v1/tasks", json={"class_names": ["a"]}), 403)
    assert {"feature_width", "logit_scale"} & {
        name for name, value in client.get("/v1/model").json().items() if value is not None
    } == set()


def test_keys_that_are_wrong_missing_or_revoked_get_one_answer(server: Running) -> None:
    revoked = server.key("revoked")
    keys.revoke(server.database, "revoked")
    answers = [
        ask(server.client(key), "a") for key in (None, "craft_wrong", "\x7f", revoked, "a b c")
    ]
    for answer in answers:
        problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert len({answer.content for answer in answers}) == 1
    with pytest.raises(keys.KeyProblem, match="not revoked"):
        keys.revoke(server.database, "revoked")
    with pytest.raises(keys.KeyProblem, match="unused name"):
        keys.add(server.database, "revoked")


def test_a_calls_rate_fills_evenly_and_no_clock_jump_helps(server: Running) -> None:
    server.key("rate", calls_per_minute=2)
    (key,) = [key for key in keys.listed(server.database) if key.name == "rate"]

    def wait(now: float) -> float | None:
        return keys.take_call(server.database, key, lambda: now)

    assert [wait(1000.0), wait(1000.0)] == [None, None]
    assert wait(1000.0) == pytest.approx(30)
    assert wait(0.0) == pytest.approx(30)  # set back: nothing is filled, nothing is lost
    assert wait(29.0) == pytest.approx(1)
    assert wait(30.0) is None
    assert [wait(1e12), wait(1e12)] == [None, None]  # set forward: one minute's calls
    assert wait(1e12) == pytest.approx(30)
    client = server.client(server.key("rated", calls_per_minute=1))
    assert client.get("/v1/usage").status_code == 200
    assert 0 < int(client.get("/v1/usage").headers["Retry-After"]) <= 60


def test_image_sets_are_each_keys_own(server: Running, tmp_path: Path) -> None:
    files = pictures(tmp_path, seed=1)
    one, two = (server.connection(server.key(name)) for name in ("one", "two"))
    upload_files(one, "mine", files)
    select(one, "few", "mine", [4, 0], norm="raw")
    assert set(one.model()["image_sets"]) == {"pictures", "mine", "few"}
    assert set(two.model()["image_sets"]) == {"pictures"}
    problem(ask(server.client(server.secrets["two"]), "a", image_set="mine"), 404)
    for name in ("mine", "pictures"):
        problem(server.client(server.secrets["two"]).delete(f"/v1/image-sets/{name}"), 404)
    assert usage(server.database, "one")["images"]["spent"] == 6
    upload_files(one, "mine", files)  # the same again
    assert usage(server.database, "one")["images"]["spent"] == 6
    with pytest.raises(ServiceError, match="409"):
        upload_files(one, "mine", files[:2])
    assert server.client(server.secrets["one"]).delete("/v1/image-sets/mine").status_code == 204
    problem(ask(server.client(server.secrets["one"]), "a", image_set="few"), 409)


def test_a_selection_is_rows_of_its_set_with_unit_or_raw_norms(
    server: Running, tmp_path: Path
) -> None:
    connection = server.connection(key := server.key("selections"))
    upload_files(connection, "all", pictures(tmp_path, seed=2))
    select(connection, "unit", "all", [4, 0])
    select(connection, "raw", "all", [4, 0], norm="raw")
    box = HttpFeatureBox(server.url, key, task="shapes")
    assert isinstance(box, FeatureBox)
    everything, unit, raw = (box.image_features(name) for name in ("all", "unit", "raw"))
    assert torch.equal(unit, everything[[4, 0]])
    norms = raw.norm(dim=1)
    assert not torch.allclose(norms, torch.ones(2), atol=0.1)
    torch.testing.assert_close(raw / norms[:, None], unit)
    for rows in ([], [6], [-1]):
        with pytest.raises(ServiceError, match="422"):
            select(connection, "wrong", "all", rows)
    with pytest.raises(ServiceError, match="422"):
        select(connection, "wrong", "raw", [0])


def archive(kind: str, files: list[Path]) -> bytes:
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as opened:
            for file in files:
                opened.write(file, f"deep/{file.name}")
    else:
        with tarfile.open(fileobj=stream, mode="w:gz" if kind == "gzip" else "w") as opened:
            for file in files:
                opened.add(file, f"deep/{file.name}")
    return stream.getvalue()


def test_archives_and_forms_are_the_same_images(server: Running, tmp_path: Path) -> None:
    files, key = pictures(tmp_path, seed=3), server.key("forms")
    client = server.client(key)
    kinds = {"zip": ZIP, "tar": "application/x-tar", "gzip": "application/gzip"}
    for name, kind in kinds.items():
        body = archive(name, files)
        answer = client.put(f"/v1/image-sets/{name}", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 201, answer.text
        assert answer.json()["files"] == [f"deep/{n}.png" for n in range(6)]
    form = [("files", (f"deep/{file.name}", file.read_bytes())) for file in files]
    assert client.put("/v1/image-sets/form", files=form).status_code == 201
    sets = client.get("/v1/model").json()["image_sets"]
    assert len({sets[name]["digest"] for name in (*kinds, "form")}) == 1


def test_images_beyond_a_keys_budget_are_refused_unencoded(server: Running, tmp_path: Path) -> None:
    connection = server.connection(server.key("images", image_budget=5))
    with pytest.raises(BudgetExceeded):
        upload_files(connection, "many", pictures(tmp_path))
    assert upload_files(connection, "few", pictures(tmp_path)[:5])["images"] == 5


def test_tasks_are_tokenised_by_the_server(server: Running) -> None:
    connection = server.connection(key := server.key("tasks"))
    made = connection.task(["red_circle", "blue circle"], "the {} thing.")
    assert (made["context_length"], made["context_width"]) == (1, 64)
    assert connection.task(["red_circle", "blue circle"], "the {} thing.") == made
    shorter = connection.task(CLASSES, "a photo of a {}.", context_words=2)
    assert HttpBox(server.url, key, task=shorter["task"]).context_length == 2
    for wrong in ({"template": "no place"}, {"template": "a {}", "context_words": 9}):
        with pytest.raises(ServiceError, match="422"):
            connection.json("POST", "/v1/tasks", json={"class_names": ["a"], **wrong})
    other = server.key("other tasks")
    with pytest.raises(ServiceError, match=made["task"]):
        HttpBox(server.url, other, task=made["task"])


def test_boxes_are_of_the_protocol_and_charge_as_it_says(server: Running) -> None:
    key = server.key("boxes")
    box = HttpBox(server.url, key, task="shapes", meter=QueryMeter(budget=4), run="r")
    assert isinstance(box, BlackBox)
    blocks = box.predict("pictures", OFFSETS)
    assert box.meter.counts["search"] == 3 and box.charged == 0  # asked with the first block
    assert torch.cat(list(blocks)).shape == (3, 6, 5) and box.charged == 3
    with pytest.raises(BudgetExceeded):
        box.predict("pictures", OFFSETS)
    with pytest.raises(KeyError):
        box.predict("none", OFFSETS)
    with pytest.raises(ValueError, match="offsets"):
        box.predict("pictures", OFFSETS / 0)
    again = HttpBox(server.url, key, task="shapes", run="r")  # a run that was killed and resumes
    assert len(torch.cat(list(again.predict("pictures", OFFSETS)))) == 3 and again.charged == 0
    other = HttpBox(server.url, key, task="shapes")  # a run of its own
    assert len(torch.cat(list(other.predict("pictures", OFFSETS)))) == 3 and other.charged == 3
    texts = HttpTextBox(server.url, key, task="shapes")
    scores = torch.cat(list(texts.score("pictures", ["a photo of a {}.", "one {}."])))
    untouched = torch.cat(list(other.predict("pictures", torch.zeros(1, 4, 64))))
    assert torch.equal(scores[:1], untouched) and not torch.equal(scores[1:], untouched)


def test_a_box_refuses_a_service_whose_model_changed(server: Running) -> None:
    key = server.key("changed")
    with pytest.raises(ModelChanged):
        HttpBox(server.url, key, task="shapes", revision="another")
    box = HttpBox(server.url, key, task="shapes")
    before = server.service.model.revision
    try:
        server.service.model.revision = "another"
        with pytest.raises(ModelChanged):
            list(box.predict("pictures", OFFSETS))
    finally:
        server.service.model.revision = before
    assert usage(server.database, "changed")["queries"]["spent"] == 0


def test_a_question_in_hand_is_not_answered_twice_at_a_time(server: Running) -> None:
    client, gate = server.client(server.key("in hand")), threading.Event()
    held = server.service.device._worker.submit(gate.wait, 30)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, client, "a")
        while not server.service.admission.running:
            time.sleep(0.01)
        answer = ask(server.client(server.secrets["in hand"]), "a")
        problem(answer, 409)
        assert int(answer.headers["Retry-After"]) > 0
        gate.set()
        assert first.result().status_code == 200 and held.result()
    assert usage(server.database, "in hand")["queries"]["spent"] == 3
