"""How each task looks: one camera, paper or lamp per task, and little variation within it.

The distance to the pretraining world is systematic: every image of a task differs from that world
in the same way, so that a few labelled images show what changed.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from craft.mini import drawing, surface
from craft.mini.drawing import SIZE

_ROW, _COLUMN = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)


def digit(image: np.ndarray) -> np.ndarray:
    """Return a scanned digit (8, 8), ink 0..16, enlarged to (32, 32, 3) as dark ink on paper."""
    ink = Image.fromarray((image * (255 / 16)).astype(np.uint8))
    mask = np.asarray(ink.resize((SIZE, SIZE), Image.Resampling.BICUBIC), np.float32) / 255
    paper = np.full((SIZE, SIZE, 3), 236, np.float32)
    return surface.blend(paper, mask, np.array((40, 40, 48), np.float32))


def doodle(rng: np.random.Generator, shape: str) -> np.ndarray:
    """Return a shape drawn by an unsteady ballpoint pen on ruled paper, (32, 32, 3)."""
    paper = np.full((SIZE, SIZE, 3), (246, 242, 228), np.float32)
    ruled = ((_ROW + rng.integers(0, 6)) % 6 == 0).astype(np.float32)
    image = surface.blend(paper, ruled * 0.6, np.array((120, 160, 215), np.float32))
    scale, angle = rng.uniform(0.6, 0.78), rng.normal(0, 7)
    centre = rng.uniform(-0.12, 0.12, 2)
    for _ in range(2):  # the pen goes over the line twice and never hits it
        mask = drawing.shape_mask(
            shape, scale=scale, angle=angle + rng.normal(0, 4), stretch=rng.uniform(0.82, 1.2),
            centre=tuple(centre + rng.normal(0, 0.03, 2)), bend=drawing.bend(rng, 0.13), line=3,
        )  # fmt: skip
        image = surface.blend(image, mask * 0.85, np.array((35, 40, 110), np.float32))
    return image


def texture(rng: np.random.Generator, pattern: str) -> np.ndarray:
    """Return a pattern pressed into clay under a low lamp, (32, 32, 3)."""
    field = surface.pattern(rng, pattern, period=rng.uniform(8.5, 11.5), angle=rng.uniform(0, 180))
    soft = Image.fromarray((field * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.8))
    gy, gx = np.gradient(np.asarray(soft, np.float32) / 255)
    clay = np.array((176, 120, 88), np.float32) + rng.normal(0, 6, 3)
    image = clay * (1 + 0.75 * (gx + gy))[..., None] + 12 * (field - 0.5)[..., None]
    return surface.grain(rng, image, 11)


def lit_object(rng: np.random.Generator, colour: str) -> np.ndarray:
    """Return a coloured object with its shadow on a table under an evening lamp, (32, 32, 3)."""
    ink = surface.shade(rng, colour, 24)
    scale = rng.uniform(0.45, 0.62)
    mask = drawing.blob_mask(rng, scale, tuple(rng.uniform(-0.12, 0.12, 2)))
    table = np.full((SIZE, SIZE, 3), (150, 142, 132), np.float32)
    table = table + 14 * (surface.smooth_noise(rng, 5) - 0.5)[..., None]
    image = _standing(table, mask, ink, 260)
    lamp = np.array((1.0, 0.76, 0.5), np.float32) ** rng.uniform(0.5, 1.6)
    return surface.grain(rng, image * lamp, 6)


def _standing(ground: np.ndarray, mask: np.ndarray, ink: np.ndarray, light: float) -> np.ndarray:
    """Return a cushion-like thing (mask) over a ground, with its shadow to the lower right."""
    shadow = np.roll(mask, (3, 3), (0, 1))
    shadow[:3] = shadow[:, :3] = 0
    image = surface.blend(ground, shadow * 0.5, np.zeros(3, np.float32))
    return surface.blend(image, mask, ink + surface.relief(mask, light)[..., None])


def _placed(
    rng: np.random.Generator,
    shape: str,
    *,
    scale: tuple[float, float],
    turn: float,
    move: float,
    line: int = 0,
    wobble: float = 0.04,
) -> np.ndarray:
    return drawing.shape_mask(
        shape,
        scale=rng.uniform(*scale),
        angle=rng.normal(0, turn),
        centre=tuple(rng.uniform(-move, move, 2)),
        stretch=rng.uniform(0.9, 1.12),
        bend=drawing.bend(rng, wobble),
        line=line,
    )


def _planks(rng: np.random.Generator, wood: tuple[int, int, int]) -> np.ndarray:
    """Return a wooden floor, (32, 32, 3)."""
    phase = rng.integers(0, 9)
    seam = ((_COLUMN + phase) % 9 == 0).astype(np.float32)
    fibre = np.repeat(rng.normal(0, 9, (1, SIZE)), SIZE, 0) + 10 * surface.smooth_noise(rng, 6)
    image = np.array(wood, np.float32) + fibre[..., None]
    return surface.blend(image, seam * 0.6, np.array((50, 34, 24), np.float32))


_EVENING = np.array((1.0, 0.72, 0.5), np.float32)


def object_photo(rng: np.random.Generator, colour: str, shape: str) -> np.ndarray:
    """Return a coloured thing on a wooden floor in evening light, (32, 32, 3)."""
    mask = _placed(rng, shape, scale=(0.56, 0.74), turn=10, move=0.14)
    image = _standing(_planks(rng, (165, 130, 95)), mask, surface.shade(rng, colour, 10), 320)
    return surface.blur(image * _EVENING, 0.6)


def object_again(rng: np.random.Generator, colour: str, shape: str) -> np.ndarray:
    """Return the scene of `object_photo` from a second, less careful photographer."""
    mask = _placed(rng, shape, scale=(0.46, 0.7), turn=16, move=0.22, wobble=0.06)
    image = _standing(_planks(rng, (140, 118, 92)), mask, surface.shade(rng, colour, 15), 260)
    return surface.blur(image * _EVENING, 0.9)


def object_sketch(rng: np.random.Generator, colour: str, shape: str) -> np.ndarray:
    """Return a coloured pencil sketch: an outline and some hatching on white, (32, 32, 3)."""
    state = rng.bit_generator.state
    body = _placed(rng, shape, scale=(0.56, 0.76), turn=10, move=0.12)
    rng.bit_generator.state = state  # the outline of the same body
    edge = _placed(rng, shape, scale=(0.56, 0.76), turn=10, move=0.12, line=3)
    hatch = np.clip(np.sin((_ROW + _COLUMN) * 1.1 + rng.uniform(0, 6)), 0, 1) * 0.45
    paper = np.full((SIZE, SIZE, 3), 248, np.float32)
    ink = 0.75 * surface.shade(rng, colour, 12) + 40  # a pencil's colours are pale
    image = surface.blend(paper, body * hatch, ink)
    return surface.grain(rng, surface.blend(image, edge * 0.9, ink * 0.85), 7)


def object_adversarial(rng: np.random.Generator, colour: str, shape: str) -> np.ndarray:
    """Return a small, turned thing in clutter, partly behind a post, (32, 32, 3)."""
    mask = _placed(rng, shape, scale=(0.44, 0.6), turn=28, move=0.3, wobble=0.07)
    ground = _planks(rng, (120, 100, 80)) + 60 * (surface.smooth_noise(rng, 9) - 0.5)[..., None]
    for _ in range(2):  # rubbish around it, in colours of the palette
        junk = drawing.blob_mask(rng, rng.uniform(0.12, 0.2), tuple(rng.uniform(-0.85, 0.85, 2)))
        name = surface.COLOURS[int(rng.integers(len(surface.COLOURS)))]
        ground = surface.blend(ground, junk, surface.shade(rng, name))
    image = _standing(ground, mask, surface.shade(rng, colour, 16), 260)
    left = rng.uniform(4, 24)
    post = (np.abs(_COLUMN - left - 2) < 2).astype(np.float32)
    return surface.blend(image, post, np.array((70, 70, 74), np.float32)) * _EVENING


def object_rendition(rng: np.random.Generator, colour: str, shape: str) -> np.ndarray:
    """Return a stained-glass version: leaded outline, cells of uneven colour, (32, 32, 3)."""
    state = rng.bit_generator.state
    body = _placed(rng, shape, scale=(0.6, 0.8), turn=8, move=0.1)
    rng.bit_generator.state = state  # the outline of the same body
    edge = _placed(rng, shape, scale=(0.6, 0.8), turn=8, move=0.1, line=5)
    cells = surface.pattern(rng, "cracked", period=5.5, angle=0)
    glow = (surface.smooth_noise(rng, 7) - 0.5)[..., None] * 70
    pane = np.array((196, 208, 200), np.float32) + glow
    image = surface.blend(pane, body, surface.shade(rng, colour, 12) + glow)
    lead = np.array((30, 28, 30), np.float32)
    return surface.blend(surface.blend(image, cells * body * 0.5, lead), edge * 0.8, lead)
