"""All 15 data sets in miniature: archives laid out as the originals and mirrors lay theirs out.

Layouts are written down here from what is known of each archive, not read from the descriptions
under test. Sums, sizes and counts of the descriptions are replaced by the miniatures' own.
"""

from __future__ import annotations

import copy
import csv
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from scipy.io import savemat

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTIONS = ROOT / "config" / "datasets"
WNIDS = {"n01443537": "goldfish", "n01484850": "great white shark", "n03773504": "missile"}
NAMES = tuple(sorted(path.stem for path in DESCRIPTIONS.glob("[A-Z]*.yaml")))

_LISTS = ("variants.txt", *(f"images_variant_{part}.txt" for part in ("train", "val", "test")))
_V2 = "imagenetv2-matched-frequency-format-val"

#: Archive -> its top folder and what lies in it by its own name, or a name that differs.
_ORIGINALS: dict[str, dict[str, str]] = {
    "images.tar.gz": {"images": "images"},
    "102flowers.tgz": {"jpg": "jpg"},
    "fgvc-aircraft-2013b.tar.gz": {x: f"fgvc-aircraft-2013b/data/{x}" for x in ("images", *_LISTS)},
    "dtd-r1.0.1.tar.gz": {"images": "dtd/images"},
    "EuroSAT_RGB.zip": {"2750": "EuroSAT_RGB"},
    "EuroSAT.zip": {"2750": "2750"},
    "food-101.tar.gz": {"images": "food-101/images"},
    "SUN397.tar.gz": {"SUN397": "SUN397"},
    "101_ObjectCategories.tar.gz": {"101_ObjectCategories": "101_ObjectCategories"},
    "UCF-101-midframes.zip": {"UCF-101-midframes": "UCF-101-midframes"},
    "imagenetv2-matched-frequency.tar.gz": {_V2: _V2},
    "ImageNet-Sketch.zip": {"images": "sketch"},
    "imagenet-a.tar": {"imagenet-a": "imagenet-a"},
    "imagenet-r.tar": {"imagenet-r": "imagenet-r"},
}


@dataclass(frozen=True)
class Miniature:
    """A description that points to a server, and what that server must hold."""

    description: Path
    facts: dict[str, Any]
    files: dict[str, bytes]  # path on the server -> content
    tree: dict[str, bytes]  # path below the data set's folder -> content, split included


def photo(number: int) -> bytes:
    """A tiny JPEG that differs by ``number``."""
    rng = np.random.default_rng(number)
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip of these members: the same bytes whenever it is made."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def tarred(members: Mapping[str, bytes], compress: bool = True) -> bytes:
    """A tar of these members: the same bytes whenever it is made."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), mtime=0) if compress else stream.getvalue()


def packed(filename: str, members: Mapping[str, bytes]) -> bytes:
    # ImageNetV2's .tar.gz is a plain tar.
    if filename.endswith(".zip"):
        return zipped(members)
    plain = filename.endswith(".tar") or filename.startswith("imagenetv2")
    return tarred(members, compress=not plain)


def devkit(classes: list[str]) -> bytes:
    """ImageNet's devkit for validation images of these WordNet ids; ids are not in their order."""
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    wnids = sorted(WNIDS, reverse=True)
    rows = [(number, wnid, WNIDS[wnid], 0) for number, wnid in enumerate(wnids, 1)]
    synsets = np.array([*rows, (len(wnids) + 1, "n00001740", "entity", 3)], dtype=kinds)
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets.reshape(-1, 1)})
    truth = "".join(f"{wnids.index(wnid) + 1}\n" for wnid in classes)
    folder = "ILSVRC2012_devkit_t12/data"
    return tarred(
        {
            f"{folder}/meta.mat": meta.getvalue(),
            f"{folder}/ILSVRC2012_validation_ground_truth.txt": truth.encode(),
        }
    )


