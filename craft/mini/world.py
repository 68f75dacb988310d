"""The pretraining world: captioned images of shapes, digits, textures and colours.

Colour words, sizes, backgrounds and photographic styles enter a caption only sometimes, as in
captions people write; what the class names of the tasks say is therefore learnt among much else.
"""

from __future__ import annotations

import numpy as np

from craft.mini import drawing, surface
from craft.runtime.progress import Progress

KINDS = ("shape", "digit", "texture", "colour")
_SHARE = (0.45, 0.19, 0.21, 0.15)
_STYLES = ("blurry", "dark", "bright", "noisy", "black and white")
_MEDIA = ("photo", "photo", "photo", "picture", "image")

TEMPLATES = {
    "shape": "a photo of a {}.",
    "digit": "a photo of the number {}.",
    "texture": "{} texture.",
    "colour": "a photo of a {} object.",
}
CLASSES = {
    "shape": drawing.SHAPES,
    "digit": drawing.DIGITS,
    "texture": surface.PATTERNS,
    "colour": surface.COLOURS,
}


def _pick(rng: np.random.Generator, options):
    return options[int(rng.integers(len(options)))]


def _style(rng: np.random.Generator, image: np.ndarray, kind: str) -> tuple[np.ndarray, str]:
    """Return the image in one photographic style and the word for it ('' where unnamed)."""
    if rng.random() < 0.68:
        return image, ""
    # Darkness and greyness would contradict a caption whose point is the colour.
    style = _pick(rng, ("blurry", "noisy") if kind == "colour" else _STYLES)
    if style == "blurry":
        image = surface.blur(image, rng.uniform(0.7, 1.2))
    elif style == "dark":
        image = image * rng.uniform(0.35, 0.6)
    elif style == "bright":
        image = 255 - (255 - image) * rng.uniform(0.4, 0.65)
    elif style == "noisy":
        image = surface.grain(rng, image, rng.uniform(14, 28))
    else:
        image = surface.grey(image)
    return image, style if rng.random() < 0.7 else ""


