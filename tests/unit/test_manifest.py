"""Manifests of miniature trees in every layout, and everything that must be noticed."""

import hashlib
import json

import pytest
import yaml

from craft.data.layouts import ManifestError
from craft.data.manifest import build, check_tree, main
from craft.files.datasets import Manifest
from craft.files.descriptions import read_dataset


def tree(root, *files):
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def coop(root, **parts):
    """A CoOp tree: two classes, in an order of first appearance that is not that of labels."""
    parts = {
        "train": [["b/1.jpg", 1, "hen"], ["a/1.jpg", 0, "cat"], ["b/2.jpg", 1, "hen"]],
        "val": [["a/2.jpg", 0, "cat"]],
        "test": [["a/3.jpg", 0, "cat"], ["b/3.jpg", 1, "hen"]],
    } | parts
    tree(root / "images", *(item[0] for items in parts.values() for item in items))
    (root / "split.json").write_text(json.dumps(parts))
    return {
        "name": "toy",
        "kind": "split_json",
        "images": "images",
        "split": {"file": "split.json"},
        "counts": {"classes": 2, "train": 3, "val": 1, "test": 2},
    }


def test_a_split_json_keeps_the_published_order(tmp_path):
    facts = coop(tmp_path)
    manifest = build(tmp_path, facts)
    assert [image.path for image in manifest.part("train")] == ["b/1.jpg", "a/1.jpg", "b/2.jpg"]
    assert [image.label for image in manifest.part("train")] == [1, 0, 1]
    assert [image.path for image in manifest.part("test")] == ["a/3.jpg", "b/3.jpg"]
    assert manifest.class_names() == {0: "cat", 1: "hen"}


def test_the_command_writes_it(tmp_path):
    facts = coop(tmp_path) | {"kind": "mini"}
    del facts["split"]  # the embedded suite's is split.json
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(facts))
    out = tmp_path / "out" / "toy.csv"
    main(f"--dataset {tmp_path}/toy.yaml --root {tmp_path} --out {out}".split())
    assert Manifest.read(out) == build(tmp_path, facts)


def test_another_image_folder(tmp_path):
    facts = coop(tmp_path) | {"images": "2750"}
    (tmp_path / "images").rename(tmp_path / "2750")
    assert len(build(tmp_path, facts).images) == 6


def test_a_pinned_split_file(tmp_path):
    facts = coop(tmp_path)
    digest = hashlib.sha256((tmp_path / "split.json").read_bytes()).hexdigest()
    build(tmp_path, facts | {"split": {"file": "split.json", "sha256": digest}})
    with pytest.raises(ManifestError, match=rf"SHA-256 is {digest}, pinned is 00"):
        build(tmp_path, facts | {"split": {"file": "split.json", "sha256": "00"}})


def test_counts_that_differ_are_all_named(tmp_path):
    facts = coop(tmp_path) | {"counts": {"classes": 2, "train": 4, "val": 1, "test": 1}}
    with pytest.raises(ManifestError, match="toy: train: 3 found, 4 expected; test: 2 found, 1"):
        build(tmp_path, facts)


def test_the_smallest_class_is_counted_too(tmp_path):
    facts = coop(tmp_path)
    facts["counts"]["smallest"] = 1
    assert build(tmp_path, facts)
    facts["counts"]["smallest"] = 2
    with pytest.raises(ManifestError, match="toy: smallest: 1 found, 2 expected"):
        build(tmp_path, facts)


def test_missing_images_are_named(tmp_path):
    facts = coop(tmp_path)
    for name in ("a/1.jpg", "a/2.jpg", "a/3.jpg", "b/1.jpg"):
        (tmp_path / "images" / name).unlink()
    with pytest.raises(ManifestError, match=r"4 images not in .*images: b/1.jpg.* and 1 more"):
        build(tmp_path, facts)


def test_a_missing_class_folder_is_missing_images(tmp_path):
    facts = coop(tmp_path)
    (tmp_path / "images" / "a").rename(tmp_path / "images" / "A")
    with pytest.raises(ManifestError, match=r"3 images not in .*: a/1.jpg, a/2.jpg, a/3.jpg$"):
        build(tmp_path, facts)


