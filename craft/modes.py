"""The modes ``paper`` and ``released``: what a configuration gives a method's run, layer by layer,
and the differences between the two, each of which can be had alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from craft.declared import learner_options
from craft.learner.options import RELEASED, Options

#: Difference between the modes -> its options, in the order of docs/method.md. Options that mean
#: nothing one by one make one difference: A z has the scale sigma * projection_std, and the decay
#: of AdamW is none of Adam's.
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


def given(config: Mapping[str, Any], method: str, dataset: str, shots: int) -> dict[str, Any]:
    """Options given for a method id on a data set at some shots (zero-shot: 0); later ones win.

    In mode released: what the released code sets for all data sets, and for this one (its file).
    The suite's ``options``; in mode released the suite's ``released``. ``dataset_options``, the
    method's ``options``, the id's ``@option=value``, in which the value ``released`` is what mode
    released has there. Raises ValueError where a value goes by shots and these have none.
    """
    base, *parts = method.split("@")
    overrides = {name: value for name, _, value in (part.partition("=") for part in parts)}
    suite = dict(config.get("options") or {})
    own = dict((config.get("dataset_options") or {}).get(dataset, {}))
    own |= config["methods"][base].get("options", {})
    mode = overrides.get("mode") or (suite | own).get("mode", "paper")
    options: dict[str, Any] = {}
    if shots and mode == "released":
        options |= RELEASED
        options |= _at(config["facts"][dataset].get("released"), shots, dataset)
        suite |= _at(config.get("released"), shots, dataset)
    options |= suite | own
    for name, text in overrides.items():
        if text != "released" or name == "mode":
            options[name] = parsed(text)
            continue
        there = given(config, f"{base}@mode=released", dataset, shots)
        options |= {name: there[name]} if name in there else {}
    if not shots:
        options.pop("mode", None)  # nothing is trained: both modes are one
    return options


def _at(values: Mapping[str, Any] | None, shots: int, dataset: str) -> dict[str, Any]:
    """Values of a ``released`` block, those that go by shots looked up."""
    found = {}
    for name, value in (values or {}).items():
        if isinstance(value, Mapping):
            if str(shots) not in value:
                raise ValueError(
                    f"released.{name} on {dataset}: no value for {shots} shots; it has some for "
                    f"{', '.join(value)}"
                )
            value = value[str(shots)]
        found[name] = value
    return found


def run_id(config: Mapping[str, Any], method: str, dataset: str, shots: int) -> str:
    """The method id under which a method's run is stored: ids of equal options share their run.

    What an override does not change is left out, and ``released`` is spelled out:
    ``craft@hidden=released`` becomes ``craft@hidden=256``, or ``craft`` where that is the width
    anyway.
    """
    base, *parts = method.split("@")
    if not parts:
        return method
    mode = next((part for part in parts if part.startswith("mode=")), None)
    names = dict.fromkeys(part.partition("=")[0] for part in parts if part != mode)
    told, own = (effective(config, name, dataset, shots) for name in (method, base))
    if mode:
        moded = effective(config, f"{base}@{mode}", dataset, shots)
        if moded != own:
            base, own = f"{base}@{mode}", moded
    return base + "".join(
        f"@{name}={spelled(told[name])}" for name in names if told[name] != own[name]
    )


def effective(config: Mapping[str, Any], method: str, dataset: str, shots: int) -> dict[str, Any]:
    """Every option of a method id's run but the mode, defaults included, lambdas as numbers."""
    declared = learner_options(config["methods"][method.partition("@")[0]]["learner"])
    options = {name: option.default for name, option in declared.items()}
    options |= given(config, method, dataset, shots)
    options.pop("mode", None)
    # A user's own images need not say how many classes they have.
    classes = config["facts"][dataset].get("counts", {}).get("classes")
    for name in ("lambda1", "lambda2"):
        if options[name] is None and classes:
            options[name] = 0.1 / classes
    return options


def copies(options: Mapping[str, Any]) -> tuple[int, ...]:
    """Augmented copies that a run of these options reads."""
    return Options(**{n: options[n] for n in ("views", "search_view") if n in options}).copies


def spelled(value: Any) -> str:
    """An option's value as an id spells it; :func:`parsed` reads it back."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def parsed(text: str) -> Any:
    """An override's value: true, false, null, a number, else the text itself."""
    constants = {"true": True, "false": False, "null": None}
    if text in constants:
        return constants[text]
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text
