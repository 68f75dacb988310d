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
    """Return the page with its measured part anew; raises ValueError without the two markers."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{PAGE}: expected {BEGIN} and {END} once each")
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "\n\n" + measured(figures) + "\n" + END + rest.partition(END)[2]


def measured(figures: Path) -> str:
    """Return a section for each benchmark that left its JSON in a folder."""
    sections = {
        "text_tower": _text_tower,
        "scoring": _scoring,
        "whole_run": _whole_run,
        "whole_run_auto": _whole_run,
        "whole_run_gpu": _whole_run,
        "images": _images,
        "precision": _precision,
        "image_tower": _image_tower,
        "service": _service,
        "image_tower_gpu": _image_tower,
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
    columns = {
        "data set": "{data set}",
        "classes": "{classes}",
        "positions, plain": "{plain positions}",
        "tree": "{positions}",
        "plain, s": "{plain s:.3f}",
        "fast, s": "{fast s:.4f}",
        "ratio": "{ratio:.1f}",
        "matmul, GFLOP/s": "{matmul GFLOP/s:.0f}",
        "plain of matmul": "{plain of matmul:.0%}",
        "fast of matmul": "{of matmul:.0%}",
        "largest difference": "{largest difference:.1e}",
    }
    half = {
        "data set": "{data set}",
        "bfloat16, s": "{bfloat16 s:.4f}",
        "over our float32": "{bfloat16 over fast:.2f}",
        "over plain": "{bfloat16 over plain:.0f}",
        "matmul, GFLOP/s": "{bfloat16 matmul GFLOP/s:.0f}",
        "of matmul": "{bfloat16 of matmul:.0%}",
        "largest difference": "{bfloat16 difference:.1e}",
    }
    rows = [{**row, "plain positions": 77 * row["classes"]} for row in done["rows"]]
    return (
        "### Text tower\n\n"
        f"Seconds per candidate ({_clock(done)}), with a population of {done['population']} on the "
        "fast side. Geometric mean of the ratios: "
        f"**{done['geometric mean of ratios']:.1f}**; smallest ratio: {done['least ratio']:.1f}."
        f"\n\n{_table(rows, columns)}\n"
        "The same run measured the tree in bfloat16. Geometric means: "
        f"**{done['geometric mean, bfloat16 over fast']:.2f}** over our float32, "
        f"**{done['geometric mean, bfloat16 over plain']:.1f}** over plain.\n\n"
        f"{_table(rows, half)}"
    )


def _scoring(done: Mapping[str, Any]) -> str:
    (row,) = done["rows"]
    return (
        "### Scoring\n\n"
        f"A generation of {row['population']} candidates on {row['images']:,} images of "
        f"{row['classes']:,} classes, with both losses and the refinement but without the text "
        f"forward. Peak memory of the whole process: **{row['peak GB']:.2f} GB** (limit "
        f"{done['limit GB']:.0f} GB). Processor time: {row['cpu']:.0f} s, at "
        f"{row['GFLOP/s']:.0f} GFLOP/s per core.\n"
    )


def _whole_run(done: Mapping[str, Any]) -> str:
    columns = {
        "part": "{part}",
        "seconds": "{seconds:.1f}",
        "share": "{share:.1%}",
        "ms per generation": "{ms per generation:.1f}",
    }
    total = (
        f"{done['queries']['search']:,} search queries in {done['generations']} generations take "
        f"**{done['wall s']:.0f} s**, start-up included."
    )
    if _gpu_of(done):
        more = (
            "Seconds are those of the processor, which launches kernels and waits for them in "
            f"“scores and losses”. The search ran in {done['dtypes']['search']}."
        )
    else:
        share = done["share that is not text forward"]
        more = (
            f"The text forward takes all but {share:.1%} of a generation. The search ran in "
            f"{done['dtypes']['search']}, all else in {done['dtypes']['text']}."
        )
    half = done["dtypes"]["search"] != done["dtypes"]["text"]
    place = " on a GPU" if _gpu_of(done) else " with a search in half precision" if half else ""
    heading = f"A whole run{place}"
    return f"### {heading}\n\n{total} {more}\n\n{_table(done['rows'], columns)}"


def _images(done: Mapping[str, Any]) -> str:
    columns = {
        "side": "{side}",
        "images per s": "{images per s:.1f}",
        "core ms per image": "{core ms per image:.1f}",
        "rate, of bare": "{rate, of bare:.0%}",
        "by core time": "{rate by core time, of bare:.0%}",
    }
    return (
        "### Images\n\n"
        f"{done['images']} JPEGs of 500 x 375 pixels, ResNet-50, batches of {done['batch']}. From "
        f"files to features, images are encoded at **{done['share of bare']:.0%}** of the bare "
        f"model's rate by the clock, {done['share of bare by core time']:.0%} by processor time. "
        f"Decoding takes {done['decoding, core ms per image']:.1f} ms of a core per image.\n\n"
        f"{_table(done['rows'], columns)}"
    )


def _precision(done: Mapping[str, Any]) -> str:
    columns = {
        "oneDNN's instruction set": "{instruction set}",
        "model": "{model}",
        "precision": "{precision}",
        "s per batch": "{s per batch:.3f}",
        "rate, of fp32": "{rate, of fp32:.2f}",
        "lowest cosine to fp32": "{lowest cosine:.5f}",
    }
    return (
        "### Precision of the image tower\n\n"
        f"Batches of {done['batch']} random images, random weights; the largest instruction set "
        "that oneDNN may use is bounded by its variable `ONEDNN_MAX_CPU_ISA`.\n\n"
        f"{_table(done['rows'], columns)}"
    )


def _image_tower(done: Mapping[str, Any]) -> str:
    gpu = _gpu_of(done)
    unit, clock = ("ms", "by the clock") if gpu else ("ms of a core", "processor time")
    columns = {"side": "{side}", f"{unit} per candidate and image": "{ms per pair:.3g}"}
    return (
        f"### Image tower{' on a GPU' if gpu else ''}\n\n"
        f"{done['architecture']} with {done['tokens']} visual prompt tokens, {done['candidates']} "
        f"candidates on {done['images']} images: **{done['ratio']:.2f}** times the rate of "
        f"open_clip's own modules on concatenated tokens ({clock}, median of "
        f"{len(done['ratios'])} turns). Unit features differ by at most "
        f"{done['largest difference']:.1e}. The table lists each side's fastest turn.\n\n"
        f"{_table(done['rows'], columns)}"
    )


def _service(done: Mapping[str, Any]) -> str:
    took, memory = done["overhead"], done["memory"]
    return (
        "### A service\n\n"
        f"A population at EuroSAT's size takes {took['here, s']:.2f} s in one process and "
        f"{took['HTTP, s']:.2f} s over HTTP on the loopback: **{took['longer by']:+.1%}**. "
        f"An answer of {memory['answer, MB']:,.0f} MB takes **{memory['server, MB']:,.0f} MB** of "
        f"the server and **{memory['client, MB']:,.0f} MB** of the client, beside model and "
        "features.\n"
    )


def _growth(done: Mapping[str, Any]) -> str:
    columns = {
        "classes": "{classes}",
        "images": "{images}",
        "population": "{population}",
        "s per generation": "{s per generation:.3f}",
        "varied": "{axis}",
    }
    fitted = ", ".join(f"{axis} {value:.2f}" for axis, value in done["exponents"].items())
    return (
        "### Growth\n\n"
        f"Fitted exponents (least squares in logarithms, {_clock(done)}): {fitted}. The text "
        "forward does not depend on the images and is left out where they vary.\n\n"
        f"![Seconds per generation](images/growth.png)\n\n{_table(done['rows'], columns)}"
    )


def _gpu(done: Mapping[str, Any]) -> str:
    """One table to a question; what was not reached in time is not shown."""
    rows = done["rows"]

    def of(step: str, **changed: Any) -> list[dict[str, Any]]:
        return [{**row, **changed} for row in rows if row["step"] == step]

    on = {True: "TF32", False: "float32"}
    rates = {row["type"]: row for row in of("rate")}
    parts = [
        {
            "part": f"text forward, {row['kernels']} kernels, {row['together']} contexts at once",
            **row,
        }
        for row in of("text forward")
    ] + [
        {"part": f"scores and losses, {on[row['tf32']]}, blocks of {row['block MB']:.0f} MB", **row}
        for row in of("scores and losses")
    ]
    parts = [{**row, "rate": f"{row['TFLOPs']:.0f}"} for row in parts] + [
        {
            "part": f"refiner, {row['size']}, "
            + ("one CUDA graph" if row["recorded"] else "launched kernel by kernel"),
            "generation ms": row["ms"],
            "rate": "-",
        }
        for row in of("refiner")
    ]
    parts += [
        {
            "part": f"CMA-ES, {name}, on the processor"
            + (", diagonal" if row.get("covariance") == "diagonal" else ""),
            "generation ms": row[f"{name} ms"],
            "rate": "-",
        }
        for row in of("CMA-ES")
        for name in ("ask", "tell")
    ]
    parity = [{**row, "products": on[row["tf32"]]} for row in of("parity")]
    tables = (
        (
            "Rates of a large product, TFLOP/s: "
            + ", ".join(f"{t} {r['TFLOPs']:.0f}" for t, r in rates.items() if "TFLOPs" in r)
            + f"; a copy moves {rates['copy']['GBs'] / 1e3:.1f} TB/s.\n",
        )
        if "copy" in rates
        else (),
        (
            "Whole runs of CraFT, without the first generation, which compiles and records "
            "(“first”). TFLOP/s counts the text tower, scores and refined scores:\n",
            _table(
                of("whole run"),
                {
                    "size": "{size}",
                    "queries": "{queries:,}",
                    "run, s": "**{run s:.1f}**",
                    "generations per s": "{generations per s:.1f}",
                    "first, s": "{first generation s:.1f}",
                    "TFLOP/s": "{TFLOPs:.0f}",
                    "peak, GB": "{peak GB:.1f}",
                },
            ),
        ),
        (
            "The parts of a generation at ImageNet's size, each measured alone:\n",
            _table(parts, {"part": "{part}", "ms": "{generation ms:.1f}", "TFLOP/s": "{rate}"}),
        ),
        (
            "Largest differences of unit features and of losses from the CPU's float32, and the "
            "share of images with the same answer (weights are random, so classes are nearly "
            "tied):\n",
            _table(
                parity,
                {
                    "size": "{size}",
                    "text": "{dtype}",
                    "other products": "{products}",
                    "kernels": "{kernels}",
                    "features": "{feature:.1e}",
                    "losses": "{loss:.1e}",
                    "same answer": "{same argmax:.1%}",
                },
            ),
        ),
        (
            "Kernels of a generation at ImageNet's size, by time (mean of three generations; calls "
            "include the recording of the refiner's graph):\n",
            _table(
                [{**row, "name": row["name"][:70]} for row in of("kernel")[:12]],
                {
                    "kernel": "`{name}`",
                    "calls": "{calls:.0f}",
                    "ms": "{generation ms:.1f}",
                    "share": "{share:.0%}",
                },
            ),
        ),
    )
    return "### GPU\n\n" + "\n".join("\n".join(table) for table in tables)


def _gpu_of(done: Mapping[str, Any]) -> bool:
    """Return whether a benchmark ran on a GPU, whose name the file has."""
    return done["machine"]["device"] != "cpu"


def _clock(done: Mapping[str, Any]) -> str:
    return {"cpu": "processor time", "wall": "by the clock"}[done["clock"]]


def _where(done: Mapping[str, Any]) -> str:
    machine, versions = done["machine"], done["versions"]
    device = f"{machine['device']}, " if _gpu_of(done) else ""
    threads = "1 thread" if machine["threads"] == "1" else f"{machine['threads']} threads"
    return (
        f"Measured {done['date']}: {device}{machine['processor']}, {machine['cores']} cores, "
        f"{threads} per process; torch {versions['torch']}, Python {versions['python']}.\n"
    )


def _table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """Markdown; ``columns`` maps headings to formats of a row's values."""
    lines = [list(columns), ["---"] * len(columns)]
    lines += [[cell.format_map(row) for cell in columns.values()] for row in rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
