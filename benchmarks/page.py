"""The measured part of docs/performance.md, made from the benchmarks' JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).with_name("figures")
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
PLOT = PAGE.parent / "images" / "growth.png"
BEGIN, END = "<!-- measured: python -m benchmarks -->", "<!-- /measured -->"


def filled(page: str, figures: Path = FIGURES) -> str:
    """The page with its measured part anew; raises ValueError without the two markers."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"the page needs {BEGIN} and {END} once each")
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "\n\n" + measured(figures) + "\n" + END + rest.partition(END)[2]


def measured(figures: Path) -> str:
    """A section for each benchmark that left its JSON in a folder."""
    sections = {
        "text_tower": _text_tower,
        "scoring": _scoring,
        "whole_run": _whole_run,
        "images": _images,
        "growth": _growth,
        "gpu": _gpu,
    }
    written = []
    for name, section in sections.items():
        path = figures / f"{name}.json"
        if path.is_file():
            done = json.loads(path.read_text(encoding="utf-8"))
            written.append(section(done) + "\n" + _where(done))
    return "\n".join(written)


def _text_tower(done: Mapping[str, Any]) -> str:
    rows = [
        {
            "data set": row["data set"],
            "classes": row["classes"],
            "positions, plain": 77 * row["classes"],
            "tree": row["positions"],
            "plain, s": f"{row['plain s']:.3f}",
            "fast, s": f"{row['fast s']:.4f}",
            "ratio": f"{row['ratio']:.1f}",
            "plain of matmul": f"{row['plain of matmul']:.0%}",
            "fast of matmul": f"{row['of matmul']:.0%}",
            "largest difference": f"{row['largest difference']:.1e}",
        }
        for row in done["rows"]
    ]
    return (
        "### Text tower\n\n"
        f"Seconds per candidate ({_clock(done)}), a population of {done['population']} on the fast "
        f"side. Geometric mean of the ratios: **{done['geometric mean of ratios']:.1f}**; the "
        f"least: {done['least ratio']:.1f}. A large product runs at {done['matmul GFLOP/s']:.0f} "
        f"GFLOP/s.\n\n{_table(rows)}"
    )


def _scoring(done: Mapping[str, Any]) -> str:
    (row,) = done["rows"]
    return (
        "### Scoring\n\n"
        f"A generation of {row['population']} candidates on {row['images']:,} images of "
        f"{row['classes']:,} classes, both losses and the refinement included, without the text "
        f"forward: **{row['peak GB']:.2f} GB** at its peak, all of the process included (limit "
        f"{done['limit GB']:.0f} GB), {row['cpu']:.0f} s of "
        f"processor time, {row['GFLOP/s']:.0f} GFLOP/s per core.\n"
    )


def _whole_run(done: Mapping[str, Any]) -> str:
    rows = [
        {
            "part": row["part"],
            "seconds": f"{row['seconds']:.1f}",
            "share": f"{row['share']:.1%}",
            "ms per generation": f"{row['ms per generation']:.1f}",
        }
        for row in done["rows"]
    ]
    return (
        "### A whole run\n\n"
        f"{done['queries']['search']:,} search queries, {done['generations']} generations: "
        f"**{done['wall s']:.0f} s**, start-up included. Of a generation, "
        f"{done['share that is not text forward']:.1%} is not text forward.\n\n{_table(rows)}"
    )


def _images(done: Mapping[str, Any]) -> str:
    rows = [
        {
            "side": row["side"],
            "images per s": f"{row['images per s']:.1f}",
            "core ms per image": f"{row['core ms per image']:.1f}",
            "rate, of bare": f"{row['rate, of bare']:.0%}",
            "by core time": f"{row['rate by core time, of bare']:.0%}",
        }
        for row in done["rows"]
    ]
    return (
        "### Images\n\n"
        f"{done['images']} JPEGs of 500 x 375 pixels, ResNet-50, batches of {done['batch']}: from "
        f"files to features at **{done['share of bare']:.0%}** of the bare model's rate by the "
        f"clock, {done['share of bare by core time']:.0%} by processor time.\n\n{_table(rows)}"
    )


def _growth(done: Mapping[str, Any]) -> str:
    rows = [
        {
            "classes": row["classes"],
            "images": row["images"],
            "population": row["population"],
            "s per generation": f"{row['s per generation']:.3f}",
            "varied": row["axis"],
        }
        for row in done["rows"]
    ]
    fitted = ", ".join(f"{axis} {value:.2f}" for axis, value in done["exponents"].items())
    return (
        "### Growth\n\n"
        f"Fitted exponents (least squares in logarithms, {_clock(done)}): {fitted}. Images are "
        "varied without the text forward, which does not depend on them.\n\n"
        f"![Seconds per generation](images/growth.png)\n\n{_table(rows)}"
    )


def _gpu(done: Mapping[str, Any]) -> str:
    (row,) = done["rows"]
    return (
        "### GPU\n\n"
        f"{row['classes']:,} classes, {row['images']:,} images, {row['dtype']}: "
        f"{row['generations per s']:.2f} generations per second, a run of {row['budget']:,} "
        f"queries in {row['run s']:.0f} s. Against float32, {row['same argmax']:.2%} of the "
        "predictions are the same and losses differ by at most "
        f"{row['largest difference of loss']:.1e}.\n"
    )


def _clock(done: Mapping[str, Any]) -> str:
    return {"cpu": "processor time", "wall": "by the clock"}[done["clock"]]


def _where(done: Mapping[str, Any]) -> str:
    machine, versions = done["machine"], done["versions"]
    device = "" if machine["device"] == "cpu" else f"{machine['device']}, "
    return (
        f"Measured {done['date']}: {device}{machine['processor']}, {machine['cores']} cores, "
        f"{machine['threads']} threads to a process; torch {versions['torch']}, Python "
        f"{versions['python']}.\n"
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([*row.values()] for row in rows)]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)
