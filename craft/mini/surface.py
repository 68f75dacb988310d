"""Surfaces: the palette, repeating patterns, backgrounds and photographic effects."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from craft.mini.drawing import SIZE

PALETTE = {
    "red": (205, 30, 35), "orange": (240, 130, 25), "yellow": (240, 222, 50),
    "green": (50, 155, 60), "cyan": (70, 205, 215), "blue": (40, 70, 200),
    "purple": (120, 40, 155), "pink": (245, 140, 185), "brown": (115, 72, 40),
    "gray": (128, 128, 128), "black": (22, 22, 22), "white": (242, 242, 242),
}  # fmt: skip
COLOURS = tuple(PALETTE)

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601

PATTERNS = (
    "striped", "dotted", "checkered", "zigzag", "grid", "brick", "marbled", "speckled",
    "rippled", "cracked",
)  # fmt: skip

_Y, _X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
_XC, _YC = (2 * _X + 1) / SIZE - 1, (2 * _Y + 1) / SIZE - 1  # pixel centres in [-1, 1]


def shade(rng: np.random.Generator, name: str, jitter: float = 12.0) -> np.ndarray:
    """Return a colour of the palette with a little noise, float (3,) in 0..255."""
    base = np.array(PALETTE[name], dtype=np.float32)
    together, apart = rng.normal(0, jitter, 1), rng.normal(0, jitter / 3, 3)
    return np.clip(base + together + apart, 0, 255).astype(np.float32)


def apart(one: np.ndarray, two: np.ndarray) -> bool:
    """Return whether two colours (3,) differ enough to tell them apart, without colour too."""
    return np.linalg.norm(one - two) > 110 and abs((one - two) @ _LUMA) > 30


def contrasting(rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """Return a random colour (3,) that stands apart from the given one."""
    while True:
        other = rng.uniform(15, 245, 3).astype(np.float32)
        if apart(other, colour):
            return other


def smooth_noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Return a smooth random field, float (32, 32), about uniform in [0, 1]."""
    grid = Image.fromarray(rng.uniform(0, 1, (cells, cells)).astype(np.float32))
    return np.clip(np.asarray(grid.resize((SIZE, SIZE), Image.Resampling.BICUBIC)), 0, 1)


def background(rng: np.random.Generator, colour: np.ndarray, kind: str) -> np.ndarray:
    """Return a background (32, 32, 3): 'plain', 'gradient' or 'cloudy' around a colour."""
    if kind == "plain":
        field = np.zeros((SIZE, SIZE), np.float32)
    elif kind == "gradient":
        a = rng.uniform(0, 2 * np.pi)
        field = (np.cos(a) * _XC + np.sin(a) * _YC) * rng.uniform(15, 40)
    elif kind == "cloudy":
        field = (smooth_noise(rng, 5) - 0.5) * rng.uniform(25, 70)
    else:
        raise ValueError(f"unknown background {kind!r}")
    return np.clip(colour + field[..., None], 0, 255)


def blend(under: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Return colour (3,) or (32, 32, 3) laid over an image where mask (32, 32) is 1."""
    return under + mask[..., None] * (colour - under)


def _edge(wave: np.ndarray, sharpness: float) -> np.ndarray:
    return np.clip(0.5 + wave * sharpness, 0, 1)


def pattern(
    rng: np.random.Generator,
    name: str,
    *,
    period: float,
    angle: float,
) -> np.ndarray:
    """Return a pattern's field, float (32, 32) in [0, 1]; ValueError for an unknown name.

    period is in pixels, angle in degrees; phases and random parts come from rng.
    """
    a = np.deg2rad(angle)
    px, py = rng.uniform(0, 1, 2)
    u = (np.cos(a) * _X + np.sin(a) * _Y) / period + px  # one unit is one period
    v = (-np.sin(a) * _X + np.cos(a) * _Y) / period + py
    sharp = period / 4
    if name == "striped":
        return _edge(np.sin(2 * np.pi * u), sharp)
    if name == "dotted":
        far = np.hypot(u % 1 - 0.5, v % 1 - 0.5)
        return _edge((0.3 - far) * 2, sharp)
    if name == "checkered":
        return _edge(np.sin(np.pi * u) * np.sin(np.pi * v) * 2, sharp)
    if name == "zigzag":
        fold = np.abs((u * 0.6) % 1 - 0.5) * 2
        return _edge(np.sin(2 * np.pi * (v * 0.85 + fold)), sharp)
    if name == "grid":
        near = np.minimum(np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5))
        return _edge((0.11 - near) * 3, sharp)
    if name == "brick":
        w = u / 2 + 0.5 * (np.floor(v) % 2)
        near = np.minimum(np.abs(w % 1 - 0.5) * 2, np.abs(v % 1 - 0.5))
        return _edge((near - 0.11) * 3, sharp)
    if name == "marbled":
        return _edge(np.sin(2 * np.pi * (0.5 * u + 2.2 * smooth_noise(rng, 4))), 1.0)
    if name == "speckled":
        grain = rng.uniform(0, 1, (SIZE, SIZE))
        return (grain < 0.16).astype(np.float32)
    if name == "rippled":
        cx, cy = rng.uniform(-8, 8, 2)
        far = np.hypot(_X - SIZE / 2 - cx, _Y - SIZE / 2 - cy) / period
        return _edge(np.sin(2 * np.pi * far), sharp)
    if name == "cracked":
        return _cracks(rng, period)
    raise ValueError(f"unknown pattern {name!r}")


def _cracks(rng: np.random.Generator, period: float) -> np.ndarray:
    """Return the edges between the cells of a jittered lattice (a Voronoi diagram)."""
    side = 1.6 * period
    n = int(np.ceil(SIZE / side)) + 2
    cell = np.stack(np.meshgrid(np.arange(n), np.arange(n)), -1).reshape(-1, 2) - 0.5
    seeds = (cell + rng.uniform(-0.42, 0.42, cell.shape)) * side
    far = np.hypot(_X[..., None] - seeds[:, 0], _Y[..., None] - seeds[:, 1])
    two = np.partition(far, 1, axis=-1)
    return _edge((1.3 - (two[..., 1] - two[..., 0])) * 0.7, 1.0).astype(np.float32)


def relief(mask: np.ndarray, strength: float) -> np.ndarray:
    """Return the light (32, 32) falling from the upper left on a mask seen as a cushion."""
    soft = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(2.5))
    gy, gx = np.gradient(np.asarray(soft, dtype=np.float32) / 255)
    return (gx + gy) * strength


def blur(image: np.ndarray, radius: float) -> np.ndarray:
    """Return the image (32, 32, 3) after a Gaussian blur of the given radius in pixels."""
    soft = Image.fromarray(finish(image)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(soft, dtype=np.float32)


def grain(rng: np.random.Generator, image: np.ndarray, sigma: float) -> np.ndarray:
    """Return the image with Gaussian noise of standard deviation sigma, in grey levels."""
    return image + rng.normal(0, sigma, image.shape).astype(np.float32)


def grey(image: np.ndarray) -> np.ndarray:
    """Return the image without colour (ITU-R 601 luma), still with three channels."""
    return np.repeat((image @ _LUMA)[..., None], 3, -1)


def finish(image: np.ndarray) -> np.ndarray:
    """Return a float image as uint8 (32, 32, 3), clipped and rounded."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
