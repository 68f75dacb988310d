"""The documentation site: built strictly, and opened in a browser."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import browser, needs_chromium, served
from tests.pipeline.conftest import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it: a broken link or a missing reference ends the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    return folder


def test_the_site_loads_nothing_from_another_host(site: Path) -> None:
    loaded = re.compile(r"""<(?:script|img|link rel="?stylesheet"?)[^>]*\b(?:src|href)=["']?http""")
    pages = [*site.rglob("*.html")]
    assert len(pages) > 10
    assert not [page for page in pages if loaded.search(page.read_text(encoding="utf-8"))]


def test_the_public_api_shows_the_black_box(site: Path) -> None:
    page = (site / "api.html").read_text(encoding="utf-8")
    for name in ("protocol.BlackBox", "protocol.BlackBox.predict", "learner.base.Learner.fit"):
        assert f'id="craft.{name}"' in page


@needs_chromium
def test_a_browser_reports_errors_and_other_hosts(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        "<link rel=icon href=data:,><script>console.error('broken')</script>"
        "<img src=http://elsewhere.invalid/picture.png>"
    )
    with browser(tmp_path / "profile") as page, served(tmp_path) as address:
        page.open(f"{address}/index.html")
        faults = page.faults()
    assert any("broken" in fault for fault in faults)
    assert any("elsewhere.invalid" in fault for fault in faults)


@needs_chromium
def test_search_and_the_api_work_in_a_browser(site: Path, tmp_path: Path) -> None:
    with browser(tmp_path) as page, served(site) as address:
        page.open(f"{address}/index.html?q=budget")
        page.wait("document.querySelectorAll('.md-search-result__item').length > 2")
        found = page.evaluate("document.querySelector('.md-search-result__list').innerText")
        assert "budget" in found.lower()
        assert page.faults() == []
        page.open(f"{address}/api.html#craft.protocol.BlackBox")
        heading = page.evaluate("document.getElementById('craft.protocol.BlackBox').innerText")
        assert "BlackBox" in heading
        assert page.evaluate("document.body.innerText").count("context_offsets") > 1
        assert page.faults() == []
