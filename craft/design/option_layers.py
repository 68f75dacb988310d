"""Options of a run: the blocks of a configuration, resolved in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from craft.design.learner_options import options_of
from craft.learner.declaration import OptionError, Problem
from craft.learner.options import RELEASED, Options

#: Difference between the modes -> its options, in the order of docs/method.md. Options that are
#: meaningless alone form one difference: A z has the scale sigma * projection_std, and the decay
#: of AdamW differs from Adam's.
DIFFERENCES: dict[str, tuple[str, ...]] = {
    "budget": ("budget",),
    "scale": ("sigma", "projection_std", "projection"),
    "bound": ("bound",),
    "search_view": ("search_view",),
    "context_rule": ("context_rule",),
    "views": ("views",),
    "feature_norm": ("feature_norm",),
    "hidden": ("hidden",),
    "optimizer": ("optimizer", "weight_decay"),
    "batch_size": ("batch_size",),
    "lambda1": ("lambda1",),
    "lambda2": ("lambda2",),
    "lambda2_share": ("lambda2_share",),
}


@dataclass(frozen=True)
class Variant:
    """A method of the suite, as it is or with some options changed: a row of a table."""

    method: str
    mode: str | None = None  # another mode than the method's
    changes: tuple[tuple[str, Any], ...] = ()
    released: tuple[str, ...] = ()  # options as mode released has them

    @property
    def words(self) -> tuple[str, ...]:
        """Return the changes, as ``option=value``."""
        mode = (f"mode={self.mode}",) if self.mode else ()
        changed = (f"{name}={spelled(value)}" for name, value in self.changes)
        return (*mode, *changed, *(f"{name}=released" for name in self.released))

    @property
    def id(self) -> str:
        """Return its name: the method's, then the changes. No code parses it."""
        return "@".join((self.method, *self.words))


class Block(NamedTuple):
    """A block of options in a configuration, and its place."""

    where: str
    values: Mapping[str, Any]  # key ``released``: those of mode released alone
    own: bool  # whether it is of one learner or method, not of all


def blocks(config: Mapping[str, Any], method: str, dataset: str) -> Iterator[Block]:
    """Yield each block of options for a method on a data set; later blocks override earlier ones.

    The order: the data set's file for the method's learner, the suite, the suite for the data set,
    the method, the method for the data set.
    """
    spec = config["methods"][method]
    learner = spec["learner"]

    def of(place: Mapping[str, Any], key: str, *path: str) -> Mapping[str, Any]:
        block = place.get(key) or {}
        for step in path:
            block = block.get(step) or {}
        return block

    file = of(config["facts"][dataset], "learner_options", learner)
    per_dataset = f"dataset_options.{dataset}"
    own = f"methods.{method}"
    yield Block(f"learner_options.{learner} of {dataset}", file, True)
    yield Block("options", of(config, "options"), False)
    yield Block(per_dataset, of(config, "dataset_options", dataset), False)
    yield Block(f"{own}.options", of(spec, "options"), True)
    yield Block(f"{own}.{per_dataset}", of(spec, "dataset_options", dataset), True)


def given(
    config: Mapping[str, Any], method: str, dataset: str, shots: int, mode: str | None = None
) -> dict[str, Any]:
    """Return the options given for a method on a data set at some shots (zero-shot: 0).

    Later ones override: in mode released, the values of the authors' code for this data set (its
    file's ``released``), then the blocks. Keys ``released`` for all methods are CraFT's; they do
    not apply to a learner whose authors released their own code. ``mode`` replaces the blocks'.
    Raises OptionError if a value depends on the shots and lacks these.
    """
    layers = list(blocks(config, method, dataset))
    declared = options_of(config["methods"][method]["learner"])
    modes = [block.values["mode"] for block in layers if "mode" in block.values]
    mode = mode or (modes[-1] if modes else declared.mode)
    released = shots > 0 and mode == "released"
    authors = released and declared.RELEASED is RELEASED
    values: dict[str, Any] = {}
    if authors:
        file = config["facts"][dataset].get("released") or {}
        values |= _at(file, shots, f"released of {dataset}")
    for where, block, own in layers:
        plain = {name: value for name, value in block.items() if name not in ("mode", "released")}
        values |= _at(plain, shots, where)
        if authors or (own and released):
            values |= _at(block.get("released") or {}, shots, f"{where}.released")
    # Zero-shot is trained in no mode.
    return values | ({"mode": mode} if shots else {})


def resolve(config: Mapping[str, Any], variant: Variant, dataset: str, shots: int) -> Options:
    """Return every option of a variant's runs on a data set at some shots, lambdas as numbers.

    Raises OptionError for invalid values, and as :func:`given`.
    """
    method = variant.method
    values = given(config, method, dataset, shots, variant.mode)
    if variant.released:
        there = resolve(config, Variant(method, mode="released"), dataset, shots)
        values |= {name: getattr(there, name) for name in variant.released}
    values |= dict(variant.changes)
    counts = config["facts"][dataset].get("counts") or {}
    return options_of(config["methods"][method]["learner"]).resolve(values, counts.get("classes"))


def stored(config: Mapping[str, Any], variant: Variant, dataset: str, shots: int) -> Variant:
    """Return the variant under which runs are stored: equal options share their runs.

    It leaves out changes without effect and replaces ``released`` by its values. CraFT with the
    hidden width of mode released becomes ``craft@hidden=256``, or ``craft`` if the width is equal.
    """
    base = Variant(variant.method)
    told, own = (resolve(config, each, dataset, shots) for each in (variant, base))
    if variant.mode:
        moded = Variant(variant.method, variant.mode)
        options = resolve(config, moded, dataset, shots)
        if options != own:
            base, own = moded, options
    names = dict.fromkeys((*dict(variant.changes), *variant.released))
    changes = {name: getattr(told, name) for name in names}
    changed = tuple((name, new) for name, new in changes.items() if new != getattr(own, name))
    return Variant(base.method, base.mode, changed)


def _at(values: Mapping[str, Any], shots: int, where: str) -> dict[str, Any]:
    """Return a block's values at some shots; zero-shot lacks those that depend on the shots."""
    found = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            if not shots:
                continue
            if str(shots) not in value:
                wrong = Problem(f"{where}.{name}", dict(value), f"a value for {shots} shots")
                raise OptionError([wrong])
            value = value[str(shots)]
        found[name] = value
    return found


def spelled(value: Any) -> str:
    """Return an option's value as names and headings spell it: exactly, and as YAML writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)
