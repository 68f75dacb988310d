"""Odd image files: each becomes the right pixels, or is named."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from craft.data.rgb import FORMATS, ImageError, read_rgb

RED, BLUE = (200, 10, 20), (20, 30, 210)


def halves(width=40, height=20, left=RED, right=BLUE):
    """A picture of two colours, side by side."""
    image = Image.new("RGB", (width, height), left)
    image.paste(Image.new("RGB", (width - width // 2, height), right), (width // 2, 0))
    return image


def colours(path, reading, near=0):
    """Size and the colours at the left and right of what is read."""
    image = read_rgb(path, reading)
    assert image.mode == "RGB"
    pixels = np.asarray(image).astype(int)
    return image.size, tuple(pixels[10, 5]), tuple(pixels[10, -5])


@pytest.mark.parametrize("reading", ["stored", "shown"])
@pytest.mark.parametrize(
    ("mode", "suffix", "near"),
    [
        ("RGB", "png", 0),
        ("P", "png", 0),
        ("P", "gif", 0),
        ("RGBA", "png", 0),
        ("RGB", "bmp", 0),
        ("CMYK", "jpg", 6),
        ("YCbCr", "jpg", 6),
        ("RGB", "webp", 8),
        ("CMYK", "tiff", 0),
    ],
)
def test_colours_survive_every_mode_and_format(mode, suffix, near, reading, tmp_path):
    image = halves()
    image = image.quantize(8) if mode == "P" else image.convert(mode)
    image.save(tmp_path / f"x.{suffix}", **({"quality": 100} if suffix in ("jpg", "webp") else {}))
    size, left, right = colours(tmp_path / f"x.{suffix}", reading)
    assert size == (40, 20)
    assert np.abs(np.subtract(left, RED)).max() <= near
    assert np.abs(np.subtract(right, BLUE)).max() <= near


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
@pytest.mark.parametrize("reading", ["stored", "shown"])
def test_grey_is_repeated_in_each_channel(mode, reading, tmp_path):
    grey = halves(left=(0,) * 3, right=(255,) * 3).convert(mode)
    grey.save(tmp_path / "x.png")
    assert colours(tmp_path / "x.png", reading) == ((40, 20), (0,) * 3, (255,) * 3)


@pytest.mark.parametrize(
    "mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "RGB", "YCbCr", "I;16"], ids=str
)
def test_stored_is_what_clips_own_pipeline_converts(mode, tmp_path):
    rng = np.random.default_rng(0)
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, (9, 9), dtype=np.uint16))
    else:
        image = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).convert(mode)
    path = tmp_path / ("x.jpg" if mode in ("CMYK", "YCbCr") else "x.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    theirs = Image.open(path).convert("RGB")
    assert np.array_equal(np.asarray(read_rgb(path)), np.asarray(theirs))


@pytest.mark.parametrize("kind", ["RGBA", "LA", "palette", "gif"])
def test_transparency_is_shown_over_white(kind, tmp_path):
    path = tmp_path / ("x.gif" if kind == "gif" else "x.png")
    if kind in ("palette", "gif"):
        image = halves().quantize(2)
        image.save(path, transparency=image.getpixel((5, 10)))
    else:
        image = halves(left=(0,) * 3, right=(90,) * 3).convert(kind)
        image.putalpha(halves(left=(0,) * 3, right=(255,) * 3).convert("L"))
        image.save(path)
    _, left, right = colours(path, "shown")
    assert left == (255, 255, 255)
    assert right == (BLUE if kind in ("palette", "gif") else (90, 90, 90))
    assert colours(path, "stored")[1] != (255, 255, 255)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_scaled_to_eight_where_shown(suffix, tmp_path):
    grey = np.linspace(0, 65535, 400).round().astype(np.uint16).reshape(20, 20)
    Image.fromarray(grey).save(tmp_path / f"x.{suffix}")
    shown = np.asarray(read_rgb(tmp_path / f"x.{suffix}", "shown"))
    assert np.abs(shown - (grey / 65535 * 255)[:, :, None]).max() <= 0.5
    # What becomes of it in the loaders that published numbers come from: all but the darkest white.
    assert (np.asarray(read_rgb(tmp_path / f"x.{suffix}")) == 255).mean() > 0.9


def test_pixels_without_a_range_are_refused_where_shown(tmp_path):
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(tmp_path / "x.tiff")
    with pytest.raises(ImageError, match=r"x\.tiff: .*32 bits have no agreed range"):
        read_rgb(tmp_path / "x.tiff", "shown")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_its_camera_says_where_shown(orientation, tmp_path):
    image, exif = halves(), Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(np.asarray(read_rgb(tmp_path / "x.png", "stored")), np.asarray(image))
    upright = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    expected = image if orientation == 1 else image.transpose(upright[orientation])
    assert np.array_equal(np.asarray(read_rgb(tmp_path / "x.png", "shown")), np.asarray(expected))


#: Orientation -> rows and columns as TIFF 6.0 and EXIF define them: where row 0 and column 0 are.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}
#: Modes by the compressions that TIFF has for them.
_LOSSLESS = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd")
_COLOURS = ("L", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
TIFFS = [("1", "group4"), *((mode, "jpeg") for mode in _COLOURS)]
TIFFS += [(m, c) for m in ("1", "P", "PA", "I;16", "I;16B", *_COLOURS) for c in _LOSSLESS]


@pytest.mark.parametrize(("mode", "compression"), TIFFS, ids=str)
def test_every_tiff_is_read_upright(mode, compression, tmp_path):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (24, 40, 3), dtype=np.uint8))
    if mode.startswith("I;16"):
        image = Image.fromarray(rng.integers(0, 65536, (24, 40), dtype=np.uint16))
    image = image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)
    for orientation, upright in UPRIGHT.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path, plain = tmp_path / "x.tiff", tmp_path / "plain.tiff"
        image.save(path, compression=compression, exif=exif)
        image.save(plain, compression=compression)
        for reading in ("stored", "shown"):
            expected = upright(np.asarray(read_rgb(plain, reading)))
            found = np.asarray(read_rgb(path, reading))
            assert np.array_equal(found, expected), (orientation, reading)


@pytest.mark.parametrize("reading", ["stored", "shown"])
def test_the_first_frame_of_an_animation(reading, tmp_path):
    halves().save(tmp_path / "x.gif", save_all=True, append_images=[ImageOps.invert(halves())] * 3)
    assert colours(tmp_path / "x.gif", reading) == ((40, 20), RED, BLUE)


def test_the_first_picture_of_a_phones_jpeg(tmp_path):
    path = tmp_path / "x.jpg"
    halves().save(
        path, "MPO", quality=100, save_all=True, append_images=[ImageOps.invert(halves())]
    )
    size, left, _ = colours(path, "shown")
    assert size == (40, 20) and np.abs(np.subtract(left, RED)).max() <= 6


def test_the_name_does_not_say_what_is_in_a_file(tmp_path):
    halves().save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "x.jpg")
    assert colours(tmp_path / "x.jpg", "shown") == ((40, 20), RED, BLUE)


def chunk(kind, content):
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def orientation_of_type(kind, value):
    """EXIF data of one entry, the orientation."""
    return b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0112, kind, 1, value) + bytes(4)


LONG = zlib.compress(bytes(2 << 20))  # past Pillow's limit of 1 MiB for one text
BESIDE_THE_PIXELS = {
    "EXIF that is none": chunk(b"eXIf", b"garbage"),
    "EXIF that is empty": chunk(b"eXIf", b""),
    "EXIF that points nowhere": chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"),
    "EXIF of an unknown orientation": chunk(b"eXIf", orientation_of_type(3, 99)),
    "EXIF as text that is none": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 9\nzz"),
    "a long compressed text": chunk(b"zTXt", b"key\0\0" + LONG),
    "a long international text": chunk(b"iTXt", b"key\0\1\0\0\0" + LONG),
    "a long profile": chunk(b"iCCP", b"key\0\0" + LONG),
    "a text of unknown compression": chunk(b"zTXt", b"key\0\x07" + LONG),
    "70 MB of texts": b"".join(chunk(b"tEXt", b"key\0" + bytes(1 << 20)) for _ in range(70)),
    "a text with another checksum": chunk(b"tEXt", b"key\0value")[:-1] + b"?",
    "a density cut short": chunk(b"pHYs", b"?"),
}


@pytest.mark.parametrize("reading", ["stored", "shown"])
@pytest.mark.parametrize("place", ["in front of", "behind"])
@pytest.mark.parametrize("what", BESIDE_THE_PIXELS)
def test_pixels_are_read_whatever_lies_beside_them(what, place, reading, tmp_path):
    stream = io.BytesIO()
    halves().save(stream, "PNG")
    png = stream.getvalue()
    at = png.index(b"IDAT") - 4 if place == "in front of" else png.index(b"IEND") - 4
    (tmp_path / "x.png").write_bytes(png[:at] + BESIDE_THE_PIXELS[what] + png[at:])
    assert np.array_equal(read_rgb(tmp_path / "x.png", reading), halves())


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg"])
def test_a_picture_whose_exif_is_garbage_is_read(suffix, tmp_path):
    path = tmp_path / f"x.{suffix}"
    halves().save(path, exif=b"Exif\0\0garbage")
    assert np.array_equal(read_rgb(path, "shown"), read_rgb(path, "stored"))


def test_a_long_text_does_not_hide_the_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    halves().save(stream, "PNG", exif=exif)
    png = stream.getvalue()
    at = png.index(b"IDAT") - 4
    (tmp_path / "x.png").write_bytes(png[:at] + chunk(b"zTXt", b"key\0\0" + LONG) + png[at:])
    assert read_rgb(tmp_path / "x.png", "stored").size == (40, 20)
    assert read_rgb(tmp_path / "x.png", "shown").size == (20, 40)


def bomb():
    """A small PNG that says to be 60,000 pixels wide and high."""
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def whole(suffix):
    stream = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(stream, suffix)
    return stream.getvalue()


BROKEN = {
    "empty.jpg": (b"", "an empty file"),
    "text.jpg": (b"not an image", f"no image of {', '.join(FORMATS)}"),
    "cut.jpg": (whole("JPEG")[:2000], "truncated"),
    "cut.png": (whole("PNG")[:2000], "truncated|incomplete"),
    "cut.gif": (whole("GIF")[:2000], "truncated|incomplete|buffer"),
    "bomb.png": (bomb(), "exceeds limit"),
    "page.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image of"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("reading", ["stored", "shown"])
def test_a_broken_file_is_named(name, reading, tmp_path):
    (tmp_path / name).write_bytes(BROKEN[name][0])
    with pytest.raises(ImageError, match=rf"{name}: cannot be decoded \(.*({BROKEN[name][1]})"):
        read_rgb(tmp_path / name, reading)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.jpg: cannot be decoded \(.*No such file"):
        read_rgb(tmp_path / "gone.jpg")