def test_an_image_in_two_parts_is_a_leak(tmp_path):
    facts = coop(tmp_path, test=[["b/1.jpg", 1, "hen"], ["a/3.jpg", 0, "cat"]])
    with pytest.raises(ManifestError, match=r"1 images listed more than once: b/1.jpg"):
        build(tmp_path, facts)


@pytest.mark.parametrize("path", ["../x.jpg", "/x.jpg"])
def test_paths_stay_in_the_image_folder(tmp_path, path):
    facts = coop(tmp_path / "data")
    parts = json.loads((tmp_path / "data" / "split.json").read_text())
    parts["val"][0][0] = path
    (tmp_path / "data" / "split.json").write_text(json.dumps(parts))
    with pytest.raises(ManifestError, match=f"outside the image folder: {path}"):
        build(tmp_path / "data", facts)


def test_labels_without_gaps(tmp_path):
    facts = coop(tmp_path, val=[["a/2.jpg", 3, "fox"]])
    with pytest.raises(ManifestError, match="labels are not consecutive; none is 2"):
        build(tmp_path, facts | {"counts": facts["counts"] | {"classes": 3}})


@pytest.mark.parametrize("content", ["[]", "{", '{"train": [["a.jpg", 0]]}'])
def test_foreign_split_files_are_named(tmp_path, content):
    facts = coop(tmp_path)
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(ManifestError, match=r"split\.json: not a CoOp split file"):
        build(tmp_path, facts)


def test_no_split_file(tmp_path):
    facts = coop(tmp_path)
    (tmp_path / "split.json").unlink()
    with pytest.raises(ManifestError, match=r"no file .*split\.json"):
        build(tmp_path, facts)


def test_an_unknown_kind_names_those_that_are(tmp_path):
    with pytest.raises(ManifestError, match="kind: expected one of mini, split_json"):
        build(tmp_path, {"kind": "zip"})


# --- FGVC Aircraft --------------------------------------------------------------------------------


def aircraft(root):
    (root / "variants.txt").write_text("707-320\nDC-9-30\nModel B 200\n")
    lists = {"train": ["3 Model B 200", "1 707-320"], "val": ["2 DC-9-30"], "test": ["4 DC-9-30"]}
    for part, lines in lists.items():
        (root / f"images_variant_{part}.txt").write_text("\n".join(lines) + "\n")
    tree(root / "images", *(f"{n}.jpg" for n in range(1, 5)))
    files = {part: {"file": f"images_variant_{part}.txt"} for part in lists}
    return {
        "name": "aircraft",
        "kind": "split_lists",
        "images": "images",
        "lists": {"classes": {"file": "variants.txt"}, "suffix": ".jpg"} | files,
        "counts": {"classes": 3, "train": 2, "val": 1, "test": 1},
    }


def test_aircraft_names_hold_spaces(tmp_path):
    manifest = build(tmp_path, aircraft(tmp_path))
    train = [(image.path, image.label, image.class_name) for image in manifest.part("train")]
    assert train == [("3.jpg", 2, "Model B 200"), ("1.jpg", 0, "707-320")]
    assert [image.path for image in manifest.part("val")] == ["2.jpg"]
    assert [image.path for image in manifest.part("test")] == ["4.jpg"]


def test_an_unknown_aircraft_is_named(tmp_path):
    facts = aircraft(tmp_path)
    (tmp_path / "images_variant_val.txt").write_text("2 Concorde\n")
    with pytest.raises(ManifestError, match=r"images_variant_val.txt: '2 Concorde'"):
        build(tmp_path, facts)


# --- ImageNet and its shifted test sets -----------------------------------------------------------

CLASSNAMES = "n03 great white shark\nn01 tench\nn02 missile\n"


