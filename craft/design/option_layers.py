"""The modes ``paper`` and ``released``: what a configuration gives a method's run, layer by layer,
and the differences between the two, each of which can be had alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from craft.design.learner_options import learner_options
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
    """Return the options given for a method id on a data set at some shots (zero-shot: 0).

    They come in layers, of which later ones win: in mode released, what the authors' code sets for
    all data sets (``RELEASED``) and for this one (its file's ``released``); the blocks of
    :func:`blocks`; the id's ``@option=value``, in which the value ``released`` stands for what mode
    released has there. Raises ValueError where a value goes by shots and these have none.
    """
    base, *parts = method.split("@")
    overrides = {name: value for name, _, value in (part.partition("=") for part in parts)}
    layers = list(blocks(config, base, dataset))
    modes = [block["mode"] for _, block in layers if "mode" in block]
    mode = overrides.get("mode") or (modes[-1] if modes else "paper")
    released = shots > 0 and mode == "released"
    options: dict[str, Any] = {}
    if released:
        authors = config["facts"][dataset].get("released") or {}
        options |= RELEASED | _at(authors, shots, f"released on {dataset}")
    for where, block in layers:
        plain = {name: value for name, value in block.items() if name != "released"}
        options |= _at(plain, shots, where)
        if released:
            options |= _at(block.get("released") or {}, shots, f"{where}.released")
    for name, text in overrides.items():
        if text != "released" or name == "mode":
            options[name] = parsed(text)
            continue
        there = given(config, f"{base}@mode=released", dataset, shots)
        options |= {name: there[name]} if name in there else {}
    if not shots:
        options.pop("mode", None)  # nothing is trained: both modes are one
    return options


def blocks(
    config: Mapping[str, Any], method: str, dataset: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each block of options that holds for a method on a data set, after where it stands.

    From the most general to the most particular, which wins: the data set's file for the method's
    learner, the suite, the suite for the data set, the method, the method for the data set. A block
    maps options to values; its key ``released`` holds those of mode released alone.
    """
    spec, file = config["methods"][method], config["facts"][dataset]
    learner = spec["learner"]
    by_learner, by_dataset = file.get("learner_options"), config.get("dataset_options")
    own, own_by_dataset = spec.get("options"), spec.get("dataset_options")
    yield f"learner_options.{learner} of {dataset}", (by_learner or {}).get(learner) or {}
    yield "options", config.get("options") or {}
    yield f"dataset_options.{dataset}", (by_dataset or {}).get(dataset) or {}
    yield f"methods.{method}.options", own or {}
    yield f"methods.{method}.dataset_options.{dataset}", (own_by_dataset or {}).get(dataset) or {}


def _at(values: Mapping[str, Any], shots: int, where: str) -> dict[str, Any]:
    """Return a block's values, those that go by shots looked up; zero-shot has none of those."""
    found = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            if not shots:
                continue
            if str(shots) not in value:
                raise ValueError(
                    f"{where}.{name}: expected a value for {shots} shots, got values for "
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
