"""docs/method.md lists every option as the code has it, and the figures that a benchmark wrote."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

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
