"""The report's front page and the pages of methods, from made-up scores."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from craft.design.artefacts import ARTEFACTS
from craft.design.request import request_of_all
from craft.design.runs import Design
from craft.evaluation import gather
from craft.report.pages import __main__ as pages
from craft.report.tables import __main__ as tables
from tests.browser import browser, needs_chromium, served
from tests.unit.synthetic_scores import config, gathered, seeds_apart, write_scores

TABLES = ("architectures", "access")
FIGURES = ("few_shot_curves", "query_efficiency")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a suite with the pages that the command writes."""
    results = tmp_path_factory.mktemp("results")
    value = config(results, suite="mini")
    value["methods"] = {
        name: method | ({"label": "C & <b>raFT</b>"} if name == "craft" else {})
        for name, method in value["methods"].items()
    }
    value["artefacts"] = {
        name: value["artefacts"].get(name, {"shots": [16]}) for name in (*TABLES, *FIGURES)
    }
    design = Design(value)
    write_scores(design, seeds_apart)
    for name in (*TABLES, *FIGURES):
        gathered(design, name)
    asked = results / "gathered/suite.json"
    asked.write_text(json.dumps(request_of_all(design)))
    common = ["--results", str(results)]
    gather.main(["--request", str(asked), *common, "--out", str(results / "runs.csv")])
    made = [
        "--runs",
        str(results / "gathered/architectures.csv"),
        "--out",
        str(results / TABLES[0]),
    ]
    tables.main(["--artefact", TABLES[0], *made])
    shown = ["--tables", *TABLES, "--compared", TABLES[0], "--figures", *FIGURES]
    pages.main([*common, "--suite", "mini", "--methods", *value["methods"], *shown])
    return results / "report"


def test_the_front_page_has_the_headline_both_figures_and_access(folder: Path) -> None:
    page = (folder / "overview.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [ARTEFACTS[name].heading("mini") for name in (*TABLES, *FIGURES)] + [
        "Methods"
    ]
    assert page.count("<img ") == 2 and page.count("<table>") == 2
    assert "71.00 ± 1.00" in page  # CraFT on red, seeds 70, 71, 72
    assert "C &amp; &lt;b&gt;raFT" in page and "<b>raFT" not in page
    assert not re.search(r"""(src|href)=["']http""", page)


def test_a_page_of_a_method_has_its_curves_numbers_and_options(folder: Path) -> None:
    assert {path.stem for path in (folder / "methods").iterdir()} == {"zero-shot", "bbt", "craft"}
    page = (folder / "methods/craft.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 2
    assert "71.00 ± 1.00" in page and "61.00 ± 1.00" not in page  # BBT's
    assert re.search(r'<td class="text">lambda1</td><td class="wrap">0\.05</td>', page)
    reference = (folder / "methods/zero-shot.html").read_text(encoding="utf-8")
    assert "50.00" in reference and "71.00" not in reference


def test_equal_runs_give_equal_pages(folder: Path) -> None:
    before = (folder / "overview.html").read_bytes()
    shown = ["--tables", *TABLES, "--compared", TABLES[0], "--figures", *FIGURES]
    common = ["--results", str(folder.parent), "--suite", "mini"]
    pages.main([*common, "--methods", "zero-shot", "bbt", "craft", *shown])
    assert (folder / "overview.html").read_bytes() == before


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit_a_desktop_and_a_phone(folder: Path, tmp_path: Path, width: int) -> None:
    with browser(tmp_path) as page, served(folder) as address:
        for name in ("overview", "methods/craft"):
            page.open(f"{address}/{name}.html", width=width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
            assert page.faults() == []
