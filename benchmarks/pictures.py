"""The pictures of docs/performance.md that no single benchmark draws: token tree and roofline.

``python -m benchmarks`` draws them anew, the roofline from the figures that are committed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks import measure

#: Class names whose tree is drawn; the first three share their first token's node.
NAMES = (
    "great white shark",
    "great grey owl",
    "great pyrenees",
    "grey whale",
    "black swan",
    "black widow",
    "swan",
)
_SHARED, _OWN, _END = "#c6d9f0", "#f7e3b5", "#d5e8d4"


def token_tree(path: Path) -> dict[str, int]:
    """Draw the prompts of NAMES as one tree; return the positions of either way to run them."""
    import open_clip

    tokenizer, prompt = open_clip.SimpleTokenizer(), measure.tokens(NAMES)
    words = ["start", *(tokenizer.decode([token]).strip() for token in prompt.context_ids)]
    depth = len(words)
    leaves = sorted(set(prompt.suffix_ids))
    nodes: dict[tuple[int, ...], list[int]] = {}  # suffix up to a node -> leaves below it
    for leaf, suffix in enumerate(leaves):
        for end in range(1, len(suffix) + 1):
            nodes.setdefault(suffix[:end], []).append(leaf)
    middle = (len(leaves) - 1) / 2
    places = {
        node: (depth + len(node) - 1, sum(below) / len(below)) for node, below in nodes.items()
    }
    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    axes = figure.subplots()

    def box(x: float, y: float, text: str, colour: str) -> None:
        frame = {"boxstyle": "round,pad=0.25", "facecolor": colour, "edgecolor": "0.4"}
        axes.text(x, y, text, ha="center", va="center", fontsize=8, bbox=frame)

    def line(start: tuple[float, float], end: tuple[float, float]) -> None:
        axes.plot(*zip(start, end, strict=True), color="0.5", linewidth=0.8, zorder=0)

    for x, word in enumerate(words):
        line((x, middle), (min(x + 1, depth - 1), middle))
        box(x, middle, word, _SHARED)
    for node, place in places.items():
        line(places.get(node[:-1], (depth - 1, middle)), place)
        text = "end" if node in leaves else tokenizer.decode([node[-1]]).strip()
        shared = len(nodes[node]) > 1
        box(*place, text, _SHARED if shared else _END if text == "end" else _OWN)
    plain = tokenizer.context_length * len(NAMES)
    tree = depth + len(nodes)
    axes.set_title(
        f"{len(NAMES)} prompts: {plain} positions one by one, {tree} as a tree", fontsize=9
    )
    axes.set_ylim(-0.7, len(leaves) - 0.3)
    axes.invert_yaxis()
    axes.axis("off")
    figure.savefig(path, dpi=150, metadata={"Software": None})
    return {"plain": plain, "tree": tree}


def roofline(figures: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw what text forwards reach of the matrix rate: a CPU's by data set, and a GPU's."""
    rows = figures["text_tower"]["rows"]
    sides = (
        ("plain, float32", "matmul GFLOP/s", "plain of matmul", "s", "0.6"),
        ("tree, float32", "matmul GFLOP/s", "of matmul", "o", "tab:blue"),
        ("tree, bfloat16", "bfloat16 matmul GFLOP/s", "bfloat16 of matmul", "D", "tab:red"),
    )
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(7, 2))
    places = range(len(rows))
    for label, rate, share, marker, colour in sides:
        left.plot(
            places, [row[rate] * row[share] for row in rows], marker, color=colour, label=label
        )
        if label != "plain, float32":
            left.step(places, [row[rate] for row in rows], where="mid", color=colour, linestyle=":")
    left.set_xticks(places, [row["data set"] for row in rows], rotation=30, ha="right", fontsize=8)
    left.set_title("CPU (dotted: a large product)", fontsize=9)
    left.set_yscale("log")
    left.grid(axis="y", which="both", linewidth=0.3)
    left.set_ylabel("GFLOP/s")
    left.legend(fontsize=8, ncols=3, loc="center", bbox_to_anchor=(0.5, 0.52))
    found = figures["gpu"]["rows"]
    rates = {row["type"]: row.get("TFLOPs") for row in found if row["step"] == "rate"}
    best = {row["kernels"]: row["TFLOPs"] for row in found if row["step"] == "text forward"}
    right.axhline(rates["bfloat16"], color="tab:red", linestyle=":")
    right.plot(range(len(best)), [*best.values()], "D", color="tab:red")
    right.set_xticks(range(len(best)), [f"{name}\nkernels" for name in best], fontsize=8)
    right.set_xlim(-0.5, len(best) - 0.5)
    right.set_ylim(bottom=0)
    right.grid(axis="y", linewidth=0.3)
    right.set_ylabel("TFLOP/s")
    right.set_title("H100, ImageNet's size", fontsize=9)
    figure.savefig(path, dpi=150, metadata={"Software": None})


def draw(folder: Path, pictures: Path) -> None:
    """Draw both, from the JSON in ``folder``."""
    token_tree(pictures / "token-tree.png")
    read = {
        name: json.loads((folder / f"{name}.json").read_text()) for name in ("text_tower", "gpu")
    }
    roofline(read, pictures / "roofline.png")
