"""Measure a backbone on its own world, and compare a rebuilt weight file with the shipped one."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from open_clip.model import CLIP

from craft.files import yaml12
from craft.mini import backbone as mini
from craft.mini import world
from craft.runtime.command import run_command

log = logging.getLogger(__name__)

PROBE_SEED = 900
PER_CLASS = 40
TOLERANCE = 0.05


@torch.no_grad()
def zero_shot(
    model: CLIP, config: dict, images: np.ndarray, template: str, names: list[str]
) -> np.ndarray:
    """Return the class index (n,) whose prompt is nearest to each uint8 image (n, 32, 32, 3)."""
    tokens = mini.tokenizer(config)([template.format(name) for name in names])
    text = model.encode_text(tokens, normalize=True)  # (K, D)
    parts = [
        model.encode_image(mini.pixels(images[i : i + 256], config), normalize=True)
        for i in range(0, len(images), 256)
    ]
    return (torch.cat(parts) @ text.T).argmax(-1).numpy()


def probe(
    model: CLIP, config: dict, per_class: int = PER_CLASS, seed: int = PROBE_SEED
) -> dict[str, float]:
    """Return zero-shot accuracy (0..1) on held-out images of each kind of the world."""
    scores = {}
    for kind in world.KINDS:
        images, labels = world.render_probe(kind, per_class, seed)
        names = list(world.CLASSES[kind])
        found = zero_shot(model, config, images, world.TEMPLATES[kind], names)
        scores[kind] = float((found == labels).mean())
    return scores


def compare(config: dict, rebuilt: Path, shipped: Path) -> list[str]:
    """Return what is wrong with a rebuilt weight file beside the shipped one, nothing if equal."""
    faults = []
    if not np.array_equal(mini.read_vocabulary(rebuilt), mini.read_vocabulary(shipped)):
        faults.append("the vocabularies differ")
    new, old = (probe(mini.load(config, path), config) for path in (rebuilt, shipped))
    for kind in world.KINDS:
        log.info("%-8s rebuilt %.3f  shipped %.3f", kind, new[kind], old[kind])
        if abs(new[kind] - old[kind]) > TOLERANCE:
            faults.append(f"{kind}: {new[kind]:.3f} is not within {TOLERANCE} of {old[kind]:.3f}")
    return faults


def main(argv: list[str] | None = None) -> None:
    """Compare a rebuilt weight file with the shipped one; exits with a message if they differ."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config/backbones/NAME.yaml")
    parser.add_argument("--rebuilt", type=Path, required=True)
    parser.add_argument("--shipped", type=Path, help="default: the config's `weights`")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    config = yaml12.read(args.config)
    faults = compare(config, args.rebuilt, args.shipped or Path(config["weights"]))
    if faults:
        raise SystemExit("\n".join(faults))


if __name__ == "__main__":
    run_command(main)
