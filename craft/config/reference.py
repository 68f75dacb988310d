"""Write the tables of keys in config/README.md, from the schemas.

``python -m craft.config.reference`` keeps the text outside the markers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from craft.config.schema import TYPES
from craft.files.atomic import write_text
from craft.files.descriptions import schema
from craft.runtime.command import run_command
from craft.runtime.provenance import ROOT

PAGE = ROOT / "config/README.md"
#: Schema -> heading of its table.
TABLES = {
    "config": "Keys of a suite",
    "dataset": "Keys of a data set",
    "backbone": "Keys of a backbone",
}
BEGIN, END = "<!-- keys: python -m craft.config.reference -->", "<!-- /keys -->"

#: Path of a key, its schema, and whether it is required.
Key = tuple[str, Mapping[str, Any], bool]


def filled(page: str) -> str:
    """Return the page with new tables; raises ValueError without the two markers."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{PAGE}: expected {BEGIN} and {END} once each")
    before, _, rest = page.partition(BEGIN)
    tables = "\n".join(_table(name, heading) for name, heading in TABLES.items())
    return f"{before}{BEGIN}\n\n{tables}\n{END}{rest.partition(END)[2]}"


def keys(kind: str) -> Iterator[Key]:
    """Yield path, schema and whether it is required of every key of a description.

    ``NAME`` in a path stands for any key, ``[]`` for the entries of a list.
    """
    whole = schema(kind)

    def resolved(node: Any) -> Mapping[str, Any]:
        """Return a schema with its reference resolved; an empty one for anything else."""
        if not isinstance(node, Mapping):
            return {}
        name = node.get("$ref", "").rpartition("/")[2]
        return {**whole["$defs"][name], **node} if name else node

    def below(node: Mapping[str, Any], prefix: str) -> Iterator[Key]:
        for name, each in node.get("properties", {}).items():
            value, path = resolved(each), f"{prefix}{name}"
            yield path, value, name in node.get("required", ())
            yield from below(value, f"{path}.")
            yield from below(resolved(value.get("items")), f"{path}[].")
            yield from below(resolved(value.get("additionalProperties")), f"{path}.NAME.")

    return below(whole, "")


def _table(name: str, heading: str) -> str:
    lines = [
        f"## {heading}",
        "",
        schema(name)["description"],
        "",
        "| key | value | default | what it is |",
    ]
    lines.append("|---|---|---|---|")
    for path, node, required in keys(name):
        default = "required" if required else _code(node["default"]) if "default" in node else ""
        lines.append(f"| `{path}` | {_accepted(node)} | {default} | {_cell(node['description'])} |")
    return "\n".join([*lines, ""])


def _accepted(node: Mapping[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(map(_code, node["enum"]))
    types = node["type"] if isinstance(node["type"], list) else [node["type"]]
    said = " or ".join(TYPES[each] for each in types)
    if "items" in node and node["items"].keys() & {"enum", "type"}:
        said += f" of {_accepted(node['items'])}"
    return said


def _code(value: Any) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Rewrite the tables of the page."""
    write_text(PAGE, filled(PAGE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    run_command(main)
