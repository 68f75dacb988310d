"""What is slow, cut short, too large or hostile gets a named 4xx, and nobody hears of others."""

from __future__ import annotations

import io
import logging
import pickle
import resource
import socket
import statistics
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from craft.client.box import HttpBox
from craft.client.image_sets import upload_files
from craft.client.wire import COST, PROBLEM, TENSORS, ZIP, pack_offsets
from craft.service import keys
from craft.service.charges import usage
from tests.miniature.archives import tarred, zipped
from tests.service.server import Running, pictures, raw, serving, settings
from tests.service.test_calls import ask, problem


def status_of(answer: bytes) -> int:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert PROBLEM.encode() in head.lower() and b'"detail"' in body
    return int(answer.split()[1])


def head(running: Running, key: str, path: str, **headers: object) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


PREDICT = "/v1/predict?task=shapes&image_set=pictures"
ASKING = {"Idempotency_Key": "a", "Content_Type": TENSORS}


@pytest.mark.parametrize(
    "parts", [[], [b"GET /healthz HT"], [b"GET /healthz HTTP/1.1\r\nA: b\r\n"]]
)
def test_a_head_that_does_not_come_is_not_waited_for(server: Running, parts: list[bytes]) -> None:
    start = time.monotonic()
    assert status_of(raw(server.address, parts)) == 408
    assert time.monotonic() - start < 20


def test_a_body_that_does_not_come_is_not_waited_for(server: Running) -> None:
    key = server.key("half body")
    for body in (b"", b"half"):
        start = head(server, key, PREDICT, Content_Length=100, **ASKING)
        assert status_of(raw(server.address, [start + body])) == 408
    drops = [head(server, key, PREDICT, Transfer_Encoding="chunked", **ASKING)]
    assert status_of(raw(server.address, [*drops, b"1\r\nx\r\n"])) == 408
    with socket.create_connection(server.address) as opened:  # and one that hangs up
        opened.sendall(head(server, key, PREDICT, Content_Length=100, **ASKING) + b"half")
    assert usage(server.database, "half body")["queries"]["spent"] == 0


def test_a_body_of_a_gigabyte_is_refused_unread(server: Running) -> None:
    key, before = server.key("large"), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = head(server, key, PREDICT, Content_Length=1 << 30, **ASKING)
    assert status_of(raw(server.address, [said])) == 413
    upload = head(server, key, "/v1/image-sets/x", Content_Length=1 << 30, Content_Type=ZIP)
    assert status_of(raw(server.address, [upload.replace(b"POST", b"PUT")])) == 413
    client = server.client(key)

    def endless() -> Iterator[bytes]:
        for _ in range(1 << 14):
            yield bytes(1 << 16)

    # The server may have closed the connection before all of this is sent.
    try:
        headers = {"Content-Type": TENSORS, "Idempotency-Key": "a"}
        problem(client.post(PREDICT, content=endless(), headers=headers), 413)
    except Exception as error:
        assert type(error).__name__ in ("WriteError", "ReadError", "RemoteProtocolError"), error
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000  # kB
    assert client.get("/healthz").status_code == 200


def test_a_client_that_takes_nothing_is_not_waited_for(server: Running, tmp_path: Path) -> None:
    connection = server.connection(key := server.key("slow"))
    upload_files(connection, "many", pictures(tmp_path, 100))
    task = connection.task([f"class {n}" for n in range(80)], "a photo of a {}.")["task"]
    contexts = torch.zeros(400, 4, 64)  # an answer of 13 MB
    body = pack_offsets(contexts)
    path = f"/v1/predict?task={task}&image_set=many"
    with socket.socket() as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        opened.connect(server.address)
        opened.sendall(head(server, key, path, Content_Length=len(body), **ASKING) + body)
        assert opened.recv(12) == b"HTTP/1.1 200"
        end = time.monotonic() + 30
        while server.service.admission.running:
            assert time.monotonic() < end
            time.sleep(0.05)
    box = HttpBox(server.url, key, task=task, run="r")
    assert len(torch.cat(list(box.predict("many", contexts)))) == 400


