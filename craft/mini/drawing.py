"""Drawing primitives: shapes as dense polygons, digit glyphs, and the masks they leave."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIZE = 32  # side of every image, in pixels
_OVER = 3  # masks are drawn this many times larger, then averaged down

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif",
    "DejaVuSerif-Bold", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol",
    "STIXGeneralItalic", "cmr10", "cmss10", "cmtt10", "cmb10",
)  # fmt: skip


def _dense(points: list[tuple[float, float]], step: float = 0.06) -> np.ndarray:
    """Return the closed polygon (n, 2) with its edges cut into pieces, so that it can be bent."""
    out = []
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        n = max(1, int(np.hypot(x1 - x0, y1 - y0) / step))
        t = np.arange(n)[:, None] / n
        out.append(np.array([[x0, y0]]) * (1 - t) + np.array([[x1, y1]]) * t)
    return np.concatenate(out)


def _curve(radius, centre=(0.0, 0.0), squash=1.0, n=72) -> np.ndarray:
    t = np.arange(n) * (2 * np.pi / n)
    r = radius(t) if callable(radius) else np.full(n, float(radius))
    return np.stack([centre[0] + r * np.cos(t), centre[1] + squash * r * np.sin(t)], 1)


def _star(tips: int, inner: float) -> list[tuple[float, float]]:
    t = np.arange(2 * tips) * np.pi / tips - np.pi / 2
    r = np.where(np.arange(2 * tips) % 2 == 0, 1.0, inner)
    return list(zip(r * np.cos(t), r * np.sin(t), strict=True))


def _heart() -> np.ndarray:
    t = np.arange(72) * (2 * np.pi / 72)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x / 17, -(y + 2.5) / 16], 1)


@functools.cache
def _outlines() -> dict[str, tuple[tuple[int, np.ndarray], ...]]:
    """Return every shape as (ink, polygon) layers in [-1, 1]^2, y down; ink 0 cuts out."""
    t = 0.32
    cross = [(-t, -1), (t, -1), (t, -t), (1, -t), (1, t), (t, t), (t, 1), (-t, 1), (-t, t),
             (-1, t), (-1, -t), (-t, -t)]  # fmt: skip
    arrow = [(-1, -0.28), (0.1, -0.28), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.28), (-1, 0.28)]
    house = [(0, -1), (1, -0.15), (0.75, -0.15), (0.75, 0.9), (-0.75, 0.9), (-0.75, -0.15),
             (-1, -0.15)]  # fmt: skip
    tree = [(0, -1), (0.75, -0.1), (0.4, -0.1), (0.9, 0.55), (0.18, 0.55), (0.18, 1),
            (-0.18, 1), (-0.18, 0.55), (-0.9, 0.55), (-0.4, -0.1), (-0.75, -0.1)]  # fmt: skip
    cup = [(-0.85, -0.75), (0.5, -0.75), (0.35, 0.85), (-0.7, 0.85)]
    tail = [(0.35, 0.0), (1.0, -0.6), (0.85, 0.0), (1.0, 0.6)]
    cap = [(np.cos(a), -0.05 + 0.85 * np.sin(a)) for a in np.linspace(np.pi, 2 * np.pi, 36)]
    stem = [(-0.25, -0.05), (0.25, -0.05), (0.35, 0.95), (-0.35, 0.95)]
    handle = _curve(0.42, (0.5, 0.0))
    shapes = {
        "circle": [(1, _curve(0.9))],
        "square": [(1, _dense([(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)]))],
        "triangle": [(1, _dense([(0, -0.9), (0.95, 0.75), (-0.95, 0.75)]))],
        "star": [(1, _dense(_star(5, 0.42)))],
        "heart": [(1, _heart())],
        "cross": [(1, _dense(cross))],
        "ring": [(1, _curve(0.95)), (0, _curve(0.52))],
        "moon": [(1, _curve(0.95)), (0, _curve(0.8, (0.5, -0.1)))],
        "diamond": [(1, _dense([(0, -1), (0.62, 0), (0, 1), (-0.62, 0)]))],
        "arrow": [(1, _dense(arrow))],
        "flower": [
            (1, _curve(lambda a: 0.68 + 0.32 * np.cos(6 * a), n=120)),
            (0, _curve(0.22)),
        ],
        "tree": [(1, _dense(tree))],
        "house": [
            (1, _dense(house)),
            (0, _dense([(-0.2, 0.25), (0.2, 0.25), (0.2, 0.9), (-0.2, 0.9)])),
        ],
        "fish": [
            (1, _curve(0.75, (-0.25, 0), 0.68)),
            (1, _dense(tail)),
            (0, _curve(0.12, (-0.6, -0.12))),
        ],
        "cup": [(1, handle), (0, _curve(0.2, (0.55, 0.0))), (1, _dense(cup))],
        "mushroom": [(1, _dense(cap)), (1, _dense(stem))],
    }
    return {name: tuple(layers) for name, layers in shapes.items()}


SHAPES = tuple(_outlines())


def shape_mask(
    name: str,
    *,
    scale: float = 0.7,
    angle: float = 0.0,
    centre: tuple[float, float] = (0.0, 0.0),
    stretch: float = 1.0,
    bend: np.ndarray | None = None,
    line: int = 0,
) -> np.ndarray:
    """Return one shape's coverage, float (32, 32) in [0, 1]; KeyError for an unknown name.

    scale and centre are in half image sides, angle in degrees. bend (2, 2, 3), if given, moves
    the points by two sine waves per axis of (amplitude, frequency, phase). line > 0 keeps only
    an outline of about line / 3 pixels.
    """
    side = SIZE * _OVER
    canvas = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(canvas)
    a = np.deg2rad(angle)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    for ink, polygon in _outlines()[name]:
        p = polygon
        if bend is not None:
            shift = bend[:, :, 0:1] * np.sin(bend[:, :, 1:2] * p.T[::-1][:, None] + bend[:, :, 2:])
            p = p + shift.sum(1).T
        p = (p * [stretch, 1 / stretch]) @ turn * scale + centre
        draw.polygon(((p + 1) * (side / 2)).ravel().tolist(), fill=255 * ink)
    if line:
        # Mask minus its erosion: the outline of what is left after the cut-outs, as a pen draws it.
        full = np.asarray(canvas)
        canvas = Image.fromarray(full - _eroded(full, (line + 1) // 2))
    return _down(canvas)


def _eroded(mask: np.ndarray, radius: int) -> np.ndarray:
    """Return the minimum (n, n) over a square window; Pillow's filter takes ten times as long."""
    side = len(mask)
    rows = np.pad(mask, radius, mode="edge")
    across = np.minimum.reduce([rows[:, i : i + side] for i in range(2 * radius + 1)])
    return np.minimum.reduce([across[i : i + side] for i in range(2 * radius + 1)])


