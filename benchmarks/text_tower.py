"""The text tower against the plain forward: ``python -m benchmarks.text_tower [--threads 2]``.

Plain is what the released scripts do: one candidate at a time, every prompt at its full 77
positions, open_clip's own modules. All sides are child processes that take turns, with the same
random weights and offsets; bfloat16 is the fast one in that type. Ratios are of seconds per
candidate; ``--clock cpu`` counts processor time, which other users of the machine disturb less,
``wall`` what one waits for.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from benchmarks import measure
from craft.blackbox.text.prefix_sharing import TextTower

ARCHITECTURE = "RN50-quickgelu"
POPULATION = 40


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure both sides in turn and report; returns what is written as JSON."""
    parser = measure.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="wall")
    parser.add_argument("--population", type=int, default=POPULATION)
    parser.add_argument("--datasets", nargs="+", default=list(measure.class_names()))
    parser.add_argument("--features", type=Path, help="file that a child leaves features in")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    if given.part:
        sides = {
            "plain": _plain,
            "fast": _fast,
            "bfloat16": functools.partial(_fast, dtype=torch.bfloat16),
        }
        print(json.dumps(sides[given.part](given)))
        return {}
    turns: dict[str, list[dict[str, Any]]] = {"plain": [], "fast": [], "bfloat16": []}
    with tempfile.TemporaryDirectory() as folder:
        features = {side: str(Path(folder) / side) for side in turns}
        for _ in range(given.rounds):
            for side, done in turns.items():
                options = ["--part", side, "--features", features[side], "--datasets"]
                options += [*given.datasets, "--population", str(given.population)]
                options += ["--smoke"] * given.smoke
                done.append(measure.child("benchmarks.text_tower", given.threads, options))
        plain, fast, half = (load_file(path) for path in features.values())
    clock = given.clock
    rows = []
    for name in given.datasets:
        best = {
            side: min((turn[name] for turn in done), key=lambda taken: taken[clock])
            for side, done in turns.items()
        }
        least = {side: turn[clock] for side, turn in best.items()}
        work = best["fast"]
        rows.append(
            {
                "data set": name,
                "classes": work["classes"],
                "positions": work["positions"],
                "plain s": least["plain"],
                "fast s": least["fast"],
                "ratio": least["plain"] / least["fast"],
                "fast GFLOP/s": work["operations"] / least["fast"] / 1e9,
                "matmul GFLOP/s": work["matmul"][clock] / 1e9,
                "of matmul": _share(best["fast"], clock),
                "plain of matmul": _share(best["plain"], clock),
                "largest difference": float((plain[name] - fast[name]).abs().max()),
                "bfloat16 s": least["bfloat16"],
                "bfloat16 over fast": least["fast"] / least["bfloat16"],
                "bfloat16 over plain": least["plain"] / least["bfloat16"],
                "bfloat16 matmul GFLOP/s": best["bfloat16"]["matmul"][clock] / 1e9,
                "bfloat16 of matmul": _share(best["bfloat16"], clock),
                "bfloat16 difference": float((fast[name] - half[name]).abs().max()),
            }
        )
    ratios = [row["ratio"] for row in rows]
    result = {
        "clock": clock,
        "population": given.population,
        "geometric mean of ratios": measure.geometric_mean(ratios),
        "least ratio": min(ratios),
        "geometric mean, bfloat16 over fast": measure.geometric_mean(
            [row["bfloat16 over fast"] for row in rows]
        ),
        "geometric mean, bfloat16 over plain": measure.geometric_mean(
            [row["bfloat16 over plain"] for row in rows]
        ),
        "least share of matmul": min(row["of matmul"] for row in rows),
        "largest difference": max(row["largest difference"] for row in rows),
    }
    measure.report(result, rows, given)
    return result | {"rows": rows}


def _share(turn: dict[str, Any], clock: str) -> float:
    """Of the rate of a large product, taken beside the same forward: machines have moods."""
    return turn["operations"] / turn[clock] / turn["matmul"][clock]


def _offsets(population: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 0.02 * torch.randn(population, 4, width, generator=generator)


def _timed(
    forward: Callable[[], Any], given: Any, dtype: torch.dtype = torch.float32
) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of a forward, and the mean of a large product's rates before and after it."""
    size = 256 if given.smoke else 2048
    before = measure.matmul_rate(size, dtype=dtype)
    taken = measure.seconds(forward)
    after = measure.matmul_rate(size, dtype=dtype)
    return taken, {clock: (before[clock] + after[clock]) / 2 for clock in before}


@torch.inference_mode()
def _fast(given: Any, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """Seconds per candidate of a whole population, and features of the first candidate."""
    weights = measure.text_weights(None if given.smoke else ARCHITECTURE)
    done: dict[str, Any] = {}
    features = {}
    for name in given.datasets:
        prompt = measure.tokens(measure.class_names()[name])
        tower = TextTower(weights, prompt, dtype=dtype)
        offsets = _offsets(given.population, tower.context_width)
        features[name] = tower.encode(offsets)[0]  # what is set up once is not timed on either side
        taken, rate = _timed(
            lambda tower=tower, offsets=offsets: tower.encode(offsets), given, dtype
        )
        # Without padding, and as if every block ran on every position.
        tree = {suffix[: n + 1] for suffix in prompt.suffix_ids for n in range(len(suffix))}
        positions = 1 + tower.context_length + len(tree)
        done[name] = {clock: value / given.population for clock, value in taken.items()} | {
            "matmul": rate,
            "classes": len(prompt.class_names),
            "positions": positions,
            "operations": measure.operations(weights, positions),
        }
    save_file(features, given.features)
    return done


@torch.inference_mode()
def _plain(given: Any) -> dict[str, Any]:
    """Seconds per candidate, each a forward of every prompt at full length."""
    import open_clip

    pool = open_clip.transformer.text_global_pool

    architecture = None if given.smoke else ARCHITECTURE
    model, tokenizer = measure.text_model(architecture), open_clip.SimpleTokenizer()
    weights = measure.text_weights(architecture)
    done: dict[str, Any] = {}
    features = {}
    for name in given.datasets:
        names = measure.class_names()[name]
        ids = tokenizer([f"a photo of a {each.replace('_', ' ')}." for each in names])
        offset = _offsets(given.population, model.token_embedding.weight.shape[1])[0]

        def forward(ids: torch.Tensor = ids, offset: torch.Tensor = offset) -> torch.Tensor:
            x = model.token_embedding(ids)
            x[:, 1 : 1 + len(offset)] += offset
            x = model.transformer(x + model.positional_embedding, attn_mask=model.attn_mask)
            x = pool(model.ln_final(x), ids, model.text_pool_type)
            return F.normalize(x @ model.text_projection, dim=-1)

        features[name] = forward()
        taken, rate = _timed(forward, given)
        done[name] = taken | {
            "matmul": rate,
            "operations": measure.operations(weights, ids.numel()),
        }
    save_file(features, given.features)
    return done


if __name__ == "__main__":
    main()
