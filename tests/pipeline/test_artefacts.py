"""A further table is an entry of the registry and the module that makes it, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from tests.pipeline.conftest import ROOT, Checkout

ENTRY = """
register(
    Artefact(
        name="spread",
        kind="table",
        place="",
        title="spread over seeds",
        rows="methods",
        shots="one",
        make="craft.report.tables.spread:spread",
        caption="Spread of the accuracy (%) over seeds, {backbone}{shots} shots.",
        about="The largest accuracy of a method less the smallest.",
    )
)
"""
MODULE = '''
"""A table that the paper does not have: the spread of accuracies over seeds."""

from craft.report.tables.labels import caption
from craft.report.tables.table import Cell, Column, Row, Table


def spread(artefact, lines, published):
    """Return a row per method and a column per data set."""
    names = list(lines["dataset"].unique())
    rows = []
    for method, own in lines.groupby("row", sort=False):
        found = own.groupby("dataset")["accuracy"].agg(lambda values: values.max() - values.min())
        cells = tuple(Cell(float(found[name])) for name in names)
        rows.append(Row({"method": method}, (method,), cells))
    columns = tuple(Column(name, name) for name in names)
    suite = lines["suite"].iloc[0]
    return Table(artefact, suite, caption(artefact, lines), ("Method",), columns, tuple(rows))
'''
#: Writes made-up scores of a suite, each seed a point more accurate than the one before.
SCORES = """
from craft.config.load import load
from craft.design.runs import Design
from tests.unit.synthetic_scores import write_scores
write_scores(Design(load("spread.yaml")), lambda run, test_set: 60.0 + run.seed)
"""


def test_a_table_is_an_entry_of_the_registry_and_a_module(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    registry = tmp_path / "craft/design/artefacts.py"
    registry.write_text(registry.read_text() + ENTRY)
    (tmp_path / "craft/report/tables/spread.py").write_text(MODULE)
    config = yaml.safe_load((ROOT / "config/mini.yaml").read_text())
    config |= {"suite": "own", "results": "results/own", "artefacts": {"spread": {"shots": [16]}}}
    config |= {"methods": {"craft": config["methods"]["craft"] | {"artefacts": ["spread"]}}}
    (tmp_path / "spread.yaml").write_text(yaml.safe_dump(config | {"shift": None}))

    def run(*words: str) -> str:
        environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "is valid" in run("-m", "craft.config", "spread.yaml")
    target = "results/own/spread.csv"
    jobs = checkout.plan(target, "--configfile", "spread.yaml")
    assert jobs["write_request"] == jobs["gather_runs"] == jobs["make_table"] == 1
    # What the jobs of that plan do, from made-up scores.
    run("-c", SCORES)
    run(
        "-c",
        "import json; from craft.config.load import load; from craft.design.runs import Design;"
        "from craft.design.request import request;"
        "json.dump(request(Design(load('spread.yaml')), 'spread'), open('asked.json', 'w'))",
    )
    results = ("--results", "results/own")
    run("-m", "craft.evaluation.gather", "--request", "asked.json", *results, "--out", "runs.csv")
    made = ("--artefact", "spread", "--runs", "runs.csv", "--out", "results/own/spread")
    run("-m", "craft.report.tables", *made)
    for suffix in ("csv", "md", "tex", "html"):
        assert "2.00" in (tmp_path / f"results/own/spread.{suffix}").read_text()