def _words(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _ground(rng: np.random.Generator, ink: np.ndarray) -> tuple[np.ndarray, str]:
    """Return a background that the ink stands out from, and its caption phrase or ''."""
    if rng.random() < 0.35:
        for _ in range(20):
            name = _pick(rng, surface.COLOURS)
            colour = surface.shade(rng, name)
            if surface.apart(colour, ink):
                phrase = f"on a {name} background" if rng.random() < 0.6 else ""
                return surface.background(rng, colour, "plain"), phrase
    kind = _pick(rng, ("plain", "gradient", "cloudy"))
    return surface.background(rng, surface.contrasting(rng, ink), kind), ""


def _shape(rng: np.random.Generator, label: int) -> tuple[np.ndarray, str]:
    name = drawing.SHAPES[label]
    colour = _pick(rng, surface.COLOURS)
    ink = surface.shade(rng, colour)
    ground, place = _ground(rng, ink)
    scale = rng.uniform(0.42, 0.85)
    room = 0.9 - scale if scale < 0.9 else 0.0
    sketched = rng.random() < 0.2
    mask = drawing.shape_mask(
        name,
        scale=scale,
        angle=rng.normal(0, 9),
        centre=tuple(rng.uniform(-room, room, 2)),
        stretch=rng.uniform(0.85, 1.18),
        bend=drawing.bend(rng, 0.05) if rng.random() < 0.5 else None,
        line=int(rng.integers(4, 9)) if sketched else 0,
    )
    fill = ink
    if not sketched and rng.random() < 0.3:
        fill = ink + surface.relief(mask, rng.uniform(150, 400))[..., None]
    image, style = _style(rng, surface.blend(ground, mask, fill), "shape")
    size = ""
    if rng.random() < 0.25:
        size = "small" if scale < 0.55 else "big" if scale > 0.72 else ""
    word = colour if rng.random() < 0.6 and style != "black and white" else ""
    thing = _words("a", size, word, name)
    form = rng.random()
    if form < 0.15 and not sketched:
        return image, _words(style and f"a {style} photo of", thing, place) + "."
    medium = "drawing" if sketched else _pick(rng, _MEDIA)
    return image, _words("a", style, medium, "of", thing, place) + "."


def _digit(rng: np.random.Generator, label: int) -> tuple[np.ndarray, str]:
    name = drawing.DIGITS[label]
    colour = _pick(rng, surface.COLOURS)
    ink = surface.shade(rng, colour)
    ground, place = _ground(rng, ink)
    height = rng.uniform(0.5, 0.9)
    room = 0.9 - height
    mask = drawing.glyph_mask(
        label,
        _pick(rng, drawing.FONTS),
        height=height,
        angle=rng.normal(0, 8),
        centre=tuple(rng.uniform(-room, room, 2)),
        stretch=rng.uniform(0.85, 1.25),
        weight=int(rng.integers(0, 3)),
    )
    image, style = _style(rng, surface.blend(ground, mask, ink), "digit")
    word = colour if rng.random() < 0.35 and style != "black and white" else ""
    noun = "number" if rng.random() < 0.8 else "digit"
    thing = _words("a" if word else "the", word, noun, name)
    if rng.random() < 0.15:
        return image, _words(thing, place) + "."
    return image, _words("a", style, _pick(rng, _MEDIA), "of", thing, place) + "."


def _texture(rng: np.random.Generator, label: int) -> tuple[np.ndarray, str]:
    name = surface.PATTERNS[label]
    first, second = rng.choice(len(surface.COLOURS), 2, replace=False)
    one = surface.shade(rng, surface.COLOURS[first])
    two = surface.shade(rng, surface.COLOURS[second])
    named = rng.random() < 0.3
    if not surface.apart(one, two):
        two, named = surface.contrasting(rng, one), False
    field = surface.pattern(rng, name, period=rng.uniform(5.5, 10), angle=rng.uniform(0, 180))
    ground = surface.background(rng, one, _pick(rng, ("plain", "gradient")))
    image, style = _style(rng, surface.blend(ground, field, two), "texture")
    colours = ""
    if named and style != "black and white":
        colours = f"{surface.COLOURS[first]} and {surface.COLOURS[second]}"
    form = rng.random()
    if form < 0.5:
        return image, _words(style, name, colours, "texture") + "."
    if form < 0.7:
        return image, _words("a", style, name, colours, "pattern") + "."
    return image, _words("a", style, "photo of a", name, colours, "texture") + "."


def _colour(rng: np.random.Generator, label: int) -> tuple[np.ndarray, str]:
    name = surface.COLOURS[label]
    ink = surface.shade(rng, name, 10)
    ground, place = _ground(rng, ink)
    scale = rng.uniform(0.45, 0.8)
    room = 0.85 - scale
    mask = drawing.blob_mask(rng, scale, tuple(rng.uniform(-room, room, 2)))
    fill = ink + surface.relief(mask, rng.uniform(0, 350))[..., None]
    image, style = _style(rng, surface.blend(ground, mask, fill), "colour")
    noun = "object" if rng.random() < 0.75 else "thing"
    if rng.random() < 0.15:
        return image, _words("a", style, name, noun, place) + "."
    return image, _words("a", style, _pick(rng, _MEDIA), "of a", name, noun, place) + "."


_RENDER = {"shape": _shape, "digit": _digit, "texture": _texture, "colour": _colour}


def render_corpus(n: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Return n captioned images: uint8 (n, 32, 32, 3) and n captions."""
    rng = np.random.Generator(np.random.PCG64([seed, 1]))
    images = np.empty((n, drawing.SIZE, drawing.SIZE, 3), np.uint8)
    captions = []
    with Progress("rendering of the world", n, "images") as progress:
        for i in range(n):
            kind = KINDS[int(rng.choice(len(KINDS), p=_SHARE))]
            label = int(rng.integers(len(CLASSES[kind])))
            image, caption = _RENDER[kind](rng, label)
            images[i] = surface.finish(image)
            captions.append(caption)
            progress.reach(i + 1)
    return images, captions


def render_probe(kind: str, per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return held-out images of one kind: uint8 (n, 32, 32, 3) and labels (n,) into CLASSES."""
    # The second entry of the seed keeps these draws apart from every corpus.
    rng = np.random.Generator(np.random.PCG64([seed, 2, KINDS.index(kind)]))
    labels = np.repeat(np.arange(len(CLASSES[kind])), per_class)
    images = [surface.finish(_RENDER[kind](rng, int(label))[0]) for label in labels]
    return np.stack(images), labels


def lexicon() -> list[str]:
    """Return sentences that hold every word of the world, rare or not, for the vocabulary."""
    words = [*_STYLES, *_MEDIA, "drawing", "pattern", "thing", "object", "texture", "number",
             "digit", "small", "big", "the", "on a background"]  # fmt: skip
    names = [name for kind in KINDS for name in CLASSES[kind]]
    return [f"a photo of a {word}." for word in (*words, *names)]
