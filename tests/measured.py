"""Figures with a unit in README and the pages, and where each comes from.

A measured figure names the file that a command wrote it to, and a JSON pointer into it, in a
comment behind its unit: ``147 s<!-- benchmarks/figures/whole_run.json#/wall s -->``. Of weights
(``.safetensors``), the pointer leads into their metadata. Of a table (``.csv``), it is the values
of one row and a column: ``#/method=bbt,shots=16/mean``. A sign stays in the text. The parts of a
page that a command writes (``<!-- measured: ... -->``) need none.

``python -m tests.measured`` rewrites the list of figures without a source: ``declared`` ones are
settings and sizes, ``published`` ones the paper's; ``measured`` ones still lack a file.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("figures_without_source.csv")
KINDS = ("declared", "published", "measured")

_UNITS = "ms|s|min|h|seconds?|minutes?|hours?|MB|GB|kB|points?|times|GFLOP/s"
_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_FIGURE = re.compile(
    rf"(?<![\w.,])(?P<number>{_NUMBER})(?P<unit> ± {_NUMBER}| ?%|x faster| (?:{_UNITS})\b)"
    r"(?:<!-- (?P<file>[^#>]+)#(?P<pointer>/[^>]+?) -->)?"
)


class Figure(NamedTuple):
    """A number with its unit on a page, and its source where it names one."""

    page: str
    text: str
    number: str
    unit: str
    file: str | None
    pointer: str | None

    def problem(self) -> str | None:
        """What is wrong with the source; None where it holds this number, rounded as here."""
        path = ROOT / str(self.file)
        if not path.is_file():
            return f"{self.page}: {self.text}: no such file {self.file}"
        value: Any = _content(path)
        try:
            for key in str(self.pointer).removeprefix("/").split("/"):
                value = _chosen(value, key) if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError):
            return f"{self.page}: {self.text}: nothing at {self.pointer} of {self.file}"
        value = _parsed(value) if isinstance(value, str) else value
        value *= 100 if "%" in self.unit else 1
        digits = len(self.number.partition(".")[2])
        if f"{abs(value):.{digits}f}" != self.number.replace(",", ""):
            return f"{self.page}: {self.text}: {self.file} has {value}"
        return None


def _chosen(entries: list[Any], key: str) -> Any:
    """Return an entry by its number, or the one of the values ``name=value,...``."""
    if "=" not in key:
        return entries[int(key)]
    wanted = dict(pair.split("=", 1) for pair in key.split(","))
    (found,) = (each for each in entries if wanted.items() <= each.items())
    return found


def _content(path: Path) -> Any:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as table:
            return list(csv.DictReader(table))
    if path.suffix != ".safetensors":
        return json.loads(path.read_text(encoding="utf-8"))
    with safe_open(path, framework="np") as stream:
        return {key: _parsed(text) for key, text in stream.metadata().items()}


def _parsed(text: str) -> Any:
    """Return the number or object that a text of metadata spells, or the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def figures() -> Iterator[Figure]:
    """Every figure with a unit outside of code and of what commands write."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"<!-- measured.*?<!-- /measured -->", "", text, flags=re.S)
        text = re.sub(r"```.*?```|^ {4}\S.*?$|`[^`\n]*`", "", text, flags=re.S | re.M)
        for found in _FIGURE.finditer(text):
            page = str(path.relative_to(ROOT))
            shown = f"{found['number']}{found['unit']}"
            yield Figure(page, shown, *found.group("number", "unit", "file", "pointer"))


def listed() -> dict[tuple[str, str], str]:
    """Kind of each figure without a source, by page and text."""
    with LIST.open(encoding="utf-8", newline="") as stream:
        return {(row["page"], row["figure"]): row["kind"] for row in csv.DictReader(stream)}


def main() -> None:
    """Rewrite the list; kinds stay, new figures count as measured."""
    known = listed() if LIST.exists() else {}
    found = dict.fromkeys((each.page, each.text) for each in figures() if not each.file)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["page", "figure", "kind"])
    writer.writerows([page, text, known.get((page, text), "measured")] for page, text in found)
    LIST.write_text(buffer.getvalue(), encoding="utf-8")


if __name__ == "__main__":
    main()
