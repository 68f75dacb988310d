"""YAML files as plain values: what two readers would read differently is an error, not a guess."""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from craft.runtime.messages import shown

#: Whole numbers beyond this are no longer exact where a program computes with doubles.
LARGEST = 2**53

#: More values than any configuration has: an alias of an alias of an alias makes millions of one.
_MOST = 100_000
_DEEPEST = 40
#: Characters of a text; the longest that there are tell how to get a data set.
_LONGEST = 2000

_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class PlainError(ValueError):
    """What in a YAML file is no plain value, one line each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class _Loader(_SafeLoader):
    """YAML's JSON subset by meaning: maps, lists, text, numbers, true, false and null."""


def _refuse(loader: _Loader, node: yaml.Node) -> Any:
    tag = node.tag.replace("tag:yaml.org,2002:", "!!")
    hint = "; a date is text: put it in quotes" if tag == "!!timestamp" else ""
    raise yaml.constructor.ConstructorError(
        None, None, f"a value of type {tag} is not accepted{hint}", node.start_mark
    )


for _tag in ("timestamp", "binary", "omap", "pairs", "set"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _refuse)


def read(path: str | os.PathLike[str], *required: str) -> dict[str, Any]:
    """The mapping in a YAML file; raises PlainError, each line naming the file.

    Refused: a mapping without a ``required`` key (a file that was cut short, say), repeated keys,
    keys that are not text, tags and dates, numbers that are not finite, too large to be exact or
    read in two ways (``010``, ``40:00``), control characters, and nesting beyond any use.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        value = parse(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise PlainError([f"{path}: not a readable YAML file ({_reason(error)})"]) from error
    if value is None:
        raise PlainError([f"{path}: holds nothing; accepted: a mapping of keys to values"])
    if not isinstance(value, dict):
        raise PlainError([f"{path}: {shown(value)} is no mapping of keys to values"])
    if missing := [key for key in required if key not in value]:
        raise PlainError([f"{path}: lacks {', '.join(missing)}"])
    if problems := [f"{path}: {problem}" for problem in check(value)]:
        raise PlainError(problems)
    return value


#: Part of what libyaml says -> what to do about it.
_ADVICE = {
    "tab character": "indent with spaces",
    "cannot start any token": "indent with spaces; text that starts so needs quotes",
    "mapping values are not allowed": "text with a colon needs quotes; keys of one mapping start "
    "in one column",
}


def _reason(error: Exception) -> str:
    """Why a file is no YAML, in one line, with the file's line where there is one."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, UnicodeDecodeError):
        line = error.object.count(b"\n", 0, error.start) + 1
        return f"line {line}: byte {error.object[error.start]:#x} is no UTF-8: save it as UTF-8"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark, problem = error.problem_mark, " ".join(f"{error.problem}".split())
        advice = [text for part, text in _ADVICE.items() if part in problem]
        where = f"line {mark.line + 1}, column {mark.column + 1}"
        return "; ".join([f"{where}: {problem}", *advice])
    return " ".join(str(error).split()) or type(error).__name__


def parse(text: str) -> Any:
    """The value of a YAML text, less what :func:`check` says; raises ValueError or YAMLError."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:  # building the value would break the interpreter
            raise ValueError(f"line {event.start_mark.line + 1} is nested over {_DEEPEST} deep")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_nodes(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_nodes(node: yaml.Node) -> None:
    """Raise ValueError for a key that a map has twice, of which the last would win unsaid, and for
    numbers that are not what they look like."""
    todo, seen = [node], set()
    while todo:
        node = todo.pop()
        if isinstance(node, yaml.ScalarNode):
            _check_number(node)
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            todo += node.value
            continue
        keys = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            merges = key.tag == "tag:yaml.org,2002:merge"
            if merges and not isinstance(value, yaml.MappingNode):
                # Line by line, merges of several maps grow without bounds.
                raise ValueError(f"line {line}: << merges one mapping")
            if (key.tag, str(key.value)) in keys:
                raise ValueError(f"line {line}: key {shown(key.value)} is there twice")
            keys.add((key.tag, str(key.value)))
            todo += [key, value]


def _check_number(node: yaml.ScalarNode) -> None:
    """Raise ValueError for what YAML 1.1 counts in eights or sixties, and YAML 1.2 does not."""
    text = node.value
    if node.tag not in _NUMBERS or not (":" in text or re.match("[-+]?0[0-9_]", text)):
        return
    digits = re.sub("^([-+]?)0+(?=[0-9])", r"\1", text.replace("_", ""))
    number = "it without colons" if ":" in text else digits if len(digits) < 40 else "it without 0"
    raise ValueError(
        f"line {node.start_mark.line + 1}: {shown(text)} is {shown(_meant(node))} to YAML: "
        f"write {number}, or put it in quotes"
    )


def _meant(node: yaml.ScalarNode) -> Any:
    """The number that YAML 1.1 makes of a scalar."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    finally:
        loader.dispose()


def check(value: Any) -> Iterator[str]:
    """What in a value of a YAML file is not plain; a line each, naming the key."""
    left, todo = _MOST, [("", value, 0)]
    while todo:
        key, entry, depth = todo.pop()
        left -= 1
        if left < 0 or depth > _DEEPEST:
            yield f"{key or 'the file'}: accepted: {_MOST} values, nested {_DEEPEST} deep at most"
            return
        if isinstance(entry, Mapping):
            for name, inner in entry.items():
                if not isinstance(name, str):
                    yield f"{key or 'the file'}: key {shown(name)}: accepted: text, in quotes"
                elif "\n" in name or len(name) > 100 or _scalar(name):
                    yield f"{key or 'the file'}: key {shown(name)}: accepted: a short line of text"
                else:
                    todo.append((f"{key}.{name}" if key else name, inner, depth + 1))
        elif isinstance(entry, list):
            todo += [(f"{key}[{n}]", inner, depth + 1) for n, inner in enumerate(entry)]
        elif wrong := _scalar(entry):
            yield f"{key} = {shown(entry)}: accepted: {wrong}"


def _scalar(value: Any) -> str | None:
    """What is accepted in place of a value that is not plain; None for one that is."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else "a finite number"
    if isinstance(value, int):
        return None if abs(value) <= LARGEST else f"whole numbers up to {LARGEST}"
    if isinstance(value, str):
        # Cc: control characters, Cs: halves of characters, Zl and Zp: other ends of lines.
        odd = any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c != "\n" for c in value)
        wrong = odd or len(value) > _LONGEST
        return f"text without control characters, {_LONGEST} at most" if wrong else None
    return "text, numbers, true, false, null, lists and mappings"
