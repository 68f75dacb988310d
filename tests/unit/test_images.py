"""Image features: what is decoded, what is cached, what is refused."""

import json
import logging
import shutil

import numpy as np
import open_clip
import pytest
import torch
import yaml
from PIL import Image as Pillow

from craft.blackbox.backbones.description import read_backbone
from craft.blackbox.backbones.export_side import main as export_main
from craft.blackbox.backbones.pretrained import load
from craft.blackbox.images.__main__ import main
from craft.blackbox.images.decode import main as decode_main
from craft.blackbox.images.encode import Encoder, Pictures, encode
from craft.blackbox.images.partial import Shards
from craft.blackbox.images.preprocess import Preprocess
from craft.blackbox.images.selection import select
from craft.blackbox.images.vision_tower import VisionTower
from craft.blackbox.images.vision_weights import VisionWeights
from craft.data.rgb import ImageError
from craft.files.atomic import sha256
from craft.files.datasets import Image, Manifest, Split
from craft.files.image_features import Features
from craft.files.pixels import Pixels
from craft.files.records import RecordError
from craft.mini import backbone as mini
from craft.runtime.progress import read_line

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PREPROCESS = Preprocess(32, MEAN, STD, (0.5, 1.0))


def noise(height, width, seed=0):
    """A smooth random photograph, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    small = Pillow.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Pillow.Resampling.BICUBIC))


class Tower(torch.nn.Module):
    """Mean colour by quadrant, as a 12-dimensional feature that is not of unit norm."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def encode_image(self, images):
        self.batches.append(len(images))
        pooled = torch.nn.functional.adaptive_avg_pool2d(images, 2)
        return 3 * pooled.flatten(1) + torch.arange(12)


