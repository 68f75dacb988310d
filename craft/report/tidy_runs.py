"""The tidy runs of an artefact: read once, and summarised over seeds.

A mean is shown only if all its runs exist, because a mean over a part of them would look complete.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from craft.files.atomic import RecordError
from craft.files.records import MEASURES

#: Columns of numbers; all others are text. A file omits columns that no run has.
NUMBERS = (
    *("shots", "trained_shots", "seed", "value", "queries", "accuracy", "model_parameters"),
    *MEASURES,
    *(
        "train_images",
        "train_accuracy",
        "initial_accuracy",
        "distinct_prompts",
        "fit_seconds",
        "predict_seconds",
        "predictions",
    ),
    *("peak_memory_mb", "peak_device_memory_mb", "learner_parameters", "learner_bytes"),
    *("queries_search", "queries_refine", "queries_evaluate", "images_encoded"),
    *("fit_queries", "fit_images_scored", "fit_images_encoded", "price"),
    *("classes", "train", "test", "declared_classes", "declared_train", "declared_test"),
)
TEXTS = ("access", "near_chance", "machine", "test_set", "dataset", "currency")


@dataclass(frozen=True)
class Sample:
    """Mean and deviation over seeds; neither if a run is missing."""

    mean: float | None
    std: float | None  # sample standard deviation; None for a single run
    seeds: int  # runs that are there
    expected: int
    missing: tuple[str, ...] = ()  # which runs are not, and why


def read(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Return the lines of a gathered CSV; the column ``problem`` states why a run is missing.

    Raises RecordError for another file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        if not text.endswith("\n"):
            raise ValueError("no end of line at the end: cut short")
        lines = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        lines = lines.assign(**{name: "" for name in (*NUMBERS, *TEXTS) if name not in lines})
        for name in NUMBERS:
            lines[name] = lines[name].replace("", "nan").astype(float)
        lines["problem"] = ""
        broken = lines["status"] != "ok"
        where = lines["run"] if "run" in lines else lines["dataset"]
        lines.loc[broken, "problem"] = where[broken] + ": " + lines.loc[broken, "status"]
    except (OSError, ValueError, KeyError) as error:
        raise RecordError(f"{path}: expected tidy runs, got {error!r}") from error
    return lines


def samples(
    lines: pd.DataFrame, by: Sequence[str], value: str = "accuracy", total: bool = False
) -> dict[tuple[str, ...], Sample]:
    """Return mean and deviation over seeds of each group of lines, by the columns ``by``.

    A group's data sets (or test sets) are averaged, or added up for a ``total``, seed by seed
    first. ``by`` names two columns or more.
    """
    if lines.empty:
        return {}
    keys = list(by)
    seeds = lines.groupby([*keys, "seed"], sort=False)[value]
    per_seed = (seeds.sum(skipna=False) if total else seeds.mean(skipna=False)).groupby(
        level=keys, sort=False
    )
    table = pd.DataFrame(
        {
            "mean": per_seed.mean(skipna=False),
            "std": per_seed.std(skipna=False),
            "seeds": per_seed.count(),
            "expected": per_seed.size(),
        }
    )
    lacking = lines[lines[value].isna()].groupby(keys)["problem"]
    problems = {key: tuple(dict.fromkeys(group)) for key, group in lacking}
    return {
        key: Sample(
            mean=None if pd.isna(line.mean) else line.mean,
            std=None if pd.isna(line.std) else line.std,
            seeds=int(line.seeds),
            expected=int(line.expected),
            missing=problems.get(key, ()),
        )
        for key, line in zip(table.index, table.itertuples(index=False), strict=True)
    }
