"""Two minutes with craft: draw images of five classes, tune a small model on them, apply it.

    python docs/quickstart.py [FOLDER]

Everything lands in FOLDER, a new folder ``quickstart`` by default. Nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

from craft.console.__main__ import cli

Box = tuple[int, int, int, int]


def circle(draw: ImageDraw.ImageDraw, box: Box) -> None:
    """Draw a disc."""
    draw.ellipse(box, fill="purple")


def square(draw: ImageDraw.ImageDraw, box: Box) -> None:
    """Draw a square."""
    draw.rectangle(box, fill="green")


def triangle(draw: ImageDraw.ImageDraw, box: Box) -> None:
    """Draw a triangle."""
    left, top, right, bottom = box
    draw.polygon([(left, bottom), ((left + right) / 2, top), (right, bottom)], fill="red")


def cross(draw: ImageDraw.ImageDraw, box: Box) -> None:
    """Draw a cross."""
    left, top, right, bottom = box
    draw.line([(left, top), (right, bottom)], fill="blue", width=7)
    draw.line([(left, bottom), (right, top)], fill="blue", width=7)


def ring(draw: ImageDraw.ImageDraw, box: Box) -> None:
    """Draw a ring."""
    draw.ellipse(box, outline="brown", width=6)


SHAPES = {shape.__name__: shape for shape in (circle, square, triangle, cross, ring)}
#: Images of each class that are drawn to tune and test on, and to apply the model to.
TO_TUNE, NEW = 24, 3


def drawn(shape: str, rng: random.Random) -> Image.Image:
    """Return a shape somewhere on a ground of its own shade, among specks."""
    image = Image.new("RGB", (56, 48), tuple(rng.randrange(150, 256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = rng.randrange(56), rng.randrange(48)
        draw.ellipse((x, y, x + 3, y + 3), fill=tuple(rng.randrange(256) for _ in range(3)))
    x, y = rng.randrange(4, 24), rng.randrange(2, 16)
    SHAPES[shape](draw, (x, y, x + 24 + rng.randrange(6), y + 26))
    return image


def draw_all(folder: Path) -> None:
    """Draw ``photos``, a folder for each class, and ``new``, images of all classes."""
    rng = random.Random(1)
    (folder / "new").mkdir(parents=True)
    for shape in SHAPES:
        (folder / "photos" / shape).mkdir(parents=True)
        for number in range(TO_TUNE):
            drawn(shape, rng).save(folder / "photos" / shape / f"{number:02}.png")
        for number in range(NEW):
            drawn(shape, rng).save(folder / "new" / f"{shape}-{number}.png")


def craft(*arguments: str) -> None:
    """Say what a shell would be told, and do it here."""
    print("\n$ craft", *arguments, flush=True)
    cli.main([*arguments], standalone_mode=False)


def main(folder: Path) -> None:
    """Draw, tune, apply."""
    draw_all(folder)
    with contextlib.chdir(folder):
        craft("tune", "photos", "--backbone", "mini-rn", "--shots", "8", "--out", "model")
        craft("predict", "model", "new", "--top", "2")
    print(f"\n{folder / 'model'}: read README.md, look at confusion.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "quickstart"))