def imagenet(root, images="images", **changes):
    root.mkdir(exist_ok=True)
    (root / "classnames.txt").write_text(CLASSNAMES)
    return {
        "name": "imagenet",
        "kind": "class_folders",
        "images": images,
        "folders": {"train": "train", "test": "val"},
        "class_names": "classnames.txt",
        "class_folders": "wnid",
        "counts": {"classes": 3, "train": 4, "val": 0, "test": 3},
    } | changes


def test_imagenet_in_sorted_order(tmp_path):
    facts = imagenet(tmp_path)
    names = ["n03/b.JPEG", "n03/a.JPEG", "n02/c.JPEG", "n01/d.JPEG", "n01/notes.txt"]
    tree(tmp_path / "images" / "train", *names, "README.txt")
    tree(tmp_path / "images" / "val", "n02/v.JPEG", "n01/v.JPEG", "n03/v.JPEG")
    manifest = build(tmp_path, facts)
    train = [(image.path, image.label) for image in manifest.part("train")]
    assert train == [
        ("train/n01/d.JPEG", 0),
        ("train/n02/c.JPEG", 1),
        ("train/n03/a.JPEG", 2),
        ("train/n03/b.JPEG", 2),
    ]
    assert manifest.class_names() == {0: "tench", 1: "missile", 2: "great white shark"}
    assert manifest.part("test")[0].path == "val/n01/v.JPEG"


def test_a_flat_validation_folder_is_noticed(tmp_path):
    facts = imagenet(tmp_path)
    tree(tmp_path / "images" / "train", *(f"{c}/{n}.JPEG" for c in ("n01", "n02") for n in "ab"))
    tree(tmp_path / "images" / "val", "v1.JPEG", "v2.JPEG", "v3.JPEG")
    with pytest.raises(ManifestError, match="classes: 2 found, 3 expected; test: 0 found, 3"):
        build(tmp_path, facts)


def test_a_shifted_test_set_keeps_the_labels_of_its_source(tmp_path):
    counts = {"classes": 2, "train": 0, "val": 0, "test": 3}
    facts = imagenet(
        tmp_path, "imagenet-a", folders={"test": "."}, source="ImageNet", counts=counts
    )
    tree(tmp_path / "imagenet-a", "n03/x.jpg", "n01/y.jpg", "n01/z.jpg", "README.txt")
    manifest = build(tmp_path, facts)
    found = [(image.path, image.label, image.class_name) for image in manifest.images]
    assert found == [
        ("n01/y.jpg", 0, "tench"),
        ("n01/z.jpg", 0, "tench"),
        ("n03/x.jpg", 2, "great white shark"),
    ]


def test_folders_named_by_class_number(tmp_path):
    """Sorted as text, 10 comes before 2: the numbers are read as numbers."""
    facts = imagenet(
        tmp_path,
        "v2",
        folders={"test": "."},
        source="ImageNet",
        class_folders="index",
        counts={"classes": 2, "train": 0, "val": 0, "test": 2},
    )
    lines = "".join(f"n{n:02} name {n}\n" for n in range(12))
    (tmp_path / "classnames.txt").write_text(lines)
    tree(tmp_path / "v2", "10/a.jpeg", "2/b.jpeg")
    found = {(image.path, image.label, image.class_name) for image in build(tmp_path, facts).images}
    assert found == {("10/a.jpeg", 10, "name 10"), ("2/b.jpeg", 2, "name 2")}


def test_a_folder_of_no_class_is_named(tmp_path):
    facts = imagenet(tmp_path)
    tree(tmp_path / "images" / "train", "n99/a.JPEG")
    with pytest.raises(ManifestError, match="'n99' is not among the 3 classes"):
        build(tmp_path, facts)


def test_no_image_folder(tmp_path):
    with pytest.raises(ManifestError, match=r"no folder .*images/train"):
        build(tmp_path, imagenet(tmp_path))


def test_a_tree_that_is_not_there_says_what_to_put_where(tmp_path):
    facts = read_dataset("config/datasets/EuroSAT.yaml")
    with pytest.raises(ManifestError, match=r"lacks split_zhou_EuroSAT\.json, 2750\. Put the data"):
        check_tree(tmp_path / "eurosat", facts)
