"""Gathering: each score opened once, into a line for each run, with what it resolved to."""

import csv
import json
from pathlib import Path

import pytest

from craft.design.artefacts import ARTEFACTS
from craft.design.request import request, request_of_all
from craft.design.runs import Design
from craft.evaluation import gather
from craft.files.records import Score
from tests.unit.synthetic_scores import config, gathered, seeds_apart, write_scores


@pytest.fixture
def design(tmp_path):
    made = Design(config(tmp_path))
    write_scores(made, seeds_apart)
    return made


def suite(design):
    """runs.csv by run, as the command writes it."""
    results = Path(design.config["results"])
    (results / "suite.json").write_text(json.dumps(request_of_all(design), sort_keys=True))
    out = ["--out", f"{results}/runs.csv"]
    gather.main(["--request", f"{results}/suite.json", "--results", str(results), *out])
    with (results / "runs.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    by_run = {tuple(line[name] for name in gather.IDENTITY): line for line in lines}
    assert len(by_run) == len(lines) == len(design.all_runs)
    return by_run


def test_the_suite_has_a_line_for_each_run(design, tmp_path):
    (tmp_path / "runs/craft/rn/blue/shots-16/seed-2/score.json").unlink()
    by_run = suite(design)
    assert list(next(iter(by_run.values())))[:5] == list(gather.IDENTITY)
    line = by_run["craft", "rn", "blue", "16", "3"]
    found = (line["status"], line["accuracy"], line["accuracy:blue-dark"])
    assert found == ("ok", "80.0000", "60.0000")
    assert (line["queries_counted"], line["queries_total"]) == ("80", "83")
    assert (line["versions"], line["train_accuracy"]) == ("numpy=1;torch=2", "")
    assert line["machine"] == "device=cpu;processor=Abacus;threads=1"
    assert by_run["craft", "rn", "red", "16", "1"]["accuracy:blue-v2"] == ""
    missing = by_run["craft", "rn", "blue", "16", "2"]
    assert (missing["status"], missing["accuracy"]) == ("missing: no score", "")


def test_a_line_has_the_resolved_options_and_the_accuracy_of_each_class(design):
    by_run = suite(design)
    swept = next(line for key, line in by_run.items() if "lambda1=0" in key[0])
    default = by_run["craft", "rn", "red", "16", "1"]
    # 0.1 divided by the two classes of red
    assert (float(swept["option:lambda1"]), float(default["option:lambda1"])) == (0.0, 0.05)
    assert (default["option:head"], default["option:residual"]) == ("mlp", "True")
    assert json.loads(default["class_accuracy"]) == {"a": 70.0, "b": 0.0}
    shifted = by_run["craft", "rn", "blue", "16", "1"]
    assert json.loads(shifted["class_accuracy:blue-dark"]) == {"a": 58.0, "b": 0.0}


@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_each_score_is_opened_once_for_an_artefact(design, artefact, monkeypatch):
    opened = []
    read = Score.read.__func__
    monkeypatch.setattr(
        Score, "read", classmethod(lambda cls, path: opened.append(path) or read(cls, path))
    )
    gathered(design, artefact)
    assert len(opened) == len(set(opened)) == len(design.runs(artefact))


def test_a_request_asks_for_the_runs_of_its_artefact_alone(design):
    for artefact in design.artefacts():
        asked = request(design, artefact)
        assert set(asked.get("runs", ())) == {run.folder for run in design.runs(artefact)}


def test_a_request_longer_than_a_command_line_is_gathered(tmp_path):
    """Linux takes no argument of more than 128 kB."""
    value = config(tmp_path, seeds=list(range(1, 120)))
    value["artefacts"] = {"architectures": {"shots": [16]}}
    design = Design(value)
    write_scores(design, seeds_apart)
    lines = gathered(design, "architectures")
    assert (tmp_path / "gathered/architectures.json").stat().st_size > 128 * 1024
    assert set(lines["status"]) == {"ok"} and lines["run"].nunique() == len(design.all_runs)
