"""From a server's archives to a trained run's table with a real architecture, its weights random.

Nothing stands in for anything but the hosts and the weights: ResNet-50 at 224 pixels, its text
tower and CLIP's tokenizer, on a miniature of one of the paper's data sets.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from craft.files.atomic import sha256
from craft.files.datasets import Manifest
from craft.files.image_features import Features
from craft.files.records import Score
from tests.miniature.archives import miniature
from tests.miniature.site import serving
from tests.pipeline.conftest import Checkout

DATASET = "EuroSAT"
CHANGES = {
    "suite": "real",
    "results": "results/real",
    "seeds": [1],
    "backbones": ["RN50"],
    "datasets": [DATASET],
    "shift": None,
    "encode_together": True,  # a model of 400 MB is read once
    "options": {"budget": 8, "population": 4, "intrinsic_dim": 8, "hidden": 8},
    "artefacts": {"architectures": {"shots": [1]}},
}


@pytest.fixture(scope="module")
def results(checkout: Checkout) -> Iterator[Path]:
    """Results of the table's command in a checkout that has nothing but YAML files and weights."""
    # Not needed by the other tests of the folder, and slow to import.
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model("RN50-quickgelu", pretrained=None)
    weights = checkout.folder / "random.safetensors"
    save_file(model.state_dict(), weights)
    config = checkout.folder / "config"
    described = config / "backbones" / "RN50.yaml"
    facts = yaml.safe_load(described.read_text()) | {"weights": weights.name, "sha256": None}
    described.write_text(yaml.safe_dump(facts))
    suite = yaml.safe_load((config / "config.yaml").read_text())
    methods = {name: suite["methods"][name] for name in ("zero-shot", "craft")}
    suite = {key: suite[key] for key in ("data", "published")} | CHANGES | {"methods": methods}
    (config / "real.yaml").write_text(yaml.safe_dump(suite))
    with serving() as site, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", site.url)
        site.files.update(miniature(DATASET, config / "datasets", site.url).files)
        checkout.snakemake("results/real/architectures.csv", "--configfile", "config/real.yaml")
    yield checkout.folder / "results/real"
    weights.unlink()


def test_the_table_has_a_trained_run(results: Path) -> None:
    with (results / "architectures.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["column"] == DATASET]
    assert len(rows) == 2
    assert all(row["seeds"] == row["expected"] == "1" for row in rows)
    assert all(0 <= float(row["mean"]) <= 100 for row in rows)


def test_the_run_was_trained_on_what_was_fetched(results: Path) -> None:
    score = Score.read(results / f"runs/craft/RN50/{DATASET}/shots-1/seed-1/score.json")
    assert score.record["queries"]["search"] == 8
    assert score.record["train_images"] == 2
    manifest = Manifest.read(results / f"manifests/{DATASET}.csv")
    features = Features.read(results / f"features/RN50/{DATASET}/train.safetensors")
    assert features.paths == tuple(image.path for image in manifest.part("train"))
    assert features.features.shape == (6, 1024)
    assert features.weights_sha256 == sha256(results.parents[1] / "random.safetensors")
    assert not list(results.rglob("*.shards"))
