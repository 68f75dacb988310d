"""What every benchmark shares: models with random weights, clocks, the machine, child processes."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from craft.blackbox.text.tokenise import PromptTokens
from craft.blackbox.text.weights import TextWeights
from craft.runtime.provenance import machine, versions

CLASS_NAMES = Path(__file__).with_name("class_names.json")
#: A vision tower that nobody runs, beside the text tower under test.
_VISION = {"layers": 1, "width": 8, "head_width": 4, "patch_size": 8, "image_size": 16}
#: What --smoke runs instead of a real text tower.
_SMALL = {"width": 64, "heads": 2, "layers": 3, "vocab_size": 49408}


def class_names() -> dict[str, list[str]]:
    """Class names of real data sets, in label order."""
    return json.loads(CLASS_NAMES.read_text(encoding="utf-8"))


def text_model(architecture: str | None, seed: int = 0) -> torch.nn.Module:
    """open_clip's CLIP with random weights; ``architecture`` None is a small one of its kind.

    Biases and norms, which start at constants, are made random too: a forward that left them out
    would show.
    """
    import open_clip

    torch.manual_seed(seed)
    if architecture is None:
        config: dict[str, Any] = {"embed_dim": 32, "text_cfg": _SMALL, "quick_gelu": True}
    else:
        config = open_clip.get_model_config(architecture)
    model = open_clip.CLIP(
        config["embed_dim"], _VISION, config["text_cfg"], quick_gelu=config.get("quick_gelu", False)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.02 * torch.randn_like(parameter)
    return model.eval().requires_grad_(False)


def text_weights(architecture: str | None) -> TextWeights:
    """Return the text side of :func:`text_model`."""
    return TextWeights.from_model(text_model(architecture))


def tokens(names: Sequence[str]) -> PromptTokens:
    """Prompts "a photo of a NAME." under CLIP's tokenizer."""
    import open_clip

    return PromptTokens.tokenise(open_clip.SimpleTokenizer(), names)


def invented_names(count: int, seed: int = 0) -> list[str]:
    """``count`` different class names of one to three words of the real ones."""
    words = sorted({word for names in class_names().values() for n in names for word in n.split()})
    generator = torch.Generator().manual_seed(seed)
    names: dict[str, None] = {}
    while len(names) < count:
        length = int(torch.randint(1, 4, (), generator=generator))
        picks = torch.randint(len(words), (length,), generator=generator).tolist()
        names[" ".join(words[pick] for pick in picks)] = None
    return list(names)


def operations(weights: TextWeights, positions: int) -> int:
    """Multiplications and additions of ``positions`` through every block's matrices."""
    matrices = (value for name, value in weights.tensors.items() if name.startswith("blocks."))
    return 2 * positions * sum(matrix.numel() for matrix in matrices if matrix.ndim == 2)


def seconds(run: Callable[[], Any], repeats: int = 1) -> dict[str, float]:
    """Least wall and least processor seconds (all threads) of ``repeats`` calls."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {"wall": min(walls), "cpu": min(cpus)}


def matmul_rate(
    size: int = 2048, repeats: int = 3, dtype: torch.dtype = torch.float32
) -> dict[str, float]:
    """FLOP/s of a large square product, by wall and by processor time."""
    left, right = torch.randn(2, size, size).to(dtype)
    left @ right
    taken = seconds(lambda: left @ right, repeats)
    return {clock: 2 * size**3 / value for clock, value in taken.items()}


def geometric_mean(values: Sequence[float]) -> float:
    """exp of the mean logarithm."""
    return math.exp(sum(map(math.log, values)) / len(values))


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of a straight line through (log size, log value) by least squares."""
    x, y = ([math.log(value) for value in axis] for axis in (sizes, values))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return slope / sum((a - mean_x) ** 2 for a in x)


def parser(description: str | None) -> argparse.ArgumentParser:
    """Arguments that every benchmark takes."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--threads", type=int, default=1, help="threads of each process")
    made.add_argument("--json", type=Path, help="file that gets the figures")
    made.add_argument("--smoke", action="store_true", help="seconds long: results, not times")
    made.add_argument("--part", help=argparse.SUPPRESS)  # what a child process does
    return made


def child(module: str, threads: int, arguments: Sequence[str]) -> dict[str, Any]:
    """Run ``python -m module arguments`` in a process of its own; its last line is JSON.

    Raises RuntimeError with what it wrote if it fails.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", module, "--threads", str(threads), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def write(result: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """Write ``result`` with the machine, versions and date, where asked for; return all of it.

    A benchmark without ``--device`` ran on the CPU.
    """
    from craft.fit.run_inputs import device_name  # here, as it counts towards a peak of memory

    device = torch.device(getattr(given, "device", "cpu"))
    whole = result | {
        "machine": machine(device_name(device), given.threads),
        "versions": versions(),
        "date": datetime.date.today().isoformat(),
    }
    if given.json:
        given.json.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    return whole


def report(
    result: dict[str, Any], rows: Sequence[Mapping[str, Any]], given: argparse.Namespace
) -> None:
    """Print ``rows`` as a table and write ``result`` with the machine, versions and date."""
    print(tabulate([dict(row) for row in rows], "keys", "plain", floatfmt=".4g"))
    whole = write(result | {"rows": list(rows)}, given)
    print(json.dumps({key: value for key, value in whole.items() if key != "rows"}))


@contextlib.contextmanager
def stopwatch(cls: type, name: str, part: str, spent: dict[str, float]) -> Iterator[None]:
    """Add a method's own seconds, without those of watched methods below it, to its part."""
    original = getattr(cls, name)

    @functools.wraps(original)
    def timed(*args: Any, **kwargs: Any) -> Any:
        below, start = sum(spent.values()), time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            inside = sum(spent.values()) - below
            spent[part] = spent.get(part, 0.0) + time.perf_counter() - start - inside

    setattr(cls, name, timed)
    try:
        yield
    finally:
        setattr(cls, name, original)
