"""The embedded suite: its renders, its splits, its shipped backbones."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from craft.mini import render as tasks
from craft.mini import world

ROOT = Path(__file__).resolve().parents[2]
BACKBONES = ("mini-rn", "mini-vit")
FLOOR = {"mini-rn": 0.85, "mini-vit": 0.85}  # mean in-world accuracy; docs/mini.md has the figures


def config(name):
    return yaml.safe_load((ROOT / "config" / "backbones" / f"{name}.yaml").read_text())


def facts(name):
    return yaml.safe_load((ROOT / "config" / "datasets" / f"{name}.yaml").read_text())


@pytest.fixture(scope="module")
def rendered():
    """Return {(dataset, part, development): (images, labels)} of everything there is."""
    return {
        (name, part, development): tasks.render(name, part, development)
        for name in tasks.TASKS
        for part in tasks.PARTS
        for development in (False, True)
    }


@pytest.fixture(scope="module", params=BACKBONES)
def backbone(request):
    from craft.mini import backbone as mini

    facts_ = config(request.param)
    return facts_, mini.load(facts_, ROOT / facts_["weights"])


def prints(images):
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in images]


def test_a_corpus_is_a_function_of_its_seed():
    images, captions = world.render_corpus(60, 3)
    again, same = world.render_corpus(60, 3)
    other, _ = world.render_corpus(60, 4)
    assert images.shape == (60, 32, 32, 3) and images.dtype == np.uint8
    assert (images == again).all() and captions == same
    assert (images != other).any()


def test_probe_images_differ_from_the_corpus_of_the_same_seed():
    probe = {p for kind in world.KINDS for p in prints(world.render_probe(kind, 2, 3)[0])}
    assert not probe & set(prints(world.render_corpus(200, 3)[0]))


def test_a_data_set_is_written_with_the_same_bytes_each_time(tmp_path):
    for folder in ("one", "two", "two"):  # the last one over a finished one
        tasks.main(["--dataset", "objects-adv", "--out", str(tmp_path / folder)])
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    assert sorted(p.relative_to(tmp_path / "two") for p in (tmp_path / "two").rglob("*.*")) == files
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == [".one.lock", ".two.lock", "one", "two"], "no temporary folder stays"


def test_split_file_has_coops_format(tmp_path):
    tasks.write("textures", tmp_path / "textures", development=True)
    split = json.loads((tmp_path / "textures" / "split.json").read_text())
    assert list(split) == ["train", "val", "test"]
    seen = set()
    for part, rows in split.items():
        labels = [label for _, label, _ in rows]
        assert labels == sorted(labels), f"{part} is not class-contiguous"
        for path, label, name in rows:
            assert tasks.classes("textures")[label] == name
            with Image.open(tmp_path / "textures" / "images" / path) as image:
                assert image.size == (32, 32) and image.mode == "RGB"
            seen.add(path)
    assert len(seen) == sum(map(len, split.values())), "a path occurs twice"


def test_an_interrupted_write_leaves_no_split(tmp_path, monkeypatch):
    tasks.write("objects-adv", tmp_path / "set")

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(tasks.os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        tasks.write("objects-adv", tmp_path / "set")
    assert not (tmp_path / "set" / "split.json").exists()


@pytest.mark.parametrize("name", tasks.TASKS)
def test_yaml_states_what_is_rendered(name, rendered):
    facts_ = facts(name)
    parts = {part: rendered[name, part, False][1] for part in tasks.PARTS}
    occurring = set(np.concatenate(list(parts.values())))
    assert facts_["name"] == name and facts_["kind"] == "mini"
    counts = {"classes": len(occurring), **{part: len(y) for part, y in parts.items()}}
    assert facts_["counts"] == counts
    assert occurring <= set(range(len(tasks.classes(name))))
    if not name.startswith("objects-"):
        assert "source" not in facts_
        assert np.bincount(parts["train"]).min() >= 24, "16 shots must leave room to differ"


def test_shifted_sets_share_the_classes_of_their_source(rendered):
    full = tasks.classes("objects")
    for shift, classes in (("v2", 20), ("sketch", 20), ("adv", 10), ("rendition", 10)):
        name = f"objects-{shift}"
        assert facts(name)["source"] == "objects" and tasks.classes(name) == full
        assert len(set(rendered[name, "test", False][1])) == classes
        assert not len(rendered[name, "train", False][1]) + len(rendered[name, "val", False][1])


def test_no_image_occurs_twice_among_parts_instances_data_sets_and_corpus(rendered):
    owner = dict.fromkeys(prints(world.render_corpus(500, 0)[0]), "corpus")
    for key, (images, _) in rendered.items():
        for mark in prints(images):
            assert owner.setdefault(mark, key) == key, f"{key} shares an image with {owner[mark]}"


@pytest.mark.parametrize("name", BACKBONES)
def test_shipped_weights_are_the_declared_small_file(name):
    path = ROOT / config(name)["weights"]
    assert path.stat().st_size < 3_000_000
    assert hashlib.sha256(path.read_bytes()).hexdigest() == config(name)["sha256"]


def test_weights_carry_their_provenance():
    from craft.mini import backbone as mini

    for name in BACKBONES:
        metadata = mini.read_metadata(ROOT / config(name)["weights"])
        assert {"command", "recipe", "seed", "steps", "wall_seconds", "versions", "machine",
                "probe", "corpus_sha256"} <= set(metadata)  # fmt: skip


def test_backbone_is_a_clip_in_eval_mode(backbone):
    import torch
    from open_clip.model import CLIP

    _, model = backbone
    assert isinstance(model, CLIP) and not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_every_word_of_the_tasks_was_trained(backbone):
    from craft.mini import backbone as mini

    config_, model = backbone
    known = mini.read_vocabulary(ROOT / config_["weights"])
    sentences = ["a photo of a"]
    for name in tasks.TASKS:
        sentences += [facts(name)["template"].format(c) for c in tasks.classes(name)]
    tokens = mini.tokenizer(config_)(sentences).numpy()
    assert set(np.unique(tokens)) <= set(known)
    # A token outside the vocabulary has the mean embedding, as documented.
    foreign = next(i for i in range(model.vocab_size) if i not in set(known))
    table = model.token_embedding.weight.detach()
    assert np.allclose(table[foreign], table[known].mean(0), atol=1e-6)


def test_backbone_knows_its_own_world(backbone):
    from craft.mini import compare_backbones

    config_, model = backbone
    scores = compare_backbones.probe(model, config_, per_class=10, seed=77)
    assert np.mean(list(scores.values())) > FLOOR[config_["name"]], scores


def test_foreign_and_truncated_files_are_refused(tmp_path, backbone):
    from safetensors.numpy import save_file

    from craft.mini import backbone as mini

    config_, _ = backbone
    (tmp_path / "short").write_bytes((ROOT / config_["weights"]).read_bytes()[:5000])
    save_file({"x": np.zeros(3)}, tmp_path / "foreign")
    with pytest.raises(ValueError, match="cannot be read"):
        mini.load(config_, tmp_path / "short")
    with pytest.raises(ValueError, match="not a backbone"):
        mini.load(config_, tmp_path / "foreign")
    other = next(name for name in BACKBONES if name != config_["name"])
    with pytest.raises(ValueError, match="does not fit"):
        mini.load(config_, ROOT / config(other)["weights"])
