"""The data rules on miniatures of the paper's data sets, fetched from a server on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from craft.files.datasets import Manifest, Split
from tests.miniature.archives import NAMES, Miniature, miniature
from tests.miniature.site import Site, cut, page, serving
from tests.pipeline.conftest import Checkout
from tests.read_only import read_only

SHIFTED = ("ImageNetV2", "ImageNet-Sketch", "ImageNet-A", "ImageNet-R")
DATASETS = tuple(name for name in NAMES if name not in ("ImageNet", *SHIFTED))
CHANGES = {
    "datasets": [*DATASETS, "ImageNet"],
    "shift": {"source": "ImageNet", "targets": list(SHIFTED)},
    "backbones": ["RN50"],
    "artefacts": {"robustness": {"shots": [2]}, "architectures": {"shots": [2]}},
}
SUITE = ("--configfile", "config/miniature.yaml")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def data(
    checkout: Checkout, site: Site, monkeypatch_module: pytest.MonkeyPatch
) -> dict[str, Miniature]:
    """Miniatures, described in the checkout in place of the originals; ImageNet is the user's."""
    monkeypatch_module.setenv("HF_ENDPOINT", site.url)
    suite = yaml.safe_load((checkout.folder / "config" / "config.yaml").read_text())
    methods = {name: suite["methods"][name] for name in ("zero-shot", "craft")}
    suite |= CHANGES | {"methods": methods}
    (checkout.folder / SUITE[1]).write_text(yaml.safe_dump(suite))
    folder = checkout.folder / "config" / "datasets"
    minis = {}
    for name in (*DATASETS, *SHIFTED, "ImageNet"):
        minis[name] = miniature(name, folder, site.url)
        site.files.update(minis[name].files)
    for path, content in minis["ImageNet"].tree.items():
        file = checkout.folder / "data" / "imagenet" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return minis


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def manifests(*names: str) -> list[str]:
    return [f"results/manifests/{name}.csv" for name in names]


def run(checkout: Checkout, *targets: str, succeeds: bool = True) -> str:
    return checkout.snakemake(*targets, *SUITE, "--cores", "2", succeeds=succeeds)


NAMES = (*DATASETS, *SHIFTED, "ImageNet")
SPLITS = [f"results/splits/{name}/shots-2/seed-1.json" for name in (*DATASETS, "ImageNet")]


@pytest.fixture(scope="module")
def fetched(checkout: Checkout, data: dict[str, Miniature], site: Site) -> dict[str, Miniature]:
    """All data sets, in place; one archive came in two parts."""
    site.faults[next(path for path in data["SUN397"].files if path.endswith(".gz"))] = [cut(100)]
    run(checkout, *manifests(*NAMES), *SPLITS)
    return data


def test_a_source_that_cannot_be_had_stops_the_run_and_says_why(
    checkout: Checkout, data: dict[str, Miniature], site: Site
) -> None:
    paths = [path for path in data["EuroSAT"].files if path.endswith(".zip")]
    for path in paths:
        site.faults[path] = [page("<html><title>Quota exceeded</title></html>")]
    output = run(checkout, *manifests("EuroSAT"), succeeds=False)
    assert "Error in rule fetch" in output
    assert output.count("web page titled 'Quota exceeded'") >= len(paths) - 1
    assert "config/mini.yaml" in output
    assert not (checkout.folder / "data" / "eurosat").exists()


def test_data_sets_are_fetched_listed_and_drawn_from(
    checkout: Checkout, fetched: dict[str, Miniature]
) -> None:
    assert len(NAMES) == 15
    for name in NAMES:
        counts = fetched[name].facts["counts"]
        manifest = Manifest.read(checkout.folder / f"results/manifests/{name}.csv")
        assert {part: len(manifest.part(part)) for part in ("train", "val", "test")} | {
            "classes": len(manifest.class_names())
        } == counts
    for path in SPLITS:
        split = Split.read(checkout.folder / path)
        assert len(split.paths) == 2 * len(split.class_names)
    # Only SUN397's listed images are on disk, its archive is not.
    tree = checkout.folder / "data" / "sun397"
    listed = sum(fetched["SUN397"].facts["counts"].values()) - 2
    assert sum(path.is_file() for path in tree.rglob("*.jpg")) == listed
    assert not list(checkout.folder.rglob("*.tar.gz"))


def test_complete_trees_on_a_read_only_disk_are_taken_as_they_are(
    checkout: Checkout, fetched: dict[str, Miniature], tmp_path: Path
) -> None:
    shutil.copytree(checkout.folder / "data/eurosat", tmp_path / "eurosat")
    suite = yaml.safe_load((checkout.folder / SUITE[1]).read_text()) | {
        "data": str(tmp_path),
        "results": "results/read-only",
        "datasets": ["EuroSAT"],
        "shift": None,
        "artefacts": {"dataset_statistics": {}},
    }
    path = checkout.folder / "config/read-only.yaml"
    target = "results/read-only/manifests/EuroSAT.csv"
    with read_only(tmp_path):
        path.write_text(yaml.safe_dump(suite))
        checkout.snakemake(target, "--configfile", str(path), "--cores", "1")
        assert checkout.plan(target, "--configfile", str(path)) == {}
        (checkout.folder / "results/read-only/fetched/EuroSAT.json").unlink()
        assert checkout.plan(target, "--configfile", str(path))["fetch_dataset"] == 1
        path.write_text(yaml.safe_dump(suite | {"datasets": ["EuroSAT", "DTD"]}))
        output = checkout.snakemake(target, "--configfile", str(path), "-n", succeeds=False)
        assert "data: expected " in output and "DTD" in output
    assert [entry.name for entry in tmp_path.iterdir()] == ["eurosat"]
    whole = (checkout.folder / "results/manifests/EuroSAT.csv").read_bytes()
    assert (checkout.folder / target).read_bytes() == whole


def test_another_mirror_or_label_re_makes_nothing_and_another_template_does(
    checkout: Checkout, fetched: dict[str, Miniature]
) -> None:
    facts = fetched["EuroSAT"].facts
    target = "results/prompts/RN50/EuroSAT.json"

    def plan() -> dict[str, int]:
        return checkout.plan(*manifests("EuroSAT"), target, *SUITE)

    before = plan()
    assert "write_manifest" not in before
    facts["sources"] = facts["sources"][1:]
    facts["label"] = "Eurosat"
    fetched["EuroSAT"].description.write_text(yaml.safe_dump(facts))
    assert plan() == before
    facts["template"] = "a photo of {}."
    fetched["EuroSAT"].description.write_text(yaml.safe_dump(facts))
    assert plan()["write_manifest"] == 1


def test_a_tree_without_images_that_its_split_lists_stops_the_run(
    checkout: Checkout, fetched: dict[str, Miniature]
) -> None:
    tree = checkout.folder / "data" / "caltech-101"
    image = next(path for path in tree.rglob("*0003.jpg"))
    image.unlink()
    (checkout.folder / "results/manifests/Caltech101.csv").unlink()
    output = run(checkout, *manifests("Caltech101"), succeeds=False)
    assert "Error in rule write_manifest" in output
    assert f"1 images not in {image.parents[1].relative_to(checkout.folder)}" in output
