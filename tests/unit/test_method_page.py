"""docs/method.md lists every option as the code has it, and the figures that a benchmark wrote."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from craft.learner.options import RELEASED, Options

PAGE = Path(__file__).parents[2] / "docs" / "method.md"


def option_rows() -> list[str]:
    rows = []
    for f in fields(Options):
        default = "-" if f.default is None else f"`{str(f.default).lower()}`"
        accepted = f.metadata["accepted"]
        choice = f" (`{'`, `'.join(accepted)}`)" if accepted else ""
        doc = f.metadata["doc"].replace("|", "\\|")
        rows.append(f"| `{f.name}` | {default} | {doc}{choice} |".replace("||", "\\|\\|"))
    return rows


def released_rows() -> list[str]:
    return [
        f"| `{name}` | `{str(value).lower()}` |".replace("||", "\\|\\|")
        for name, value in RELEASED.items()
    ]


def test_every_option_is_on_the_page_as_the_code_has_it() -> None:
    page = PAGE.read_text(encoding="utf-8")
    missing = [row for row in option_rows() + released_rows() if row not in page]
    assert not missing, "put these rows into docs/method.md:\n" + "\n".join(missing)


def real_boxes() -> list[str]:
    """Return the end of each row of the evidence for ``Probe``, by box."""
    file = PAGE.parents[1] / "benchmarks/figures/access_real.json"
    found: dict[str, dict[tuple[str, int], dict[str, float]]] = {}
    for row in json.loads(file.read_text(encoding="utf-8"))["rows"]:
        found.setdefault(row["box"], {})[row["method"], row["shots"]] = row
    rows = []
    for box in [box for box in found if box != "all"]:
        shots = sorted({number for _, number in found[box]})
        cells = [f"{found[box]['zero-shot', shots[0]]['balanced_accuracy']:.1f}"]
        by_method = {
            method: [found[box][method, number] for number in shots]
            for method in ("probe", "refine")
        }
        for each in by_method.values():
            cells.append(" ".join(f"{row['minus zero-shot']:+.1f}" for row in each))
        for each in by_method.values():
            mean = sum(row["negative_log_likelihood"] for row in each) / len(each)
            cells.append(f"{mean:.3f}")
        rows.append(f" | {' | '.join(cells)} |")
    return rows


def test_the_evidence_on_real_boxes_is_what_the_benchmark_wrote() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = real_boxes()
    assert len(rows) == 4
    assert not [row for row in rows if row not in page]


def own_instance() -> list[str]:
    """Return the rows of the evidence on the embedded suite."""
    rows = []
    heads = access_rows("heads")
    for backbone in ("mini-rn", "mini-vit"):
        for shots in (1, 4, 16):
            cells = [heads[backbone, "zero-shot", 0]]
            cells += [heads[backbone, method, shots] for method in ("refine", "probe", "probe-8")]
            shown = " | ".join(f"{cell['accuracy']:.1f}" for cell in cells)
            rows.append(f"| {backbone}, {shots} | {shown} |")
    gate = access_rows("gate")
    away = gate["all", "zero-shot", 0]["away"]
    for label, methods in (
        ("`Probe`", ("probe-open", "probe")),
        ("CraFT, 2,000 queries", ("craft", "craft-gated")),
    ):
        cells = [gate["all", method, 16] for method in methods]
        shown = [f"{cell['minus zero-shot']:+.1f} | {cell['away'] - away:+.1f}" for cell in cells]
        rows.append(f"| {label} | {' | '.join(shown)} |")
    search = access_rows("search")
    for shots in (1, 16):
        cells = [search["all", method, shots] for method in ("bbt-500", "bbt", "gauss-newton")]
        shown = " | ".join(f"{cell['accuracy']:.1f}" for cell in cells)
        end = f"{cells[-1]['minus bbt']:+.1f} ({cells[-1]['error']:.1f})"
        rows.append(f"| {shots} | {shown} | {end} |")
    return rows


def access_rows(part: str) -> dict[tuple[str, str, int], dict[str, float]]:
    """Return the rows of a part of benchmarks.access on the suite's own instance."""
    file = PAGE.parents[1] / f"benchmarks/figures/access_{part}_own.json"
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    return {(row["backbone"], row["method"], row["shots"]): row for row in rows}


def test_the_evidence_on_the_embedded_suite_is_what_the_benchmark_wrote() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = own_instance()
    assert len(rows) == 10
    assert not [row for row in rows if row not in page]


@pytest.mark.parametrize("part", ["heads", "gate", "search"])
def test_the_bars_of_the_embedded_suite_hold(part: str) -> None:
    file = PAGE.parents[1] / f"benchmarks/figures/access_{part}_own.json"
    bars = json.loads(file.read_text(encoding="utf-8"))["bars"]
    assert bars and all(bar["holds"] and bar["found"] >= bar["least"] for bar in bars)
