"""The commands and lines of docs/serving.md and docs/your-own-black-box.md, run as printed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from craft.config.load import load
from craft.service.charges import usage
from tests.service.forks import Fork
from tests.service.server import ROOT, Running, free_port, pictures
from tests.suites import tiny

SERVING = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
TUNING = (ROOT / "docs/your-own-black-box.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.M | re.S)


def test_the_owners_page_runs_as_printed(tmp_path: Path) -> None:
    pictures(tmp_path / "photos")
    (tmp_path / "tasks.yaml").write_text(blocks(SERVING, "yaml")[0])
    (tmp_path / "config").symlink_to(ROOT / "config")
    add, serve, model, texts, spent, revoke = blocks(SERVING, "sh")
    free = str(free_port())

    def run(lines: str) -> str:
        command = ["bash", "-e", "-o", "pipefail", "-c", lines.replace("8000", free)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(add)
    assert re.fullmatch(r"craft_[\w-]{43}\n", (tmp_path / "anna.key").read_text())
    craft, *arguments = shlex.split(serve.replace("8000", free))
    assert craft == "craft"
    log = tmp_path / "serve.log"
    server = Fork("craft.console", arguments, log, cwd=tmp_path)
    try:
        while "startup complete" not in (log.read_text() if log.exists() else ""):
            assert server.status is None, log.read_text()
        facts = json.loads(run(model))
        assert facts["access"] == ["predictions", "texts"]
        assert facts["tasks"]["shapes"]["class_names"] == ["circle", "square", "star"]
        assert torch.tensor(json.loads(run(texts))["scores"]).shape == (1, 6, 3)
        said = run(spent)
        account, _ = json.JSONDecoder().raw_decode(said)
        assert account["queries"]["left"] == 999
        assert re.search(r"anna +valid .* 1 of 1,000 +6 of 100,000", said)
        run(revoke)
        with pytest.raises(AssertionError):
            run(model)
    finally:
        server.terminate()
        server.wait()


def test_the_tuners_page_runs_as_printed(
    server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seed in (("train", 11), ("test", 12)):
        pictures(tmp_path / name, 10, seed)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRAFT_API_KEY", server.key("page"))
    (lines,) = blocks(TUNING, "python")
    names: dict[str, Any] = {"url": server.url, "labels": torch.arange(10) % 5}
    exec(lines, names)
    assert names["scores"].shape == (10, 5)
    assert names["meter"].counts["search"] == 400
    spent = usage(server.database, "page")["queries"]["spent"]
    assert spent == sum(names["meter"].counts.values())
    exec(lines, names)  # the same run again
    assert usage(server.database, "page")["queries"]["spent"] == spent


def test_the_file_of_a_served_backbone_is_valid(tmp_path: Path) -> None:
    folder = tmp_path / "config/backbones"
    folder.mkdir(parents=True)
    (folder / "served.yaml").write_text(blocks(TUNING, "yaml")[0])
    suite = tiny(["zero-shot"], {"architectures": {"shots": [1]}}, backbones=["served"])
    assert load(suite, tmp_path)["backbone_facts"]["served"]["price"]["query"] == 0.0001
