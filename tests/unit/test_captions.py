"""Captions of the report: one per artefact, rendered for both suites without an error."""

import io
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest
import yaml
from docutils.core import publish_parts

from craft.design.runs import FIGURES, TABLES

ROOT = Path(__file__).resolve().parents[2]
CAPTIONS = sorted((ROOT / "workflow" / "report").glob("*.rst"))

#: Targets that Snakemake appends to each caption.
LINKS = "\n\n.. _Workflow: w\n.. _Statistics: s\n"


def rendered(caption, suite):
    """HTML of a caption as the report renders it; any remark of docutils is an error."""
    config = yaml.safe_load((ROOT / "config" / f"{suite}.yaml").read_text(encoding="utf-8"))
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(caption + LINKS)
    text = template.render(snakemake=SimpleNamespace(config=config))
    remarks = io.StringIO()
    settings = {"warning_stream": remarks, "report_level": 2, "_disable_config": True}
    html = publish_parts(text, writer="html", settings_overrides=settings)["body"]
    assert remarks.getvalue() == ""
    assert "system-message" not in html
    return html


def test_each_artefact_has_its_caption():
    assert {path.stem for path in CAPTIONS} == {*TABLES, *FIGURES, "workflow"}


@pytest.mark.parametrize("suite", ["mini", "config"])
@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_captions_render(path, suite):
    html = rendered(path.read_text(encoding="utf-8"), suite)
    assert "{" not in html
    place = {**TABLES, **FIGURES}.get(path.stem)
    assert place is None or f"<strong>{place}, " in html


def test_only_the_papers_suite_speaks_of_published_curves():
    caption = (ROOT / "workflow" / "report" / "few_shot_curves.rst").read_text(encoding="utf-8")
    assert "published curves" in rendered(caption, "config")
    assert "published" not in rendered(caption, "mini")


def test_a_bad_caption_is_found():
    with pytest.raises(AssertionError):
        rendered("*unfinished", "mini")
    with pytest.raises(jinja2.UndefinedError):
        rendered("{{ snakemake.config['nothing']['more'] }}", "mini")
