"""Text is UTF-8 whatever the locale says: class names, paths and messages under ISO-8859-1."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from craft.files.datasets import Manifest
from tests.pipeline.conftest import ROOT, Checkout

NAME = "caf\u00e9"


@pytest.fixture(scope="module")
def latin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose locale is ISO-8859-1, made here."""
    if not shutil.which("localedef"):
        pytest.skip("localedef is not installed: no locale of ISO-8859-1 can be made")
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(folder / "en_US.ISO-8859-1")]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"localedef makes no locale of ISO-8859-1: {made.stderr.strip()}")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "PYTHONUTF8"))}
    environment |= {"LOCPATH": str(folder), "LC_ALL": "en_US.ISO-8859-1"}
    encoding = subprocess.run(
        [sys.executable, "-c", "import sys; print(sys.getfilesystemencoding())"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert encoding.stdout.strip() == "iso8859-1"
    return environment


def photographs(root: Path) -> None:
    for part in ("train", "test"):
        for name, colour in ((NAME, "red"), ("bar", "blue")):
            (root / part / name).mkdir(parents=True)
            Image.new("RGB", (8, 8), colour).save(root / part / name / f"{part}.png")


def test_a_command_stores_names_as_they_are(latin: dict[str, str], tmp_path: Path) -> None:
    photographs(tmp_path / NAME)
    facts = {"name": "mine", "kind": "image_folder", "root": NAME, "template": f"a {NAME} {{}}."}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(facts, allow_unicode=True), "utf-8")
    command = [sys.executable, "-m", "craft.data.manifest", "--dataset", f"{tmp_path}/mine.yaml"]
    command += ["--root", f"{tmp_path}/{NAME}", "--out", f"{tmp_path}/{NAME}.csv"]
    done = subprocess.run(command, cwd=ROOT, env=latin, capture_output=True)
    assert done.returncode == 0, done.stderr
    manifest = Manifest.read(tmp_path / f"{NAME}.csv")
    assert list(manifest.class_names().values()) == ["bar", NAME]


def test_a_suite_is_checked_and_planned_as_in_utf8(
    latin: dict[str, str], checkout: Checkout
) -> None:
    photographs(checkout.folder / NAME)
    (checkout.folder / NAME / "names.csv").write_text(
        f"class,name\n{NAME},coffee\nbar,bar\n", "utf-8"
    )
    facts = {"name": "mine", "kind": "image_folder", "root": NAME, "template": "a {}."}
    facts["classes"] = "names.csv"
    (checkout.folder / "config/datasets/mine.yaml").write_text(
        yaml.safe_dump(facts, allow_unicode=True), "utf-8"
    )
    suite = {
        "suite": "own",
        "results": "results/own",
        "seeds": [1],
        "backbones": ["mini-rn"],
        "datasets": ["mine"],
        "methods": {"zero-shot": {"learner": "craft.learner.zero_shot:ZeroShot"}},
        "artefacts": {"dataset_statistics": {}},
    }
    (checkout.folder / "own.yaml").write_text(yaml.safe_dump(suite), "utf-8")
    for command in (
        ["craft.config", "own.yaml"],
        ["snakemake", "results/own/manifests/mine.csv", "--cores", "1", "--configfile", "own.yaml"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=checkout.folder, env=latin, capture_output=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    manifest = Manifest.read(checkout.folder / "results/own/manifests/mine.csv")
    assert manifest.class_names() == {0: "coffee", 1: "bar"}
    assert {image.path for image in manifest.images} >= {f"train/{NAME}/train.png"}
