"""Captions of the report: one per artefact, rendered for both suites without an error."""

import io
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest
import yaml
from docutils.core import publish_parts

from craft.design.artefacts import ARTEFACTS

ROOT = Path(__file__).resolve().parents[2]
CAPTIONS = ROOT / "workflow/report"

#: Targets that Snakemake appends to each caption.
LINKS = "\n\n.. _Workflow: w\n.. _Statistics: s\n"


def rendered(caption, suite, **params):
    """HTML of a caption as the report renders it; any remark of docutils is an error."""
    config = yaml.safe_load((ROOT / "config" / f"{suite}.yaml").read_text(encoding="utf-8"))
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(caption + LINKS)
    job = SimpleNamespace(config=config, params=SimpleNamespace(**params))
    text = template.render(snakemake=job)
    remarks = io.StringIO()
    settings = {"warning_stream": remarks, "report_level": 2, "_disable_config": True}
    html = publish_parts(text, writer="html", settings_overrides=settings)["body"]
    assert remarks.getvalue() == ""
    assert "system-message" not in html
    return html


def caption_of(artefact, suite, file="config"):
    """HTML of an artefact's caption in a suite of some name."""
    caption = (CAPTIONS / "artefact.rst").read_text(encoding="utf-8")
    return rendered(caption, file, about=artefact.described(suite))


@pytest.mark.parametrize("suite", ["mini", "paper", "own"])
@pytest.mark.parametrize("artefact", ARTEFACTS.values(), ids=lambda artefact: artefact.name)
def test_captions_render(artefact, suite):
    html = caption_of(artefact, suite)
    assert "{" not in html
    place = f"{artefact.called}, " * (suite != "own")
    assert f"<strong>{place}{artefact.title}.</strong>" in html


@pytest.mark.parametrize("suite", ["mini", "config"])
def test_the_reports_first_page_renders(suite):
    page = (CAPTIONS / "workflow.rst").read_text(encoding="utf-8")
    assert "{" not in rendered(page, suite)


def test_only_the_papers_suite_speaks_of_published_curves():
    artefact = ARTEFACTS["few_shot_curves"]
    assert "published curves" in caption_of(artefact, "paper")
    assert "published" not in caption_of(artefact, "mini")


def test_a_bad_caption_is_found():
    with pytest.raises(AssertionError):
        rendered("*unfinished", "mini")
    with pytest.raises(jinja2.UndefinedError):
        rendered("{{ snakemake.config['nothing']['more'] }}", "mini")