def _split_tree(facts: dict[str, Any]) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Images of a data set with a split JSON, one more than it lists, and that JSON."""
    folders = {"SUN397": ["a/abbey", "c/car_interior/backseat"]}
    classes = folders.get(facts["name"], ["Alpha", "beta_gamma"])
    paths: dict[str, list[list[Any]]] = {"train": [], "val": [], "test": []}
    for label, name in enumerate(classes):
        for part, numbers in (("train", (0, 1, 2)), ("val", (3,)), ("test", (4, 5))):
            for number in numbers:
                path = f"{name}/{number:04}.jpg"
                if facts["name"] == "StanfordCars":
                    path = f"cars_{'test' if part == 'test' else 'train'}/{label}{number:04}.jpg"
                elif facts["name"] == "OxfordPets":
                    path = f"{name}_{number}.jpg"
                paths[part].append([path, label, name])
    images = [item[0] for part in paths.values() for item in part]
    folder = "" if facts["images"] == "." else f"{facts['images']}/"
    extra = "cars_train/99999.jpg" if facts["name"] == "StanfordCars" else f"{images[0]}.jpg"
    tree = {f"{folder}{path}": photo(number) for number, path in enumerate([*images, extra])}
    return tree, paths


def _list_tree(facts: dict[str, Any]) -> dict[str, bytes]:
    variants = ["707-320", "Boeing 717"]
    tree = {"variants.txt": "".join(f"{v}\n" for v in variants).encode()}
    number = 1000000
    for part in ("train", "val", "test"):
        lines = []
        for variant in variants * 2:
            number += 1
            tree[f"images/{number}.jpg"] = photo(number)
            lines.append(f"{number} {variant}\n")
        tree[f"images_variant_{part}.txt"] = "".join(lines).encode()
    for pinned in (facts["lists"][key] for key in ("classes", "train", "val", "test")):
        pinned["sha256"] = hashlib.sha256(tree[pinned["file"]]).hexdigest()
    return tree


def _folder_tree(facts: dict[str, Any]) -> dict[str, bytes]:
    """Images of a data set with a folder per class, with what else lies there."""
    wnids = sorted(WNIDS)
    if "class_indices" in facts:
        facts["class_indices"] = [0, 2]
        wnids = [wnids[0], wnids[2]]
    by_number = facts["class_folders"] == "index"
    tree, number = {}, 0
    for part, folder in facts["folders"].items():
        for label, wnid in enumerate(wnids):
            for _ in range(4):
                number += 1
                name = f"{label if by_number else wnid}/{wnid}_{number}.JPEG"
                if part == "test" and facts["name"] == "ImageNet":
                    name = f"{wnid}/ILSVRC2012_val_{len(tree) % 12 + 1:08}.JPEG"
                path = Path(facts["images"], folder, name).as_posix()
                tree[path] = photo(number)
    if "class_indices" in facts:
        tree[f"{facts['images']}/README.txt"] = b"n01443537 goldfish\n"
    return tree


def _counts(facts: dict[str, Any], tree: Mapping[str, bytes], split: Any) -> dict[str, int]:
    if facts["kind"] == "split_json":
        return {"classes": 2} | {part: len(items) for part, items in split.items()}
    if facts["kind"] == "split_lists":
        return {"classes": 2, "train": 4, "val": 4, "test": 4}
    images = [path for path in tree if path.endswith(".JPEG")]
    train = sum("/train/" in path for path in images)
    classes = 2 if "class_indices" in facts else 3
    return {"classes": classes, "train": train, "val": 0, "test": len(images) - train}


def _members(
    filename: str, facts: Mapping[str, Any], tree: Mapping[str, bytes]
) -> dict[str, bytes]:
    """What an archive holds, with the kind of litter that such archives have."""
    if filename in _ORIGINALS:
        moves, litter = _ORIGINALS[filename], {"README": b"hello"}
    else:
        # A mirror: the data set's folder, with its owner's few-shot pickles and a Mac's leavings.
        top = facts["folder"]
        moves = {path.partition("/")[0]: f"{top}/{path.partition('/')[0]}" for path in tree}
        litter = {
            f"{top}/split_fewshot/shot_16-seed_1.pkl": b"\x80\x04cos\nsystem\n.",
            f"__MACOSX/{top}/._images": b"\0\5",
        }
    members = dict(litter)
    for path, content in tree.items():
        start, _, rest = path.partition("/")
        if start in moves:
            members["/".join(filter(None, (moves[start], rest)))] = content
    first = next(iter(tree))
    start, _, rest = first.partition("/")
    if rest:
        members[f"{moves[start]}/stray.pkl"] = b"\x80\x04cos\nsystem\n."
    return members


def miniature(name: str, folder: Path, url: str) -> Miniature:
    """A miniature of a data set, described by a YAML in ``folder``, served below ``url``/NAME."""
    facts = yaml.safe_load((DESCRIPTIONS / f"{name}.yaml").read_text(encoding="utf-8"))
    facts = copy.deepcopy(facts)
    files: dict[str, bytes] = {}
    split = None
    if facts["kind"] == "split_json":
        tree, split = _split_tree(facts)
        content = json.dumps(split).encode()
        facts["split"].update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
        path = f"/{name}/{facts['split']['file']}"
        facts["split"]["sources"] = [{"kind": "http", "url": url + path}]
        files[path] = content
    elif facts["kind"] == "split_lists":
        tree = _list_tree(facts)
    else:
        tree = _folder_tree(facts)
        facts["class_table"] = "names.csv"
        with open(folder / "names.csv", "w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("wnid", "name"), *WNIDS.items()])
    facts["counts"] = _counts(facts, tree, split)
    for source in facts["sources"]:
        if source["kind"] == "manual":
            continue
        _serve(name, source, facts, tree, url, files)
    if split is not None:
        tree = tree | {facts["split"]["file"]: json.dumps(split).encode()}
    description = folder / f"{name}.yaml"
    description.write_text(yaml.safe_dump(facts, sort_keys=False), encoding="utf-8")
    return Miniature(description, facts, files, tree)


def _serve(
    name: str,
    source: dict[str, Any],
    facts: Mapping[str, Any],
    tree: Mapping[str, bytes],
    url: str,
    files: dict[str, bytes],
) -> None:
    """Put one source's archive among ``files`` and its sums into its description."""
    filename = Path(source.get("file") or source.get("url") or source["filename"]).name
    if filename == "caltech-101.zip" and "nested" in source:
        inner = "101_ObjectCategories.tar.gz"
        members = {f"caltech-101/{inner}": packed(inner, _members(inner, facts, tree))}
    else:
        members = _members(filename, facts, tree)
    content = packed(filename, members)
    source.update(
        bytes=len(content),
        md5=hashlib.md5(content).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    source.pop("unpacked", None)
    if source["kind"] == "hub":
        kind = "datasets/" if source.get("repo_type") == "dataset" else ""
        path = f"/{kind}{source['repo']}/resolve/{source['revision']}/{source['file']}"
    else:
        # Google's own host cannot be stood in for here; test_fetch.py asks gdown itself.
        path = f"/{name}/{len(files)}/{filename}"
        for key in ("id", "filename"):
            source.pop(key, None)
        source.update(kind="http", url=url + path)
    files[path] = content
