"""The paper's data sets as their files describe them."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from craft.config.load import ConfigError, load
from craft.data.fetch.file import filename
from craft.data.fetch.sources import address
from tests.miniature.archives import DESCRIPTIONS, NAMES, ROOT, WNIDS

FACTS = {name: yaml.safe_load((DESCRIPTIONS / f"{name}.yaml").read_text()) for name in NAMES}
REMOTE = [
    (name, source)
    for name, facts in FACTS.items()
    for source in [*facts["sources"], *facts.get("split", {}).get("sources", ())]
    if source["kind"] != "manual"
]


def test_every_data_set_but_imagenet_can_be_fetched() -> None:
    assert {name for name, _ in REMOTE} == set(NAMES) - {"ImageNet"}
    for name, facts in FACTS.items():
        if facts["kind"] == "split_json":
            assert len(facts["split"]["sources"]) >= 2, name
            assert facts["split"]["sha256"]


def test_the_smallest_class_fits_the_counts() -> None:
    few_shot = [facts["counts"] for facts in FACTS.values() if facts["counts"]["train"]]
    assert len(few_shot) == 11
    for counts in few_shot:
        assert 16 <= counts["smallest"] <= counts["train"] // counts["classes"]


@pytest.mark.parametrize("name", [name for name in NAMES if "split" in FACTS[name]])
def test_the_smallest_class_is_that_of_the_published_split(name: str) -> None:
    path = Path(os.environ.get("CRAFT_SPLITS", ""), FACTS[name]["split"]["file"])
    if not path.is_file():
        pytest.skip(f"set CRAFT_SPLITS to a folder with CoOp's {path.name}")
    train = Counter(item[1] for item in json.loads(path.read_text(encoding="utf-8"))["train"])
    assert min(train.values()) == FACTS[name]["counts"]["smallest"]


def test_a_source_without_a_fixed_revision_has_a_sum() -> None:
    for name, source in REMOTE:
        if source["kind"] == "hub" and len(source["revision"]) != 40:
            assert source["sha256"], name


def test_no_two_sources_of_a_data_set_share_a_name_and_differ() -> None:
    for facts in FACTS.values():
        sums: dict[str, str] = {}
        for source in facts["sources"]:
            if source["kind"] != "manual":
                known = source["sha256"] or source.get("md5")
                assert sums.setdefault(filename(source), known) == known, address(source)


def test_the_table_of_class_names_is_whole() -> None:
    with open(ROOT / "config/imagenet_classes.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    wnids, names = [row["wnid"] for row in rows], [row["name"] for row in rows]
    assert len(wnids) == 1000
    assert wnids == sorted(set(wnids))
    assert len(set(names)) == 998
    assert [n for n, name in enumerate(names) if name == "missile"] == [657, 744]
    assert [n for n, name in enumerate(names) if name == "sunglasses"] == [836, 837]
    assert WNIDS.items() <= dict(zip(wnids, names, strict=True)).items()


def test_shifted_sets_of_200_classes_name_them() -> None:
    indices = {name: FACTS[name]["class_indices"] for name in ("ImageNet-A", "ImageNet-R")}
    for given in indices.values():
        assert len(given) == 200
        assert given == sorted(set(given))
        assert given[-1] < 1000
    assert len(set.intersection(*map(set, indices.values()))) == 86


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda facts: facts["sources"][0].update(sha265="0" * 64), "did you mean 'sha256'"),
        (lambda facts: facts["sources"][0].update(kind="ftp"), "one of http, hub, gdrive"),
        (
            lambda facts: facts["sources"][0].pop("url"),
            "sources[0].url: expected a value",
        ),
        (
            lambda facts: facts["sources"][0].pop("unpack"),
            "unpack: expected a value",
        ),
        (
            lambda facts: facts["sources"][0].update(sha256="abc"),
            "sources[0].sha256: exp",
        ),
        (lambda facts: facts["split"]["sources"][0].update(unpack={}), "unpack"),
        (
            lambda facts: facts.update(class_table="x.csv"),
            "split_json', got class_table",
        ),
    ],
)
def test_a_description_that_is_wrong_is_refused_before_the_first_job(
    tmp_path: Path, change: Any, said: str
) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    facts = yaml.safe_load((DESCRIPTIONS / "EuroSAT.yaml").read_text())
    change(facts)
    (tmp_path / "config/datasets/EuroSAT.yaml").write_text(yaml.safe_dump(facts))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config/config.yaml", tmp_path)
    assert any("EuroSAT.yaml" in p.source and said in str(p) for p in caught.value.problems)
