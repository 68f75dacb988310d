"""YAML files by the core schema of YAML 1.2: ``yes`` is text, ``010`` is 10, ``1e-3`` a number."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import yaml

_TAG = "tag:yaml.org,2002:"
#: Numbers that are not finite have no spelling here: nothing accepts them.
_SCALARS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class YamlError(ValueError):
    """A file is not valid YAML; names the file, the place and the reason."""

    def __init__(self, path: str | os.PathLike[str], where: str, why: str) -> None:
        self.path, self.where, self.why = os.fspath(path), where, why
        super().__init__(
            ": ".join(filter(None, (self.path, where, f"expected YAML 1.2, got {why}")))
        )


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 (as the library declares it)


def _refused(node: yaml.Node, why: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, why, node.start_mark)


def _scalar(loader: _Loader, node: yaml.ScalarNode) -> Any:
    kind, text = node.tag.removeprefix(_TAG), loader.construct_scalar(node)
    try:
        if kind == "int":
            return int(text, 0 if text[:2] in ("0o", "0x") else 10)
        if kind == "float" and math.isfinite(number := float(text)):
            return number
    except ValueError:
        pass  # a tag that was written, or thousands of digits
    if kind in ("null", "bool") and re.fullmatch(_SCALARS[kind], text):
        return text.lower() == "true" if kind == "bool" else None
    if kind == "str" and not _CONTROL.search(text):
        return text
    raise _refused(node, "control characters" if kind == "str" else f"no {kind}: {text[:40]!r}")


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = isinstance(key, str) and key.isprintable()
        what = "a duplicate key" if line else "a key that is not a line of text:"
        if not line or key in found:
            raise _refused(key_node, f"{what} {key!r:.60}")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


def _sequence(loader: _Loader, node: yaml.SequenceNode) -> list[Any]:
    return [loader.construct_object(child, deep=True) for child in node.value]


for _kind, _pattern in _SCALARS.items():
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"({_pattern})$"), None)
_Loader.yaml_constructors = {_TAG + kind: _scalar for kind in ("str", *_SCALARS)}
_Loader.yaml_constructors |= {_TAG + "map": _mapping, _TAG + "seq": _sequence}
_Loader.yaml_constructors[None] = yaml.SafeLoader.construct_undefined


def parse(text: str) -> Any:
    """Return the value of a YAML text; raises yaml.YAMLError."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > 100:  # libyaml would overflow the stack
            mark: Any = event.start_mark  # libyaml's, which the stubs do not know
            raise yaml.MarkedYAMLError(None, None, "nesting over 100 deep", mark)
    return yaml.load(text, Loader=_Loader)


def read(path: str | os.PathLike[str], *required: str) -> dict[str, Any]:
    """Return the mapping in a YAML file; raises YamlError.

    Raises it too for duplicate keys, tags, keys that are not text, and a mapping without one of the
    ``required`` keys.
    """
    try:
        value = parse(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise YamlError(path, f"line {line}", "bytes that are not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        why = ", ".join(filter(None, (error.context, error.problem)))
        raise YamlError(path, where, " ".join(why.split())) from error
    except OSError as error:
        raise YamlError(path, "", error.strerror or str(error)) from error
    except yaml.YAMLError as error:
        raise YamlError(path, "", " ".join(str(error).split())) from error
    if not isinstance(value, dict):
        raise YamlError(path, "", f"{value!r:.60}, not a mapping of keys to values")
    if missing := [key for key in required if key not in value]:
        raise YamlError(path, "", f"a file without {', '.join(missing)}")
    return value
