"""Labels of rows and columns, captions and notices of a table, from its runs."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from craft.design.artefact import Artefact
from craft.learner.options import ENCODING
from craft.report.published import Published
from craft.report.published_files import NAMES
from craft.report.tables.table import BACKBONE, METHOD

#: Why a method that has images encoded during its fit is not run on every backbone.
VISION_TRANSFORMERS = "as Vision Transformers alone encode images during a fit here"


@dataclass(frozen=True)
class Method:
    """A row (or column) of a table that compares methods: one of the suite, or a printed one."""

    id: str
    label: str
    run: bool  # whether a method of the suite has this id

    @property
    def heading(self) -> str:
        """Printed name, which says so where the method is not run."""
        return self.label if self.run else f"{self.label} (not run)"


def labels(lines: pd.DataFrame, column: str, label: str) -> dict[str, str]:
    """Return the printed name of each value of a column, in order."""
    found = lines.drop_duplicates(column)
    return dict(zip(found[column], found[label], strict=True))


def backbones(lines: pd.DataFrame) -> dict[str, str]:
    """Return the printed name of each backbone."""
    return labels(lines, "backbone", "backbone_label")


def datasets(lines: pd.DataFrame) -> dict[str, str]:
    """Return the printed name of each data set that learners are trained on."""
    return labels(lines, "dataset", "dataset_label")


def compared(
    artefact: Artefact, lines: pd.DataFrame, published: Published, backbone: str
) -> tuple[Method, ...]:
    """Return the methods of a table in the paper's order, those that it alone prints too."""
    run = labels(lines, "row", "label")
    printed = {name: NAMES[name] for name in published.methods(backbone) if name in NAMES}
    shown = run | {name: label for name, label in printed.items() if name not in run}
    known = [method for method in artefact.order if method in shown]
    return tuple(
        Method(method, shown[method], method in run) for method in dict.fromkeys((*known, *shown))
    )


def where(lines: pd.DataFrame, backbone: str) -> tuple[str, ...]:
    """Return the stub entry that names a row's backbone; empty with a single backbone."""
    names = backbones(lines)
    return (names[backbone],) if len(names) > 1 else ()


def where_heading(lines: pd.DataFrame, name: str = METHOD) -> tuple[str, ...]:
    """Return the headings of that entry and of a row's name."""
    return (BACKBONE, name) if lines["backbone"].nunique() > 1 else (name,)


def shift_label(source: str, target: str) -> str:
    """Return the part of a target's name behind its source's ("-V2"), as the paper prints it."""
    rest = target.removeprefix(source).lstrip("- ")
    return f"-{rest}" if rest and rest != target else target


def caption(artefact: Artefact, lines: pd.DataFrame, **more: str) -> str:
    """Return a table's caption, the fields in braces filled in from its runs and from ``more``."""
    names = list(datasets(lines).values())
    only = list(backbones(lines).values())
    targets = lines.loc[lines["test_set"] != lines["dataset"], "test_set"].nunique()
    accuracy = f"accuracy (%) on {names[0]}"
    if len(names) > 1:
        accuracy = f"average accuracy (%) over {len(names)} data sets"
    fields = {
        "backbone": f"{only[0]}, " if len(only) == 1 else "",
        "datasets": ", ".join(names),
        "accuracy": accuracy,
        "shots": ", ".join(f"{shots:.0f}" for shots in lines["shots"].unique()),
        "averaged": "; Avg. is the mean of the targets" if targets > 1 else "",
        "label": lines["label"].iloc[0],
        "given": _given(lines),
        "seeds": _seeds(lines),
        "machines": f"Times and memory were measured on: {machines(lines) or 'no run yet'}. They "
        "differ from one execution to the next.",
    }
    text = artefact.caption.format(**fields | more)
    return " ".join([text, *_restricted(lines)])


def _given(lines: pd.DataFrame) -> str:
    """Return which methods are given features, as a sentence of a caption; empty without any."""
    names = lines.loc[lines["access"] == "features", "label"].unique()
    return f"Given features, not predictions alone: {', '.join(names)}. " if len(names) else ""


def covers(own: pd.DataFrame, lines: pd.DataFrame) -> bool:
    """Return whether a method's runs are on every data set of a table; none are on all."""
    return own.empty or set(own["dataset"]) == set(lines["dataset"])


def _restricted(lines: pd.DataFrame) -> list[str]:
    """Return which methods run only on some backbones or data sets of a table, and why."""
    found: dict[str, list[str]] = {}
    for _, own in lines.groupby("row", sort=False):
        some: dict[str, list[str]] = {}
        for key, shown in (("backbone", backbones), ("dataset", datasets)):
            if own[key].nunique() < lines[key].nunique():
                encoded = key == "backbone" and own["access"].isin(ENCODING).any()
                why = VISION_TRANSFORMERS if encoded else "by the suite's choice"
                some.setdefault(why, []).append(", ".join(shown(own).values()))
        if some:
            on = " and ".join(
                f"on {' and '.join(names)} alone, {why}" for why, names in some.items()
            )
            found.setdefault(on, []).append(own["label"].iloc[0])
    return [f"Run {on}: {', '.join(methods)}." for on, methods in found.items()]


def _seeds(lines: pd.DataFrame) -> str:
    trained = lines["trained_shots"] > 0
    number = lines.loc[trained, "seed"].nunique()
    if number < 2:
        return "One seed."
    but = "" if trained.all() else " (one run for zero-shot)"
    return f"Mean ± sample standard deviation over {number} seeds{but}."


def notices(lines: pd.DataFrame) -> tuple[str, ...]:
    """Return notices about the backbones on a table's data sets.

    They report an untouched context that is near chance on the training images, and classes that
    share a prompt, which no context can distinguish.
    """
    found: dict[str, None] = {}
    for (backbone, dataset), own in lines.groupby(["backbone_label", "dataset_label"], sort=False):
        near = own.loc[own["near_chance"] == "True", "initial_accuracy"]
        if len(near):
            found[
                f"{backbone} begins near chance on {dataset}: at the untouched context "
                f"{near.mean():.1f} % of the training images are classified correctly. The model "
                f"may not know these images or the names of their classes."
            ] = None
        few = own[own["distinct_prompts"] < own["classes"]]
        if len(few):
            found[
                f"{backbone} has {few['distinct_prompts'].iloc[0]:.0f} distinct prompts for the "
                f"{few['classes'].iloc[0]:.0f} classes of {dataset}. Classes that share a prompt "
                f"get the same scores."
            ] = None
    return tuple(found)


def machines(lines: pd.DataFrame) -> str:
    """Return the machines of the runs, each once; empty without runs."""
    named = {}
    for text in lines["machine"].unique():
        parts = dict(part.split("=", 1) for part in text.split(";") if part)
        if parts:
            threads = "1 thread" if parts["threads"] == "1" else f"{parts['threads']} threads"
            named[f"{parts['processor']}, {parts['device']}, {threads}"] = None
    return "; ".join(named)
