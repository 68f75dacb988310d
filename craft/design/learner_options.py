"""The options of a learner as its source declares them, read without importing it, and what is
wrong with values given for them."""

from __future__ import annotations

import ast
import difflib
import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from craft.files.strict_yaml import shown
from craft.learner.options import Range, require_generation
from craft.runtime.provenance import modules, source, tree

#: Class that every learner derives from.
BASE = "Learner"

#: Annotation of an option -> Python types that a YAML value of it may have.
TYPES = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "None": (type(None),),
}


class Option(NamedTuple):
    """A learner's option: types of its annotation, accepted values, or numbers, default."""

    types: tuple[str, ...]
    accepted: tuple[Any, ...] | None
    range: Range | None
    default: Any


def unknown(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is none of ``known``, the nearest one first."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown name {shown(name)}; {hint}Known: {', '.join(known)}"


@functools.cache
def learner_options(learner: str) -> dict[str, Option]:
    """Options of a learner ``module:Class``, read from its source, so that torch stays out.

    Raises LookupError, with what is wrong, when there is no such module or class.
    """
    module, _, name = learner.partition(":")
    path = source(module)
    if path is None:
        raise LookupError(f"module {module} does not exist")
    trees = {entry: tree(entry) for entry in modules(module)}
    names = [node.name for node in trees[module].body if isinstance(node, ast.ClassDef)]
    if name not in names:
        raise LookupError(f"class: {unknown(name, names)}")
    options: dict[str, Option] = {}
    # The learner's own module last: what it declares anew wins.
    for entry in sorted(trees, key=lambda entry: entry == module):
        classes = (node for node in trees[entry].body if isinstance(node, ast.ClassDef))
        for node in (node for owner in classes for node in owner.body):
            if isinstance(node, ast.AnnAssign) and _is_option(node.value):
                options[node.target.id] = Option(
                    tuple(ast.unparse(node.annotation).split(" | ")),
                    *_accepted(node.value),
                    _literal(node.value.args[0]),
                )
    return options


def is_learner(learner: str) -> bool:
    """Whether a class ``module:Class`` derives from Learner, by the bases that sources name."""
    module, _, name = learner.partition(":")
    bases = {
        node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        for entry in modules(module)
        for node in tree(entry).body
        if isinstance(node, ast.ClassDef)
    }
    found, todo = set(), [name]
    while todo:
        entry = todo.pop()
        if entry not in found:
            found.add(entry)
            todo += bases.get(entry, ())
    return BASE in found


def _is_option(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", None) == "option"


def _accepted(call: ast.Call) -> tuple[tuple[Any, ...] | None, Range | None]:
    """Values and numbers that a call of ``option`` says are accepted; raises LookupError."""
    try:
        given = {entry.arg: ast.literal_eval(entry.value) for entry in call.keywords}
        values = given.pop("accepted", None)
        return values, Range(**given) if given else None
    except (TypeError, ValueError) as error:
        raise LookupError(f"accepted: literals in {ast.unparse(call)} ({error})") from error


def _literal(node: ast.expr) -> Any:
    """A default as a value; an expression that is none as the text of its source."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def check_options(given: Mapping[str, Any], known: Mapping[str, Option], where: str) -> list[str]:
    """Options that ``known`` lacks, and values that it does not accept; one text each."""
    problems = []
    for name, value in given.items():
        if name not in known:
            problems.append(f"{where}.{name} = {shown(value)}: {unknown(name, sorted(known))}")
            continue
        types, accepted, numbers, _ = known[name]
        # To Python a bool is an int; to a reader of the config it is not.
        fits = type(value) in {kind for t in types for kind in TYPES.get(t, ())}
        wanted = None
        if accepted and value not in accepted:
            wanted = ", ".join(map(str, accepted))
        elif not fits:
            wanted = " or ".join(types)
            if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9.]+[eE][-+]?[0-9]+", value):
                wanted += "; to YAML a number has a point and a sign before its exponent: 1.0e-3"
        elif numbers and value is not None and not numbers.accepts(value):
            wanted = f"{numbers}{', or null' * ('None' in types)}"
        if wanted:
            problems.append(f"{where}.{name} = {shown(value)}: accepted: {wanted}")
    return problems


def check_together(given: Mapping[str, Any], known: Mapping[str, Option]) -> list[str]:
    """Problems of values that are right one by one, beside each other and the defaults."""
    values = {name: option.default for name, option in known.items()} | dict(given)
    numbers = [values[name] for name in ("budget", "population")]
    if not all(isinstance(number, int) for number in numbers):
        return []  # a default that is computed: the learner itself looks at it
    try:
        require_generation(*numbers)
    except ValueError as error:
        return [str(error)]
    return []
