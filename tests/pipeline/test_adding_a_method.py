"""docs/adding-a-method.md does what it says: one file and one line."""

from __future__ import annotations

import csv
import re

import yaml

from craft.design import COMPARISONS
from tests.pipeline.conftest import ROOT, Checkout

PAGE = (ROOT / "docs/adding-a-method.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL).group(1)


def test_one_file_and_one_line_make_a_row_in_every_table(checkout: Checkout) -> None:
    (checkout.folder / "craft/learner/random_search.py").write_text(block("python"))
    line = yaml.safe_load(block("yaml"))["methods"]
    path = checkout.folder / "config/mini.yaml"
    config = yaml.safe_load(path.read_text())
    config["methods"] |= line
    path.write_text(yaml.safe_dump(config))
    # One plan of all, whose jobs say what they wait for.
    only_plan = ("-n", "-q", "host", "--configfile", "config/mini.yaml")
    plan = checkout.snakemake(*COMPARISONS, *only_plan)
    for artefact in COMPARISONS:
        reason = re.search(rf"(?:Table|Figure) \d+: {artefact}\n(.*)", plan).group(1)
        assert "/runs/random-search/" in reason, artefact

    config |= {
        "results": "results/tiny",
        "data": "results/tiny/data",
        "seeds": [1],
        "backbones": ["mini-rn"],
        "datasets": ["digits"],
        "shift": None,
        "options": {"budget": 40, "population": 20},
        "methods": {name: config["methods"][name] for name in ("zero-shot", "random-search")},
        "artefacts": {"architectures": {"shots": [1]}},
    }
    (checkout.folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    checkout.snakemake("results/tiny/architectures.csv", "--configfile", "tiny.yaml")
    with (checkout.folder / "results/tiny/architectures.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["method"] == "random-search"]
    assert {row["label"] for row in rows} == {"random search"}
    assert all(0 < float(row["mean"]) <= 100 for row in rows)