# --- decoding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(40, 60), (61, 40), (33, 97), (32, 32), (20, 50), (301, 199)])
def test_the_deterministic_view_is_open_clips(size, tmp_path):
    path = tmp_path / "x.png"
    Pillow.fromarray(noise(*size)).save(path)
    theirs = open_clip.image_transform(32, is_train=False, mean=MEAN, std=STD)(Pillow.open(path))
    ours = PREPROCESS.normalise(PREPROCESS.read(path)[None])[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


# --- augmented copies -----------------------------------------------------------------------------


def test_a_view_depends_on_its_number_and_the_position_alone(tmp_path):
    images = [Image(f"{n}.png", 0, "a", "train") for n in range(4)]
    for n, image in enumerate(images):
        Pillow.fromarray(noise(40, 60, seed=n)).save(tmp_path / image.path)

    def view(number, positions, shown=images):
        chosen = Pictures([(n, shown[n]) for n in positions], tmp_path, PREPROCESS, number)
        return [chosen.read(n) for n in range(len(positions))]

    first = view(1, range(4))
    assert all(np.array_equal(a, b) for a, b in zip(first, view(1, range(4)), strict=True))
    assert np.array_equal(first[2], view(1, [2])[0])  # whatever else is encoded
    assert not np.array_equal(first[2], view(2, [2])[0])
    assert not np.array_equal(first[2], view(0, [2])[0])
    a, b = view(1, [0, 1], [images[0]] * 2)  # one image at two positions: two copies
    assert not np.array_equal(a, b)


@pytest.mark.parametrize("scale", [(0.5, 1.0), (0.08, 0.2)])
def test_crops_cover_the_share_of_the_area_that_was_asked_for(scale):
    rng = np.random.default_rng(0)
    boxes = [PREPROCESS._random_box(120, 100, scale, rng) for _ in range(300)]
    areas = np.array([(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes]) / 12000
    ratios = np.array([(x1 - x0) / (y1 - y0) for x0, y0, x1, y1 in boxes])
    low, high = scale
    assert low * 0.97 < areas.min() and areas.max() < high * 1.03
    assert np.ptp(areas) > 0.7 * (high - low) * (0.9 if low < 0.5 else 0.8)
    assert 0.7 < ratios.min() < 0.9 and 1.1 < ratios.max() < 1.4
    assert min(x0 for x0, *_ in boxes) >= 0 and max(box[2] for box in boxes) <= 120
    assert len({box[:2] for box in boxes}) > 100


@pytest.mark.parametrize(("size", "boxes"), [((64, 32), (0, 32)), ((32, 96), (0, 64))])
def test_ends_are_the_ends_of_the_long_side(tmp_path, size, boxes):
    wide = size[0] > size[1]
    ramp = np.arange(max(size), dtype=np.uint8)
    pixels = np.broadcast_to(ramp if wide else ramp[:, None], (size[1], size[0]))
    Pillow.fromarray(np.stack([pixels] * 3, axis=-1)).save(tmp_path / "ramp.png")
    preprocess = Preprocess(32, (0.5,) * 3, (0.5,) * 3)
    for end, first in zip((1, 2), boxes, strict=True):
        made = preprocess.read_end(tmp_path / "ramp.png", end)[..., 0]
        line = made[0] if wide else made[:, 0]
        assert line.tolist() == list(range(first, first + 32))


def test_an_image_too_long_for_any_crop_gets_its_centre():
    box = PREPROCESS._random_box(1000, 10, (0.5, 1.0), np.random.default_rng(0))
    assert box == (493, 0, 506, 10)


def test_half_of_the_cutouts_are_crops_and_half_have_a_square(tmp_path):
    """At 224 pixels the square has 91, cut at the border, around any pixel, in any colour."""
    ramp = np.tile(np.linspace(0, 255, 300).astype(np.uint8)[None, :, None], (200, 1, 3))
    Pillow.fromarray(ramp).save(tmp_path / "ramp.png")
    preprocess = Preprocess(224, MEAN, STD, (0.9, 1.0))
    squashed = np.asarray(Pillow.fromarray(ramp).resize((224, 224), Pillow.Resampling.BILINEAR))
    sides, colours, centres, mirrored = [], set(), [], 0
    for n in range(80):
        rng = np.random.Generator(np.random.PCG64([1, n, 2]))
        made = preprocess.read_cutout(tmp_path / "ramp.png", rng)
        assert made.shape == (224, 224, 3)
        for way in (made, made[:, ::-1]):
            changed = (way != squashed).any(axis=2)
            rows, columns = changed.any(axis=1), changed.any(axis=0)
            if changed.mean() < 0.3 and changed.any():
                mirrored += way is not made
                colours |= {tuple(way[changed][0])}
                assert (way[changed] == way[changed][0]).all()
                sides.append((rows.sum(), columns.sum()))
                centres.append(np.argmax(rows))
                break
    assert 28 < len(sides) < 52 and 0.25 < mirrored / len(sides) < 0.75
    assert {91} <= {side for pair in sides for side in pair} <= set(range(46, 92))
    assert len(colours) == len(sides) and len(set(centres)) > 15


def test_half_of_the_copies_are_mirrored():
    ramp = np.repeat(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], 64, axis=0)
    image = Pillow.fromarray(np.repeat(ramp, 3, axis=2))
    views = [PREPROCESS.augmented(image, np.random.default_rng([1, n])) for n in range(100)]
    mirrored = sum(np.asarray(view)[0, 0, 0] > np.asarray(view)[0, -1, 0] for view in views)
    assert 35 < mirrored < 65


# --- encoding -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Seven pictures on disk; the raw features that they have."""
    folder = tmp_path_factory.mktemp("photos")
    for n in range(7):
        Pillow.fromarray(noise(32, 32, seed=n)).save(folder / f"{n}.png")
    images = [(n, Image(f"{n}.png", 0, "a", "test")) for n in range(7)]
    pictures = Pictures(images, folder, PREPROCESS)
    stack = np.stack([pictures.read(n) for n in range(7)])
    return pictures, Tower().encode_image(PREPROCESS.normalise(stack)).numpy()


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("workers", [1, 4])
def test_features_are_unit_rows_and_norms_in_order(photos, batch_size, workers):
    pictures, raw = photos
    tower = Tower()
    features, norms = encode(
        Encoder(tower, PREPROCESS),
        pictures,
        batch_size=batch_size,
        workers=workers,
    )
    assert set(tower.batches) == {batch_size} and len(tower.batches) == -(-7 // batch_size)
    np.testing.assert_allclose(features * norms[:, None], raw, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-6)
    assert features.dtype == norms.dtype == np.float32


@pytest.mark.parametrize("name", ["mini-rn", "mini-vit"])
def test_features_do_not_depend_on_what_else_is_encoded(name, tmp_path):
    for n in range(12):
        Pillow.fromarray(noise(32, 32, seed=n)).save(tmp_path / f"{n}.png")
    backbone = load(read_backbone(f"config/backbones/{name}.yaml"))
    preprocess = Preprocess.of(backbone.config["image"], (0.5, 1.0))
    encoder = Encoder(backbone.model, preprocess)

    def features(numbers):
        images = [(n, Image(f"{n}.png", 0, "a", "train")) for n in numbers]
        return encode(encoder, Pictures(images, tmp_path, preprocess), batch_size=8)

    whole = features(range(12))
    for chosen in ([11], [2, 5, 7], list(range(1, 10))):
        for found, expected in zip(features(chosen), whole, strict=True):
            assert np.array_equal(found, expected[chosen])


def test_no_more_batches_are_in_memory_than_there_are_workers(photos):
    held, most = [], []

    class Counting(Pictures):
        def read(self, number):
            held.append(number)
            return super().read(number)

    def encoder(pixels):
        most.append(len(held))
        for _ in pixels:
            held.pop()
        return Encoder(Tower(), PREPROCESS)(pixels)

    pictures = Counting(photos[0].images * 30, photos[0].folder, PREPROCESS)
    encode(encoder, pictures, batch_size=2, workers=3)
    assert max(most) <= 3 * 2


def test_features_that_are_not_finite_are_refused(photos):
    class Broken(Tower):
        def encode_image(self, images):
            return super().encode_image(images) * torch.tensor(float("nan"))

    with pytest.raises(RecordError, match=r"images 0\.\.1: features are not finite"):
        encode(Encoder(Broken(), PREPROCESS), photos[0], batch_size=2)


def test_every_broken_image_is_named_at_once_and_nothing_more_is_encoded(photos, tmp_path):
    pictures = Pictures(
        [(n, Image(f"{n}.png", 0, "a", "test")) for n in range(40)], tmp_path, PREPROCESS
    )
    for n in range(40):
        Pillow.fromarray(noise(32, 32, seed=n)).save(tmp_path / f"{n}.png")
    for n in (3, 17, 39):
        (tmp_path / f"{n}.png").write_bytes(b"")
    tower = Tower()
    with pytest.raises(ImageError) as error:
        encode(Encoder(tower, PREPROCESS), pictures, batch_size=2, workers=1)
    first, *rest = str(error.value).splitlines()
    assert first == "3 images cannot be read"
    assert [line.partition(":")[0] for line in rest] == [
        str(tmp_path / f"{n}.png") for n in (3, 17, 39)
    ]
    assert tower.batches == [2]


# --- what a killed job leaves ---------------------------------------------------------------------

IDENTITY = {"weights": "1"}


class Dies(Exception):
    pass


def dying(after):
    """An encoder that ends its process, as far as a test can, after so many batches."""
    whole, done = Encoder(Tower(), PREPROCESS), []

    def encoder(pixels):
        if len(done) == after:
            raise Dies
        done.append(len(pixels))
        return whole(pixels)

    return encoder


def resumed(pictures, out, identity=IDENTITY, batch_size=2):
    """Features, and the sizes of the batches that were encoded for them."""
    tower = Tower()
    batch = encode(
        Encoder(tower, PREPROCESS),
        pictures,
        batch_size=batch_size,
        shards=Shards(out, identity),
    )
    return batch, tower.batches


@pytest.fixture
def cut(photos, tmp_path):
    """Where two of four batches are kept, each in a shard of its own."""
    pictures, out = photos[0], tmp_path / "out.safetensors"
    features, norms = encode(Encoder(Tower(), PREPROCESS), pictures, batch_size=2)
    shards = Shards(out, IDENTITY)
    for first in (0, 2):
        part = slice(first, first + 2)
        batch = features[part], norms[part]
        shards.write({first: batch}, {first: pictures.stamp(first, first + 2)})
    return out


def test_what_was_encoded_is_not_encoded_again(photos, cut):
    whole = encode(Encoder(Tower(), PREPROCESS), photos[0], batch_size=2)
    batch, encoded = resumed(photos[0], cut)
    assert encoded == [2, 2]
    assert all(np.array_equal(a, b) for a, b in zip(batch, whole, strict=True))


def test_shards_of_other_inputs_are_not_read(photos, cut, caplog):
    assert resumed(photos[0], cut, {"weights": "2"})[1] == [2, 2, 2, 2]
    assert caplog.text.count("made of other inputs, or by other code") == 2


@pytest.mark.parametrize("damage", ["cut short", "a bit", "another file"])
def test_damaged_shards_are_not_read(photos, cut, damage, caplog):
    path = sorted(Shards(cut, IDENTITY).folder.iterdir())[0]
    content = bytearray(path.read_bytes())
    if damage == "cut short":
        del content[-8:]
    elif damage == "a bit":
        content[-6] ^= 1
    else:
        content = b"hello"
    path.write_bytes(content)
    batch, encoded = resumed(photos[0], cut)
    assert encoded == [2, 2, 2]
    np.testing.assert_allclose(batch[0] * batch[1][:, None], photos[1], rtol=1e-5)
    assert "its images are encoded again" in caplog.text


def test_images_that_changed_meanwhile_are_encoded_again(photos, tmp_path):
    for _, image in photos[0].images:
        shutil.copy(photos[0].folder / image.path, tmp_path)
    pictures = Pictures(photos[0].images, tmp_path, PREPROCESS)
    out = tmp_path / "out.safetensors"
    with pytest.raises(Dies):
        encode(dying(3), pictures, batch_size=2, shards=Shards(out, IDENTITY), keep_every=60)
    Pillow.fromarray(noise(32, 33, seed=9)).save(tmp_path / "2.png")
    whole = encode(Encoder(Tower(), PREPROCESS), pictures, batch_size=2)
    batch, encoded = resumed(pictures, out)
    assert encoded == [2, 2]  # the second batch holds the new image, the fourth was never done
    assert np.array_equal(batch[0], whole[0])


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_images_that_change_while_they_are_encoded_are_named(photos, tmp_path, change):
    for _, image in photos[0].images:
        shutil.copy(photos[0].folder / image.path, tmp_path)
    pictures = Pictures(photos[0].images, tmp_path, PREPROCESS)
    out, whole = tmp_path / "out.safetensors", Encoder(Tower(), PREPROCESS)

    def encoder(pixels):  # by now the first image has been read
        (tmp_path / "0.png").unlink(missing_ok=True)
        if change == "replaced":
            Pillow.fromarray(noise(32, 33, seed=9)).save(tmp_path / "0.png")
        return whole(pixels)

    with pytest.raises(RecordError, match=r"0\.png: changed or deleted while"):
        encode(encoder, pictures, batch_size=2, shards=Shards(out, IDENTITY))
    Pillow.fromarray(noise(32, 33, seed=9)).save(tmp_path / "0.png")
    batch, encoded = resumed(pictures, out)
    assert encoded == [2]  # what does not hold the image is kept
    assert np.array_equal(batch[0], encode(whole, pictures, batch_size=2)[0])


def test_progress_counts_what_was_encoded_before(photos, cut, caplog):
    caplog.set_level(logging.INFO)
    encode(
        Encoder(Tower(), PREPROCESS),
        photos[0],
        batch_size=2,
        shards=Shards(cut, IDENTITY),
        what="toy train, view 0",
    )
    begun, ended = filter(None, map(read_line, caplog.messages))
    assert begun.what == "encoding of toy train, view 0" and begun.unit == "images"
    assert (begun.done, begun.total, ended.done) == (4, 7, 7)


# --- which images ---------------------------------------------------------------------------------

MANIFEST = Manifest(
    tuple(Image(f"{n}.png", n % 2, "ab"[n % 2], "test" if n == 1 else "train") for n in range(5))
)


def test_only_drawn_images_keep_their_positions():
    splits = [
        Split("toy", 1, seed, paths, (0, 1), ("a", "b"))
        for seed, paths in ((1, ("4.png", "3.png")), (2, ("4.png", "2.png")))
    ]
    chosen = select(MANIFEST, "train", splits)
    assert [(position, image.path) for position, image in chosen] == [
        (1, "2.png"),
        (2, "3.png"),
        (3, "4.png"),
    ]
    assert [image.path for _, image in select(MANIFEST, "test", None)] == ["1.png"]


def test_splits_of_other_images_are_refused():
    with pytest.raises(RecordError, match=r"1 drawn images are not in the train part: 1\.png"):
        select(MANIFEST, "train", [Split("toy", 1, 1, ("1.png",), (1,), ("a", "b"))])


def test_an_empty_part_is_refused():
    with pytest.raises(RecordError, match="no val image"):
        select(MANIFEST, "val", None)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def suite(tmp_path):
    """A data set of five images and a backbone of the embedded kind, on disk."""
    (tmp_path / "data" / "images").mkdir(parents=True)
    for n in range(5):
        Pillow.fromarray(noise(40, 50, seed=n)).save(tmp_path / "data" / "images" / f"{n}.png")
    MANIFEST.write(tmp_path / "m.csv")
    backbone = {
        "name": "toy-mini",
        "kind": "mini",
        "image": {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3},
        "open_clip": {
            "embed_dim": 8,
            "quick_gelu": True,
            "vision_cfg": {"layers": 1, "width": 8, "head_width": 4, "patch_size": 8}
            | {"image_size": 32},
            "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 2}
            | {"layers": 1},
        },
    }
    torch.manual_seed(0)
    mini.save(tmp_path / "b.safetensors", mini.build(backbone, 3), np.array([1, 2, 49407]), {})
    (tmp_path / "b.yaml").write_text(json.dumps(backbone))
    (tmp_path / "d.yaml").write_text(yaml.safe_dump({"name": "toy"}))
    return tmp_path


def run(suite, rest):
    main(
        f"--backbone {suite}/b.yaml --weights {suite}/b.safetensors --manifest {suite}/m.csv "
        f"--root {suite}/data --dataset {suite}/d.yaml --out {suite}/out.safetensors {rest}".split()
    )
    return Features.read(suite / "out.safetensors")


def test_the_command_caches_one_part(suite):
    features = run(suite, "--part train")
    assert features.paths == ("0.png", "2.png", "3.png", "4.png")
    assert features.features.shape == (4, 8) and features.norms.shape == (4,)
    assert (features.backbone, features.dataset) == ("toy-mini", "toy")
    assert (features.part, features.view, features.classes) == ("train", 0, (0, 1))
    assert features.manifest_sha256 == sha256(suite / "m.csv")
    assert features.weights_sha256 == sha256(suite / "b.safetensors")
    again = run(suite, "--part train --batch-size 3")
    np.testing.assert_allclose(features.features, again.features, atol=1e-6)
    view = run(suite, "--part train --copy view-1")
    assert view.copy == "view-1" and not np.allclose(view.features, features.features, atol=1e-4)


def test_crops_have_coops_scale_whatever_the_data_set_says(suite, monkeypatch):
    """Views follow the data set's ``crop_scale``; neither is the other under another number."""
    scales = []
    whole = Preprocess.augmented
    monkeypatch.setattr(
        Preprocess,
        "augmented",
        lambda self, image, rng: scales.append(self.crop_scale) or whole(self, image, rng),
    )
    made = {}
    for scale in ([0.9, 1.0], [0.5, 1.0]):
        (suite / "d.yaml").write_text(yaml.safe_dump({"name": "toy", "crop_scale": scale}))
        for copy in ("view-1", "crop-1", "crop-2", "cutout-1"):
            features = run(suite, f"--part train --copy {copy}")
            assert features.copy == copy
            made[scale[0], copy] = features.features
        assert set(scales) == {tuple(scale), (0.08, 1.0)}
        scales.clear()
    assert np.array_equal(made[0.9, "crop-1"], made[0.5, "crop-1"])
    assert np.array_equal(made[0.9, "cutout-1"], made[0.5, "cutout-1"])
    for other in ((0.5, "crop-2"), (0.5, "view-1"), (0.5, "cutout-1")):
        assert not np.allclose(made[0.5, "crop-1"], made[other], atol=1e-4)
    assert not np.allclose(made[0.5, "view-1"], made[0.9, "view-1"], atol=1e-4)


@pytest.mark.parametrize("copy", ["view-0", "crop", "crop-x", "0", "view-", "end-3", "cutout-0"])
def test_a_copy_that_cannot_be_is_named(suite, copy, capsys):
    with pytest.raises(SystemExit):
        run(suite, f"--part train --copy {copy}")
    assert (
        f"expected none, view-N, crop-N, cutout-N, end-1 or end-2, got '{copy}'"
        in capsys.readouterr().err
    )


def test_a_data_set_too_large_for_its_whole_pool(suite):
    (suite / "d.yaml").write_text(yaml.safe_dump({"name": "toy", "encode": "drawn"}))
    with pytest.raises(RecordError, match="toy says encode: drawn"):
        run(suite, "--part train")
    Split("toy", 1, 1, ("4.png", "3.png"), (0, 1), ("a", "b")).write(suite / "s.json")
    assert run(suite, f"--part train --splits {suite}/s.json").paths == ("3.png", "4.png")
    assert run(suite, "--part test").paths == ("1.png",)


def test_a_broken_image_stops_the_command_and_leaves_no_file(suite):
    (suite / "data" / "images" / "3.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"3\.png"):
        run(suite, "--part train")
    assert not (suite / "out.safetensors").exists()


# --- images that a fit encodes itself ---


def decode(suite, rest):
    given = f"--backbone {suite}/b.yaml --manifest {suite}/m.csv --root {suite}/data "
    given += f"--dataset {suite}/d.yaml --out {suite}/pixels.safetensors {rest}"
    decode_main(given.split())
    return Pixels.read(suite / "pixels.safetensors")


@pytest.mark.parametrize("copy", ["none", "view-1", "crop-2"])
def test_decoded_images_and_the_exported_tower_give_the_features(suite, copy):
    features = run(suite, f"--part train --copy {copy}")
    pixels = decode(suite, f"--part train --copy {copy} --threads 2")
    assert pixels.facts.paths == features.paths and pixels.facts.copy == features.copy
    assert (pixels.facts.dataset, pixels.facts.part) == ("toy", "train")
    assert pixels.facts.manifest_sha256 == features.manifest_sha256
    given = f"--backbone {suite}/b.yaml --weights {suite}/b.safetensors --side image"
    export_main(f"{given} --out {suite}/image.safetensors".split())
    tower = VisionTower(VisionWeights.read(suite / "image.safetensors"))
    images = torch.from_numpy(pixels.all().read(slice(None))).permute(0, 3, 1, 2) / 255
    assert (tower.encode(images) - torch.from_numpy(features.features)).abs().max() < 1e-6


def test_only_drawn_images_are_decoded(suite):
    Split("toy", 1, 1, ("4.png", "3.png"), (0, 1), ("a", "b")).write(suite / "s.json")
    assert decode(suite, f"--part train --splits {suite}/s.json").facts.paths == ("3.png", "4.png")
    assert decode(suite, f"--part test --splits {suite}/s.json").facts.paths == ("1.png",)


def test_every_image_that_cannot_be_decoded_is_named_and_no_file_is_left(suite):
    for name in ("0.png", "3.png"):
        (suite / "data" / "images" / name).write_bytes(b"")
    with pytest.raises(ImageError, match=r"(?s)0\.png.*3\.png"):
        decode(suite, "--part train")
    assert not (suite / "pixels.safetensors").exists()


def test_images_that_change_while_they_are_decoded_leave_no_file(suite, monkeypatch):
    states = iter(["before", "after"])
    monkeypatch.setattr("craft.blackbox.images.decode.fingerprint", lambda *_: next(states))
    with pytest.raises(RecordError, match="changed"):
        decode(suite, "--part train")
    assert not (suite / "pixels.safetensors").exists()
