"""docs/method.md lists every option with the default and the sentence that the code has."""

from __future__ import annotations

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