def png_of(width: int, height: int) -> bytes:
    """Return a PNG that says how large it is and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    start = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", start), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a.png", bytes(200 << 20))
    return stream.getvalue()


HOSTILE = {
    "zip bomb": (lambda: bomb(), ZIP, "unpacks"),
    "climbing": (lambda: zipped({"../../a.png": b"x"}), ZIP, "climbs"),
    "absolute": (lambda: zipped({"/etc/a.png": b"x"}), ZIP, "absolute"),
    "many": (lambda: zipped({f"{n}.png": b"" for n in range(201)}), ZIP, "1 to 200, got 201"),
    "climbing tar": (lambda: tarred({"../a.png": b"x"}, False), "application/x-tar", "climbs"),
    "pickle": (lambda: zipped({"a.pkl": pickle.dumps(1)}), ZIP, "holds no file"),
    "pickle for an image": (lambda: zipped({"a.png": pickle.dumps(1)}), ZIP, "a.png"),
    "text": (lambda: zipped({"a.png": b"text"}), ZIP, "a.png"),
    "image bomb": (lambda: zipped({"a.png": png_of(60_000, 60_000)}), ZIP, "a.png"),
    "nothing": (lambda: b"", ZIP, "archive"),
    "no archive": (lambda: b"PK\x03\x04 nothing", ZIP, "archive"),
    "cut": (lambda: zipped({"a.png": bytes(5000)})[:-40], ZIP, "archive"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_upload_is_named(server: Running, name: str) -> None:
    make, kind, said = HOSTILE[name]
    client = server.client(server.key(f"hostile {name}"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    body = make()
    made = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    answer = client.put("/v1/image-sets/x", content=body, headers={"Content-Type": kind})
    found = problem(answer, 422)
    assert said in found["detail"] and "/tmp" not in found["detail"]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before - made
    assert grown < 100_000  # kB
    assert client.get("/v1/model").json()["image_sets"].keys() == {"pictures"}


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "", ".", "a\x00b.png"])
def test_names_in_a_form_stay_in_its_folder(server: Running, name: str, tmp_path: Path) -> None:
    (picture,) = pictures(tmp_path, 1)
    client = server.client(server.key(f"form {name!r}"))
    boundary = "x"
    part = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = part.encode() + picture.read_bytes() + b"\r\n--x--\r\n"
    kind = f"multipart/form-data; boundary={boundary}"
    problem(client.put("/v1/image-sets/x", content=body, headers={"Content-Type": kind}), 422)


def test_nothing_is_told_of_keys_features_weights_or_other_keys(
    server: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    one, two = server.key("private-one", makes_tasks=True), server.key("curious", access=("texts",))
    upload_files(server.connection(one), "private-set", pictures(tmp_path, seed=9))
    server.connection(one).task(["private class"], "a {}")
    answers = []
    for key in (one, two, "craft_wrong"):
        client = server.client(key)
        for path in ("/v1/model", "/v1/usage", "/openapi.json", "/docs", "/nothing", "/metrics"):
            answers.append((key, client.get(path)))
        for change in ({}, {"content": b"x"}, {"image_set": "private-set"}, {"task": "x"}):
            answers.append((key, ask(client, f"secret {change}"[:9].replace(" ", "-"), **change)))
        for path in ("/v1/text-features", "/v1/image-features"):
            answers.append((key, ask(client, "b", path=path)))
    model = server.service.model
    private = server.service.image_sets.find("private-one", "private-set")
    secrets: list[bytes] = [model.backbone.model.logit_scale.detach().numpy().tobytes() * 2]
    features = server.service.image_sets.features(private)
    secrets += [row[:4].numpy().tobytes() for row in features]
    secrets += [f"{value:.7g}".encode() for value in features[0, :4].tolist()]
    weights = dict(model.backbone.model.named_parameters())
    secrets += [value.detach().flatten()[:4].numpy().tobytes() for value in weights.values()]
    for key, answer in answers:
        said = str(answer.headers).encode() + answer.content
        assert answer.status_code != 500
        for secret in (one, two):
            assert secret.encode() not in said and secret[6:].encode() not in said
        if answer.request.url.path != "/v1/image-features" or key != one:
            assert not any(secret in said for secret in secrets)
        if key != one:
            assert b"private-one" not in said and b"private class" not in said
            assert private.digest.encode() not in said
            if answer.status_code != 404:  # which repeats what was asked for
                assert b"private-set" not in said
    logged = "\n".join(record.getMessage() for record in caplog.records)
    for secret in (one, two):
        assert secret[6:] not in logged
    files = [p for p in server.database.path.parent.glob("keys.sqlite*") if p.is_file()]
    stored = b"".join(path.read_bytes() for path in files)
    assert one.encode() not in stored and one[6:].encode() not in stored


def test_a_wrong_key_takes_as_long_as_a_right_one(server: Running) -> None:
    right = server.key("timed")
    others = ["craft_" + "x" * 43, right[:-1] + ("a" if right[-1] != "a" else "b"), ""]
    times: dict[str, list[float]] = {key: [] for key in (right, *others)}
    for _ in range(60):
        for key, spent in times.items():
            start = time.perf_counter()
            keys.recognised(server.database, key)
            spent.append(time.perf_counter() - start)
    medians = {key: statistics.median(spent) for key, spent in times.items()}
    assert max(medians.values()) < 2 * min(medians.values())


def test_two_servers_share_one_database(server: Running, tmp_path: Path) -> None:
    with serving(settings(server.database.path.parent)) as second:
        key = server.key("shared", query_budget=20)
        single = [pack_offsets(offset[None]) for offset in torch.randn(30, 4, 64)]

        def work(number: int) -> tuple[int, str | None]:
            client = (server, second)[number % 2].client(key)
            while (answer := ask(client, f"q{number}", single[number])).status_code == 429:
                time.sleep(0.05)
            return answer.status_code, answer.headers.get(COST)

        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(work, range(30)))
        assert sorted(found) == [(200, "1")] * 20 + [(402, None)] * 10
        assert usage(server.database, "shared")["queries"]["spent"] == 20
        number = found.index((200, "1"))
        again = (second, server)[number % 2].client(key)
        assert ask(again, f"q{number}", single[number]).headers[COST] == "0"
        upload_files(server.connection(key), "seen-by-both", pictures(tmp_path))
        assert ask(second.client(key), "q0", single[0], image_set="seen-by-both").status_code != 404


def test_a_full_queue_says_when_to_come_again(server: Running) -> None:
    service, before = server.service, server.service.limits
    service.admission._limits = replace(before, queue=0)
    try:
        answer = ask(server.client(server.key("queue")), "a")
    finally:
        service.admission._limits = before
    problem(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0
    assert usage(server.database, "queue")["queries"]["spent"] == 0


def test_a_fault_of_the_service_is_told_to_its_owner_alone(
    server: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the secret reason")

    monkeypatch.setattr(server.service.questions, "predict", broken)
    answer = ask(server.client(server.key("fault")), "a")
    problem(answer, 500)
    assert "secret reason" not in answer.text
    end = time.monotonic() + 10
    while "secret reason" not in caplog.text:  # it is logged after the answer
        assert time.monotonic() < end
        time.sleep(0.01)
    monkeypatch.undo()
    assert ask(server.client(server.secrets["fault"]), "a").status_code == 200
