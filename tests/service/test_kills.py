"""Server and client killed at random moments: each question charged once, with the same bytes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from craft.service.charges import usage
from tests.service.asking import CONTEXTS, QUESTIONS, ask
from tests.service.forks import Fork
from tests.service.server import Process


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    made = Process(tmp_path_factory.mktemp("killed"))
    made.start()
    yield made
    assert made.stop() == 75  # as every command that a signal ends
    assert "ended by SIGTERM" in made.log and "Traceback" not in made.log


def asked(process: Process, run: str, folder: Path) -> Fork:
    """Start a client, which takes some tenths of a second if nobody disturbs it."""
    running, out = process.running, folder / "answers.safetensors"
    arguments = [running.url, running.secrets[run], run, str(out)]
    return Fork("tests.service.asking", arguments, folder / "client.log")


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("who", ["server", "client"])
def test_whoever_is_killed_each_question_is_charged_once(
    process: Process, tmp_path: Path, who: str, kills: int
) -> None:
    run, moments = f"{who}-{kills}", random.Random(kills)
    running = process.running
    key = running.key(run, query_budget=QUESTIONS * CONTEXTS)
    client, done = asked(process, run, tmp_path), 0
    while done < kills:
        time.sleep(moments.uniform(0.02, 0.3))
        if (status := client.status) is not None:  # it was quicker than the next kill
            assert status == 0, (tmp_path / "client.log").read_text()
            client = asked(process, run, tmp_path)
            continue
        if who == "client":
            client.kill()
            client = asked(process, run, tmp_path)
        else:
            process.kill()
            process.start()
        done += 1
    assert client.wait() == 0, (tmp_path / "client.log").read_text()
    spent = usage(running.database, run)["queries"]
    assert spent == {"spent": QUESTIONS * CONTEXTS, "budget": QUESTIONS * CONTEXTS, "left": 0}
    ask(running.url, key, run, tmp_path / "undisturbed.safetensors")  # a replay of all
    found = (tmp_path / "answers.safetensors").read_bytes()
    assert found == (tmp_path / "undisturbed.safetensors").read_bytes()
    other = running.key(f"{run} undisturbed")
    ask(running.url, other, run, tmp_path / "other.safetensors")
    assert found == (tmp_path / "other.safetensors").read_bytes()
