"""Pretrain a backbone of the embedded suite on the captioned world, on one CPU core.

The loss is CLIP's symmetric contrastive loss plus an auxiliary bag-of-words term: a linear head
on the image embedding predicts the caption's content words. The term makes the first steps
learn in a small batch; its weight falls linearly from 1 to 0 in each cycle, so training ends purely
contrastive, and the head is thrown away. Images are shifted by up to two pixels. The ViT starts
with attention to neighbouring patches (see `craft.mini.vit_init`).
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import logging
import math
import platform
import time
from pathlib import Path

import numpy as np
import open_clip
import PIL
import torch
from open_clip.model import CLIP
from torch import nn
from torch.nn import functional as F

from craft.files import yaml12
from craft.mini import backbone as mini
from craft.mini import training_state, vit_init, world
from craft.mini.compare_backbones import probe
from craft.runtime.command import run_command
from craft.runtime.progress import Progress

log = logging.getLogger(__name__)

_STOP = "a the of on . photo picture image background and"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one backbone is trained."""

    cycles: tuple[int, ...]  # steps of each cosine cycle: the rate falls to 0 and starts again
    lr: float
    batch: int = 128
    corpus: int = 60_000
    warmup: int = 100
    weight_decay: float = 0.05

    @property
    def steps(self) -> int:
        """Return the steps of all cycles."""
        return sum(self.cycles)

    def progress(self, step: int) -> tuple[int, float]:
        """Return the step within its cycle, and the share of that cycle done before it."""
        for length in self.cycles:
            if step < length:
                return step, step / length
            step -= length
        raise ValueError("the step lies past the last cycle")


RECIPES = {
    "mini-rn": Recipe(cycles=(5000,), lr=3e-3),
    "mini-vit": Recipe(cycles=(4000, 2400), lr=1.5e-3, batch=64, warmup=200),
}


def vocabulary_of(captions: list[str], config: dict) -> np.ndarray:
    """Return the token ids (n,) in the captions and the world's lexicon, ascending."""
    tokens = mini.tokenizer(config)([*captions, *world.lexicon()])
    # Ascending order keeps end-of-text the largest id, which CLIP's pooling relies on.
    return np.unique(tokens.numpy())


def encode_text(model: CLIP, tokens: torch.Tensor) -> torch.Tensor:
    """Return normalised text features (n, D), computing no position past the longest caption."""
    n = int(tokens.argmax(-1).max()) + 1
    x = model.token_embedding(tokens[:, :n]) + model.positional_embedding[:n]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:n, :n]))
    x = x[torch.arange(len(x)), tokens.argmax(-1)] @ model.text_projection
    return F.normalize(x, dim=-1)


