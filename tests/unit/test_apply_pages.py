"""docs/apply.md with its quickstart, and docs/hosted-services.md, run as they stand."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import runpy
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from craft.apply.tuned_model import TunedModel
from craft.console.__main__ import cli
from tests.unit.hosted_services import Model, serving
from tests.unit.tuned import SHAPES, draw_images

DOCS = Path(__file__).resolve().parents[2] / "docs"
#: What needs a run of the embedded suite or a service.
ELSEWHERE = ("craft export", "craft predict model new --server")
#: What the quickstart has run, as it prints.
SAID = "said.txt"
RAN = "craft tune photos --backbone mini-rn --shots 8 --out model"


def commands() -> list[str]:
    """The page's commands of craft, in order."""
    text = (DOCS / "apply.md").read_text(encoding="utf-8")
    return re.findall(r"^    (craft .*)$", text, re.M)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the quickstart, after it ran."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("newcomer") / "quickstart"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        runpy.run_path(str(DOCS / "quickstart.py"))["main"](folder)
    (folder / SAID).write_text(said.getvalue(), encoding="utf-8")
    return folder


def test_the_quickstart_ends_in_a_model_that_is_better_than_its_backbone(quickstart: Path) -> None:
    model = TunedModel.read(quickstart / "model")
    assert (model.shots, model.method, len(model.class_names)) == (8, "probe", 5)
    assert model.accuracy > model.zero_shot_accuracy > 20
    assert len([*(quickstart / "new").iterdir()]) == 15


@pytest.mark.exhaustive  # the quickstart runs two of them
def test_the_pages_commands_run_in_its_order(
    quickstart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(quickstart)
    here = [line for line in commands() if not line.startswith(ELSEWHERE)]
    here.remove(RAN)
    assert f"$ {RAN}\n" in (quickstart / SAID).read_text(encoding="utf-8")
    assert len(here) == 5
    printed = {}
    for line in here:
        done = CliRunner().invoke(cli, shlex.split(line)[1:])
        assert done.exit_code == 0, (line, done.output)
        printed[line] = done.stdout
    assert TunedModel.read(Path("model-craft")).options["budget"] == 400
    with Path("answers.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    listed = json.loads(printed["craft predict model new --json"])
    assert [row["class"] for row in rows] == [each["classes"][0]["class"] for each in listed]
    right = sum(Path(row["path"]).name.startswith(row["class"]) for row in rows)
    assert right >= 12  # of 15


def test_the_pages_commands_are_read_as_they_are_meant() -> None:
    assert len(commands()) == 6 + len(ELSEWHERE)
    for line in commands():
        name, *words = shlex.split(line)[1:]
        context = cli.commands[name].make_context(name, list(words), resilient_parsing=True)
        assert not context.args, line


def test_the_code_on_services_runs_against_stand_ins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (DOCS / "hosted-services.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) == 2
    draw_images(tmp_path / "photos", 3)
    shutil.copy(tmp_path / "photos/star/02.png", tmp_path / "new.png")
    monkeypatch.chdir(tmp_path)
    with serving(Model()) as service:
        monkeypatch.setenv("SERVICE_URL", f"{service.address}/zero-shot")
        monkeypatch.setenv("SERVICE_KEY", "secret-key")
        monkeypatch.setenv("EMBEDDINGS_URL", f"{service.address}/v1")
        names: dict[str, object] = {}
        for block in blocks:
            exec(block, names)
    said = capsys.readouterr().out.splitlines()
    assert said[0] in SHAPES and said[-1] in SHAPES
    assert said[1].startswith("9 calls;")  # the new image is one of the nine shots
