"""Measure the gap of every task on development data: zero-shot against 16 labelled images a class.

    python -m craft.mini.measure_gap --config config/backbones/mini-rn.yaml

Only the development instances are rendered; this is what the tasks were designed by.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from open_clip.model import CLIP
from sklearn.linear_model import LogisticRegression

from craft.files import yaml12
from craft.mini import backbone as mini
from craft.mini import render as tasks
from craft.runtime.command import run_command

log = logging.getLogger(__name__)

SHOTS = 16


@torch.no_grad()
def features(model: CLIP, config: dict, images: np.ndarray) -> np.ndarray:
    """Return normalised image features (n, D) of uint8 images (n, 32, 32, 3)."""
    return model.encode_image(mini.pixels(images, config), normalize=True).numpy()


@torch.no_grad()
def prompts(model: CLIP, config: dict, template: str, names: list[str]) -> np.ndarray:
    """Return normalised text features (K, D) of the class names in a template."""
    tokens = mini.tokenizer(config)([template.format(name) for name in names])
    return model.encode_text(tokens, normalize=True).numpy()


def linear_probe(
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    shots: int,
    rng: np.random.Generator,
) -> LogisticRegression:
    """Return a logistic regression on a few rows per class, its penalty chosen on val."""
    x, y = train
    rows = np.concatenate(
        [rng.choice(np.flatnonzero(y == k), shots, replace=False) for k in np.unique(y)]
    )
    fits = [LogisticRegression(C=c, max_iter=500).fit(x[rows], y[rows]) for c in (1, 10, 100)]
    return max(fits, key=lambda fit: fit.score(*val))


def measure(model: CLIP, config: dict, folder: Path) -> dict[str, dict[str, float]]:
    """Return {task: {zero_shot, linear_probe}}; a shifted set is scored with its source's probe.

    folder holds the data sets' YAML files, read for template and source.
    """
    results, fits = {}, {}
    for name in tasks.TASKS:
        facts = yaml12.read(folder / f"{name}.yaml")
        images, labels = tasks.render(name, "test", development=True)
        x = features(model, config, images)
        text = prompts(model, config, facts["template"], tasks.classes(name))
        results[name] = {"zero_shot": float(((x @ text.T).argmax(1) == labels).mean())}
        if "source" not in facts:
            train, val = (
                (features(model, config, i), k)
                for i, k in (tasks.render(name, part, development=True) for part in tasks.PARTS[:2])
            )
            fits[name] = [
                linear_probe(train, val, SHOTS, np.random.Generator(np.random.PCG64(seed)))
                for seed in (1, 2, 3)
            ]
        scores = [fit.score(x, labels) for fit in fits[facts.get("source", name)]]
        results[name]["linear_probe"] = float(np.mean(scores))
    return results


def main(argv: list[str] | None = None) -> None:
    """Log zero-shot and 16-shot linear-probe accuracy of every task, on development data."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config/backbones/NAME.yaml")
    parser.add_argument("--weights", type=Path, help="default: the config's `weights`")
    parser.add_argument("--datasets", type=Path, default=Path("config/datasets"))
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    config = yaml12.read(args.config)
    model = mini.load(config, args.weights or config["weights"])
    for name, score in measure(model, config, args.datasets).items():
        log.info("%-18s zero-shot %5.1f  16-shot linear probe %5.1f", name,
                 100 * score["zero_shot"], 100 * score["linear_probe"])  # fmt: skip


if __name__ == "__main__":
    run_command(main)
