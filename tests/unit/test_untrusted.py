"""Names and files of other people: class names are data and never shell, weights never code."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image as Picture

from craft.blackbox.backbones.description import read_backbone
from craft.blackbox.backbones.pretrained import load
from craft.data import manifest, splits
from craft.files.datasets import Manifest, Split
from craft.files.yaml12 import YamlError

#: Names that a shell, a format string, a path, a CSV or LaTeX would take for something else.
NAMES = (
    "$(touch pwned)",
    "`touch pwned`; touch pwned",
    "a b 'quoted' \"twice\"",
    "{} {0} {dataset} %s %(name)s",
    "naïve 数据 🙂",
    "line\nbreak, comma",
    "--out=pwned",
    "\\input{pwned} $x_1$ & #",
)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of odd class names, in a folder of an odd name; it is the current folder."""
    root = tmp_path / "it's $(touch pwned) {root} ü; &"
    (root / "images").mkdir(parents=True)
    monkeypatch.chdir(root)
    parts = {"train": 2, "val": 0, "test": 1}
    split: dict[str, list] = {part: [] for part in parts}
    for label, name in enumerate(NAMES):
        for part, count in parts.items():
            for number in range(count):
                file = f"{label} {part}'{number}.png"
                Picture.new("RGB", (8, 8)).save(root / "images" / file)
                split[part].append([file, label, name])
    (root / "split.json").write_text(json.dumps(split))
    facts = {
        "name": "odd",
        "kind": "split_json",
        "split": {"file": "split.json"},
        "template": "a photo of a {}.",
        "counts": {"classes": len(NAMES), **{p: n * len(NAMES) for p, n in parts.items()}},
        "licence": "none",
    }
    (root / "odd.yaml").write_text(yaml.safe_dump(facts, allow_unicode=True))
    return root


def test_class_names_are_data(tree: Path) -> None:
    out = tree / "odd manifest.csv"
    manifest.main(["--dataset", "odd.yaml", "--root", str(tree), "--out", str(out)])
    assert tuple(Manifest.read(out).class_names().values()) == NAMES
    with out.open(newline="") as stream:
        assert {row["class_name"] for row in csv.DictReader(stream)} == set(NAMES)
    pattern = f"{tree}/shots-{{shots}}/seed-{{seed}}.json"
    given = ["--manifest", str(out), "--dataset", "odd", "--shots", "1", "--seed", "1"]
    splits.main([*given, "--out-pattern", pattern])
    assert Split.read(tree / "shots-1/seed-1.json").class_names == NAMES
    assert not list(tree.parent.rglob("pwned"))


def test_an_image_that_the_split_names_and_the_disk_lacks_is_named(tree: Path) -> None:
    (tree / "images" / "3 test'0.png").unlink()
    with pytest.raises(manifest.ManifestError, match=r"1 images not in .*: 3 test'0\.png"):
        manifest.main(["--dataset", "odd.yaml", "--root", str(tree), "--out", "odd.csv"])
    assert not Path("odd.csv").exists()


@pytest.mark.parametrize("path", ["../../secret.png", "/etc/passwd"])
def test_a_split_reads_no_file_outside_its_folder(tree: Path, path: str) -> None:
    split = json.loads((tree / "split.json").read_text())
    split["train"][0][0] = path
    (tree / "split.json").write_text(json.dumps(split))
    with pytest.raises(manifest.ManifestError, match="outside the image folder"):
        manifest.main(["--dataset", "odd.yaml", "--root", str(tree), "--out", "odd.csv"])


class Bomb:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple:
        return (open, ("pwned", "w"))


@pytest.mark.parametrize("name", ["w.pt", "w.bin", "w.pth", "w.pkl", "w.safetensors"])
def test_pickled_weights_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    root = Path(__file__).resolve().parents[2]
    backbone = read_backbone(root / "config/backbones/mini-rn.yaml")
    backbone = {**backbone, "sha256": None}
    Path(name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError) as refused:
        load(backbone, name)
    assert name in str(refused.value)
    torch.save({"a": Bomb()}, name)
    with pytest.raises(ValueError):
        load(backbone, name)
    assert not Path("pwned").exists()


def test_a_description_with_a_tag_makes_no_object(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    path.write_text("kind: !!python/object/apply:os.mkdir [pwned]\n")
    with pytest.raises(YamlError, match=r"b\.yaml: line 1, column 7: .*os\.mkdir"):
        read_backbone(path)
    assert not Path("pwned").exists()