def bend(rng: np.random.Generator, amount: float) -> np.ndarray:
    """Return random wave parameters (2, 2, 3) for `shape_mask`; amount is the amplitude."""
    out = np.empty((2, 2, 3))
    out[..., 0] = rng.uniform(0.3, 1.0, (2, 2)) * amount
    out[..., 1] = rng.uniform([1.5, 4.0], [3.5, 7.0], (2, 2))
    out[..., 2] = rng.uniform(0, 2 * np.pi, (2, 2))
    return out


def blob_mask(rng: np.random.Generator, scale: float, centre: tuple[float, float]) -> np.ndarray:
    """Return a smooth random blob's coverage, float (32, 32)."""
    t = np.arange(60) * (2 * np.pi / 60)
    k = np.arange(2, 5)[:, None]
    wave = rng.uniform(-0.16, 0.16, (3, 1)) * np.sin(k * t + rng.uniform(0, 2 * np.pi, (3, 1)))
    r = scale * (1 + wave.sum(0))
    side = SIZE * _OVER
    canvas = Image.new("L", (side, side), 0)
    p = np.stack([centre[0] + r * np.cos(t), centre[1] + r * np.sin(t)], 1)
    ImageDraw.Draw(canvas).polygon(((p + 1) * (side / 2)).ravel().tolist(), fill=255)
    return _down(canvas)


@functools.cache
def _glyph(digit: int, font: str) -> Image.Image:
    """Return the tightly cropped glyph of a digit in one of matplotlib's bundled fonts."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the embedded suite draws with matplotlib's fonts: install it")
    path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{font}.ttf"
    # The basic layout engine gives one digit the same pixels with and without libraqm.
    face = ImageFont.truetype(str(path), 96, layout_engine=ImageFont.Layout.BASIC)
    canvas = Image.new("L", (160, 160), 0)
    ImageDraw.Draw(canvas).text((40, 20), str(digit), font=face, fill=255)
    return canvas.crop(canvas.getbbox())


def glyph_mask(
    digit: int,
    font: str,
    *,
    height: float,
    angle: float,
    centre: tuple[float, float],
    stretch: float = 1.0,
    weight: int = 0,
) -> np.ndarray:
    """Return a digit's coverage, float (32, 32); height in image sides, angle in degrees.

    weight > 0 thickens, weight < 0 thins the strokes, in thirds of a pixel.
    """
    side = SIZE * _OVER
    glyph = _glyph(digit, font)
    h = max(4, round(height * side))
    w = max(3, round(h * glyph.width / glyph.height * stretch))
    canvas = Image.new("L", (side, side), 0)
    x = round((centre[0] + 1) * side / 2 - w / 2)
    y = round((centre[1] + 1) * side / 2 - h / 2)
    canvas.paste(glyph.resize((w, h), Image.Resampling.BILINEAR), (x, y))
    if weight > 0:
        canvas = canvas.filter(ImageFilter.MaxFilter(2 * weight + 1))
    elif weight < 0:
        canvas = canvas.filter(ImageFilter.MinFilter(1 - 2 * weight))
    return _down(canvas.rotate(angle, Image.Resampling.BILINEAR))


def _down(canvas: Image.Image) -> np.ndarray:
    return np.asarray(canvas.reduce(_OVER), dtype=np.float32) / 255
