"""docs/published-errors.md, the notes on printed numbers and the numbers themselves agree."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from itertools import product
from pathlib import Path

import pytest

from craft.config.load import load
from craft.design.artefacts import ARTEFACTS, tables
from craft.design.runs import Design
from craft.report.published import Published
from craft.report.published_files import READERS, TOTAL
from craft.report.tables.latex import latex
from craft.report.tables.markdown import markdown
from craft.report.tables.table import AVERAGE
from tests.unit.synthetic_scores import gathered, table

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "config/published"
PAGE = (ROOT / "docs/published-errors.md").read_text(encoding="utf-8")
NUMBER = r"\d+\.\d\d"


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


NOTES = rows("notes")
#: Number -> text of each entry of the page.
ENTRIES = {
    int(number): text
    for number, text in re.findall(r"^## (\d+)\. (.+?)(?=^## |\Z)", PAGE, re.M | re.S)
}


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    """The paper's own configuration; no run is there."""
    results = str(tmp_path_factory.mktemp("paper"))
    return Design(load(ROOT / "config/config.yaml", ROOT) | {"results": results})


@pytest.fixture(scope="module")
def published(design: Design) -> dict[str, Published]:
    """What the paper prints of each artefact."""
    return {
        name: Published.read(FOLDER, artefact, gathered(design, name))
        for name, artefact in ARTEFACTS.items()
        if artefact.printed in READERS
    }


def printed(design: Design, published: Published, note: dict[str, str]) -> dict[str, float | str]:
    """Column -> printed entry of each cell that a note is on."""
    datasets = (*design.config["datasets"], *design.config["shift"]["targets"])
    columns = (*datasets, AVERAGE, TOTAL, "1", "2", "4", "8", "16", "8000", "0.01", "0.09", "train")
    columns += tuple(f"{d}@{s}" for d, s in product((*datasets, AVERAGE), (1, 2, 4, 8, 16)))
    columns += ("accuracy", "parameters", "deployed_percent", "mean@16")
    methods = {*design.config["methods"], *datasets}
    backbones = ("", *design.config["backbones"])
    methods |= {method for backbone in backbones for method in published.methods(backbone)}
    return {
        f"{backbone}/{method}/{column}": published.value(backbone, method, column)
        for backbone, method, column in product(backbones, methods, columns)
        if any(note["note"] in text for text in published.notes(backbone, method, column))
    }


def test_the_page_numbers_its_entries_without_a_gap() -> None:
    assert list(ENTRIES) == list(range(1, len(ENTRIES) + 1))
    assert len(ENTRIES) >= 14
    for number, text in ENTRIES.items():
        for part in ("- Printed:", "- Wrong", "- Established by:", "- Marked in:"):
            assert part in text, (number, part)


def test_the_page_says_where_each_error_is_marked() -> None:
    noted = defaultdict(set)
    for note in NOTES:
        if note["error"]:
            noted[int(note["error"])].add(note["table"])
    for number, text in ENTRIES.items():
        marked = set(re.findall(r"`(\w+)`", text.partition("- Marked in:")[2]))
        assert marked == noted[number], number
        assert marked <= {*ARTEFACTS}
    assert set(noted) <= set(ENTRIES)


@pytest.mark.parametrize("table", sorted({note["table"] for note in NOTES}))
def test_each_note_is_of_a_printed_number_and_quotes_it(
    design: Design, published: dict[str, Published], table: str
) -> None:
    every = {entry for each in published.values() for entry in each._values.values()}
    for note in (note for note in NOTES if note["table"] == table):
        cells = printed(design, published[table], note)
        assert cells, note
        if quoted := re.search(rf"\(({NUMBER}) < ({NUMBER})\)", note["note"]):
            low, high = map(float, quoted.groups())
            assert low < high
            assert set(cells.values()) == {low}, note
            assert high in every, note


def test_what_a_misprint_of_sun397_would_change() -> None:
    one_shot = [
        56.21 if row["dataset"] == "SUN397" else float(row["accuracy"])
        for row in rows("figure2")
        if (row["method"], row["shots"]) == ("CraFT", "1") and row["dataset"][:7] != AVERAGE
    ]
    assert len(one_shot) == 11
    assert round(sum(one_shot) / 11, 2) == 58.58


@pytest.mark.parametrize(
    "artefact", sorted({each.name for each in tables()} & {note["table"] for note in NOTES})
)
def test_each_note_is_a_footnote_of_its_table(design: Design, artefact: str) -> None:
    made = table(design, artefact, FOLDER)
    shown = made.note_marks()
    for note in (note for note in NOTES if note["table"] == artefact):
        cited = f" (error {note['error']} of docs/published-errors.md)" if note["error"] else ""
        mark = shown[note["note"] + cited]
        for text, sign in ((markdown(made), f"<sup>{mark}</sup> "), (latex(made), f"{{{mark}}}")):
            assert sign in text


def test_printed_averages_are_the_means_of_their_columns() -> None:
    """What the page says holds: nothing but the averages' own rounding."""
    groups = defaultdict(dict)
    for name in ("table1", "table2", "table9"):
        for row in rows(name):
            groups[name, row["backbone"], row["method"]][row["dataset"]] = float(row["accuracy"])
    assert len(groups) == 12 + 16 + 5
    for (name, *_), cells in groups.items():
        (average,) = [value for column, value in cells.items() if column.startswith(AVERAGE)]
        others = [value for column, value in cells.items() if not column.startswith(AVERAGE)]
        others = others[1:] if name == "table2" else others  # without the source
        assert sum(others) / len(others) == pytest.approx(average, abs=0.0051)