def shifted(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return images (n, 32, 32, 3) each moved by up to two pixels, its border repeated."""
    side = images.shape[1]
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    out = np.empty_like(images)
    for i, (dy, dx) in enumerate(rng.integers(0, 5, (len(images), 2))):
        out[i] = padded[i, dy : dy + side, dx : dx + side]
    return out


def _groups(model: nn.Module, head: nn.Module, recipe: Recipe) -> list[dict]:
    named = [(n, p) for n, p in model.named_parameters() if n != "logit_scale"]
    decay = [p for n, p in named if p.ndim >= 2 and "embedding" not in n]
    plain = [p for n, p in named if p.ndim < 2 or "embedding" in n]
    return [
        {"params": decay, "weight_decay": recipe.weight_decay, "factor": 1.0},
        {"params": [*plain, *head.parameters()], "weight_decay": 0.0, "factor": 1.0},
        {"params": [model.logit_scale], "weight_decay": 0.0, "factor": 5.0},
    ]


def _loss(
    model: CLIP, head: nn.Linear, x: torch.Tensor, tokens: torch.Tensor, content: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the contrastive and the bag-of-words loss of a batch."""
    embedding = model.encode_image(x)
    scale = model.logit_scale.exp()
    logits = scale * F.normalize(embedding, dim=-1) @ encode_text(model, tokens).T
    target = torch.arange(len(x))
    match = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    bag = torch.zeros(len(x), len(content)).scatter_(1, tokens, 1.0) * content
    bag = bag / bag.sum(1, keepdim=True).clamp_min(1)
    return match, F.cross_entropy(head(embedding), bag)


def train(
    config: dict,
    recipe: Recipe,
    images: np.ndarray,
    captions: list[str],
    seed: int,
    saved: Path,
) -> tuple[CLIP, np.ndarray, float]:
    """Return the trained model over a compact vocabulary, that vocabulary (n,), and the seconds.

    saved is the checkpoint file: written as training goes, resumed from if it is there.
    """
    vocabulary = vocabulary_of(captions, config)
    tokens = mini.tokenizer(config)(captions)
    tokens = torch.from_numpy(np.searchsorted(vocabulary, tokens.numpy()))  # (N, 32)
    stop = np.unique(mini.tokenizer(config)([_STOP]).numpy())
    content = torch.from_numpy(~np.isin(vocabulary, stop)).float()
    torch.manual_seed(seed)
    model = mini.build(config, len(vocabulary)).train()
    vit_init.look_near(model)
    model = model.to(memory_format=torch.channels_last)
    head = nn.Linear(config["open_clip"]["embed_dim"], len(vocabulary))
    both = nn.ModuleDict({"clip": model, "head": head})
    optimizer = torch.optim.AdamW(_groups(model, head, recipe), betas=(0.9, 0.98), eps=1e-6)
    run = json.dumps([config["name"], seed, dataclasses.asdict(recipe)])
    known = torch.from_numpy(vocabulary).long()
    start, before = training_state.restore(saved, both, optimizer, run)
    per_epoch, began = len(images) // recipe.batch, time.monotonic()
    name = f"pretraining of {config['name']}"
    with Progress(name, recipe.steps, "steps", done=start) as progress:
        for step in range(start, recipe.steps):
            # Every draw is a function of (seed, step): a resumed run repeats an unbroken one.
            epoch, part = divmod(step, per_epoch)
            order = np.random.Generator(np.random.PCG64([seed, 3, epoch])).permutation(len(images))
            rows = order[part * recipe.batch : (part + 1) * recipe.batch]
            within, done = recipe.progress(step)
            warm = min(1.0, (within + 1) / recipe.warmup)
            for group in optimizer.param_groups:
                rate = recipe.lr * warm * 0.5 * (1 + math.cos(math.pi * done))
                group["lr"] = rate * group["factor"]
            x = shifted(images[rows], np.random.Generator(np.random.PCG64([seed, 4, step])))
            x = mini.pixels(x, config).contiguous(memory_format=torch.channels_last)
            match, words = _loss(model, head, x, tokens[torch.from_numpy(rows)], content)
            optimizer.zero_grad(set_to_none=True)
            (match + (1 - done) * words).backward()
            nn.utils.clip_grad_norm_(both.parameters(), 2.0)
            optimizer.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, math.log(100))
            facts = {"contrastive": match.item(), "words": words.item()}
            progress.reach(step + 1, lambda facts=facts: facts)
            if (step + 1) % 500 == 0:
                spent = before + time.monotonic() - began
                training_state.save(saved, step + 1, spent, both, optimizer, run)
                # Over CLIP's whole vocabulary, as it will be used.
                whole = mini.expanded(config, model.state_dict(), known)
                log.info("probe %s", probe(whole, config, 10, seed=901))
    return model.eval(), vocabulary, before + time.monotonic() - began


def main(argv: list[str] | None = None) -> None:
    """Render the corpus, train, measure, and write the weight file with its provenance."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config/backbones/NAME.yaml")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="one cycle of so many; default: the recipe")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # One thread: small matrices gain nothing from more, and the sums keep their order.
    torch.set_num_threads(1)
    config = yaml12.read(args.config)
    recipe = RECIPES[config["name"]]
    if args.steps:
        recipe = dataclasses.replace(recipe, cycles=(args.steps,))
    began = time.monotonic()
    images, captions = world.render_corpus(recipe.corpus, args.seed)
    corpus = hashlib.sha256(images.tobytes() + "\n".join(captions).encode()).hexdigest()
    log.info("corpus of %d images in %.0f s", len(images), time.monotonic() - began)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    saved = args.out.with_name(args.out.name + ".checkpoint")
    model, vocabulary, seconds = train(config, recipe, images, captions, args.seed, saved)
    known = torch.from_numpy(vocabulary).long()
    scores = probe(mini.expanded(config, model.state_dict(), known), config)
    log.info("in-world zero-shot accuracy %s", scores)
    command = f"python -m craft.mini.pretrain --config {args.config} --out {args.out.name}"
    command += f" --seed {args.seed}" + (f" --steps {args.steps}" if args.steps else "")
    metadata = {
        "command": command,
        "seed": str(args.seed),
        "steps": str(recipe.steps),
        "recipe": json.dumps(dataclasses.asdict(recipe)),
        "wall_seconds": f"{seconds:.0f}",
        "versions": json.dumps({
            "python": platform.python_version(), "torch": torch.__version__,
            "open_clip": open_clip.__version__, "numpy": np.__version__, "pillow": PIL.__version__,
        }),
        "machine": f"{platform.machine()}, 1 thread",
        "probe": json.dumps(scores),
        "corpus_sha256": corpus,
    }  # fmt: skip
    mini.save(args.out, model, vocabulary, metadata)
    log.info("wrote %s (%d bytes)", args.out, args.out.stat().st_size)
    saved.unlink(missing_ok=True)


if __name__ == "__main__":
    run_command(main)
