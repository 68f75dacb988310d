"""A suite with a backbone behind a service: what is refused before any job, priced, and made."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from craft.config.load import ConfigError, load
from craft.config.problems import Problem
from craft.design.runs import Design
from craft.plan.cost import bills_of, of_run
from tests.preloaded import snakemake
from tests.service.server import ROOT, serving, settings
from tests.suites import tiny

SERVED = {"name": "served", "label": "served", "kind": "http", "url": "http://127.0.0.1:9"}
SERVED |= {"key": "CRAFT_TEST_KEY"}
ASKED = {"architectures": {"shots": [1]}}


def suite(
    folder: Path, methods: list[str], about: dict[str, Any], **changes: Any
) -> dict[str, Any]:
    """Return a suite of mini-rn and of the same model behind a service, described in a folder."""
    place = folder / "config/backbones"
    place.mkdir(parents=True, exist_ok=True)
    (place / "served.yaml").write_text(yaml.safe_dump(SERVED | about))
    given = {"seeds": [1], "backbones": ["mini-rn", "served"], "results": "results"}
    return tiny(methods, ASKED, **given)


@pytest.mark.parametrize(
    ("method", "access"), [("coop-16", "weights"), ("lfa", "features"), ("craft", None)]
)
def test_a_row_that_needs_more_than_the_key_is_granted_is_refused_by_name(
    method: str, access: str | None, tmp_path: Path
) -> None:
    made = suite(tmp_path, [method, "zero-shot"], {})
    if access is None:
        assert "served" in load(made, tmp_path)["backbone_facts"]
        return
    with pytest.raises(ConfigError) as refused:
        load(made, tmp_path)
    (problem,) = refused.value.problems
    assert (problem.path, problem.value) == (f"methods.{method}.backbones", "served")
    assert access in str(problem.expected)
    # Its rows are left out where other backbones are named.
    made["methods"][method]["backbones"] = ["mini-rn"]
    runs = Design(load(made, tmp_path)).all_runs
    assert {run.backbone for run in runs if run.method == method} == {"mini-rn"}


@pytest.mark.parametrize("about", [{}, {"image_tower": "vit"}], ids=["other", "vit"])
@pytest.mark.parametrize(
    ("method", "access"),
    [("bpt-vlm", "visual-prompts"), ("craft-vp", "visual-prompts"), ("blackvip", "uploads")],
)
def test_a_row_that_has_images_encoded_during_its_fit_is_refused_on_a_service(
    method: str, access: str, about: dict[str, Any], tmp_path: Path
) -> None:
    def refused_as(about: dict[str, Any]) -> Problem:
        made = suite(tmp_path, [method], about)
        made["methods"][method]["backbones"] = ["served"]
        made["methods"][method]["options"]["search_folds"] = 1  # of one shot
        with pytest.raises(ConfigError) as refused:
            load(made, tmp_path)
        (problem,) = refused.value.problems
        return problem

    problem = refused_as(about)
    assert (problem.path, problem.value) == (f"methods.{method}.backbones", "served")
    assert access in str(problem.expected)
    problem = refused_as(about | {"access": [access]})  # a file cannot grant it
    assert (problem.path, problem.value) == ("access[0]", access)


@pytest.mark.parametrize(
    "about", [{"url": "localhost"}, {"key": "craft_abc-def"}, {"access": ["weights"]}, {"price": 3}]
)
def test_a_wrong_description_of_a_service_is_named(about: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(suite(tmp_path, ["zero-shot"], about), tmp_path)
    assert any("served.yaml" in str(problem) for problem in refused.value.problems)


def test_a_bill_is_queries_and_scorings_by_their_prices(tmp_path: Path) -> None:
    price = {"query": 0.5, "scoring": 0.01, "currency": "EUR"}
    made = load(suite(tmp_path, ["bbt"], {"price": price}), tmp_path)
    (run,) = [run for run in Design(made).all_runs if run.backbone == "served"]
    cost = of_run(Design(made), run, {"embed_dim": 0, "text_cfg": {}})
    shots, tests = 10, made["facts"]["digits"]["counts"]["test"]
    # 40 candidates on the shots; the end on the test images; the shots at both ends.
    assert (cost.search, cost.other) == (40, 3)
    assert cost.scorings == (40 + 2) * shots + tests
    bill = bills_of(made, [("served", cost), ("mini-rn", cost)])
    assert list(bill) == ["served"] and bill["served"].currency == "EUR"
    assert bill["served"].price == pytest.approx(0.5 * 43 + 0.01 * cost.scorings)


@pytest.mark.exhaustive
def test_a_suite_through_a_service_makes_the_tables_of_one_in_this_process(tmp_path: Path) -> None:
    with serving(settings(tmp_path / "service")) as server:
        about = {"url": server.url, "access": ["predictions", "features"]}
        made = suite(tmp_path, ["zero-shot", "bbt", "craft", "lfa"], about)
        (tmp_path / "config/config.yaml").write_text(yaml.safe_dump(made))
        arguments = ["all", "--snakefile", str(ROOT / "workflow/Snakefile"), "--cores", "1"]
        environment = os.environ | {"CRAFT_TEST_KEY": server.key("suite")}
        status, said = snakemake(arguments, tmp_path, environment)
        assert status == 0, said
    runs = tmp_path / "results/runs"
    for local in runs.glob("*/mini-rn/**/*.safetensors"):
        served = Path(str(local).replace("/mini-rn/", "/served/"))
        assert served.read_bytes() == local.read_bytes()
    rows: dict[str, list[dict[str, str]]] = {"mini-rn": [], "served": []}
    with (tmp_path / "results/architectures.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            rows[row.pop("backbone")].append(row)
    assert len(rows["served"]) == 4
    assert rows["served"] == rows["mini-rn"]
