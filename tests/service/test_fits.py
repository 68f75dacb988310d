"""Fits through a service: the commands of the pipeline, the bytes of fits in one process."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from craft.blackbox.backbones import export_side
from craft.blackbox.images import __main__ as encoding
from craft.blackbox.text import tokenise
from craft.client import describe, upload
from craft.client import tokenise as remote_tokenise
from craft.client.connection import ServiceError
from craft.files.datasets import Image, Manifest, Split
from craft.files.records import RUN_FILES, RunRecord
from craft.files.suite import Job, JobRun, suite_content, write_suite
from craft.fit import __main__ as fit
from craft.service.charges import usage
from tests.service.forks import Fork
from tests.service.server import BACKBONE, Running, pictures, serving, settings

OPTIONS = {"mode": "paper", "budget": 60, "population": 20, "intrinsic_dim": 8, "hidden": 8}
OPTIONS |= {"curve_points": 2}
#: Learner -> its options. Together they ask for all that a service gives to fits: copies, raw
#: norms, selected rows of a search's folds, another template, and features.
LEARNERS: dict[str, dict[str, Any]] = {
    "craft.learner.zero_shot:ZeroShot": {},
    "craft.learner.prompt_only:PromptOnly": OPTIONS | {"search_folds": 2},
    "craft.learner.collaborative:Collaborative": OPTIONS
    | {"views": 1, "feature_norm": "raw", "gate": True},
    "craft.learner.lfa:LFA": {},
}
CLASSES, IMAGES = ("circle", "square", "star"), 4  # of a class and part
RUN = Path("m/mini-rn/toy/shots-4/seed-1")
VARIABLE = "CRAFT_TEST_KEY"


@dataclass
class Site:
    """A service, a data set, and what fits read of it: made here, and with the service."""

    server: Running
    folder: Path
    local: Path
    served: Path

    def arguments(self, learner: str, served: bool, out: Path) -> list[str]:
        """Return the arguments of one run's fit."""
        of = self.served if served else self.local
        trained = learner != "craft.learner.zero_shot:ZeroShot"
        run = JobRun(IMAGES if trained else 0, 1 if trained else 0, LEARNERS[learner], ("toy",))
        job = Job("m", "mini-rn", "toy", learner, (run,))
        suite = self.folder / f"{job.digest}.json"
        write_suite(suite, suite_content({}, {"job": job}))
        given = ["--suite", suite, "--job", "job", "--digest", job.digest, "--out", out]
        given += ["--tower", of / "tower.safetensors", "--prompts", of / "prompts.json"]
        given += ["--tests", f"toy={of}/test-none.safetensors", "--fitted", out / "fitted.json"]
        if trained:
            given += ["--splits", self.folder / "splits"]
            given += ["--train", of / "train-none.safetensors", of / "train-view-1.safetensors"]
        if served:
            given += ["--service", self.server.url, "--key-variable", VARIABLE]
        return [str(each) for each in given]


def make_inputs(folder: Path, out: Path, served: bool) -> None:
    """Make what fits read, by the commands of the rules."""
    toy = [str(folder / name) for name in ("toy.csv", "toy.yaml")]
    backbone = ["--backbone", str(folder / "served.yaml" if served else BACKBONE)]
    weights = [] if served else ["--weights", str(BACKBONE.with_suffix(".safetensors"))]
    side = [] if served else [*weights, "--side", "text"]
    exporting, tokenising = (describe, remote_tokenise) if served else (export_side, tokenise)
    exporting.main([*backbone, *side, "--out", str(out / "tower.safetensors")])
    about = ["--manifest", toy[0], "--dataset", toy[1], "--out", str(out / "prompts.json")]
    tokenising.main([*backbone, *about])
    parts = [("train", "none"), ("train", "view-1"), ("test", "none")]
    several = {
        "manifest": [toy[0]] * 3,
        "root": [str(folder)] * 3,
        "dataset": [toy[1]] * 3,
        "part": [part for part, _ in parts],
        "copy": [copy for _, copy in parts],
        "out": [str(out / f"{part}-{copy}.safetensors") for part, copy in parts],
    }
    given = [word for name, values in several.items() for word in (f"--{name}", *values)]
    (upload if served else encoding).main([*backbone, *weights, *given])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, threads = tmp_path_factory.mktemp("inputs"), torch.get_num_threads()
    count = 2 * len(CLASSES) * IMAGES
    pictures(folder / "images", count)
    rows = tuple(
        Image(f"{n}.png", n // 2 % 3, CLASSES[n // 2 % 3], ("train", "test")[n % 2])
        for n in range(count)
    )
    Manifest(rows).write(folder / "toy.csv")
    facts = {"name": "toy", "kind": "split_json", "template": "one {} thing.", "images": "images"}
    (folder / "toy.yaml").write_text(yaml.safe_dump(facts))
    drawn = [
        row for label in range(3) for row in rows if row.split == "train" and row.label == label
    ]
    paths, labels = tuple(row.path for row in drawn), tuple(row.label for row in drawn)
    split = Split("toy", IMAGES, 1, paths, labels, CLASSES)
    split.write(folder / f"splits/shots-{IMAGES}/seed-1.json")
    with serving(settings(folder / "service")) as server, pytest.MonkeyPatch.context() as patch:
        about = {"name": "mini-rn", "label": "served", "kind": "http", "url": server.url}
        about |= {"key": VARIABLE, "access": ["predictions", "features"]}
        (folder / "served.yaml").write_text(yaml.safe_dump(about))
        patch.setenv(VARIABLE, server.key("fits"))
        patch.setenv("no_proxy", "127.0.0.1")
        made = Site(server, folder, folder / "local", folder / "remote")
        make_inputs(folder, made.local, served=False)
        make_inputs(folder, made.served, served=True)
        yield made
    torch.set_num_threads(threads)


def test_a_service_tokenises_as_this_process_does(site: Site) -> None:
    assert (site.served / "prompts.json").read_bytes() == (site.local / "prompts.json").read_bytes()
    assert (site.served / "test-none.safetensors").stat().st_size < 4096  # no feature of an image


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_fit_through_a_service_has_the_bytes_of_one_in_this_process(
    site: Site, learner: str, tmp_path: Path
) -> None:
    records, folder = {}, RUN if "zero" not in learner else RUN.parent.parent / "shots-0/seed-0"
    for served in (False, True):
        fit.main(site.arguments(learner, served, tmp_path / str(served)))
        records[served] = RunRecord.read(tmp_path / str(served) / folder / "record.json")
    for name in RUN_FILES:
        found, expected = (tmp_path / str(served) / folder / name for served in (True, False))
        assert found.read_bytes() == expected.read_bytes()
    assert records[True].queries == records[False].queries
    assert records[True].initial_accuracy == records[False].initial_accuracy
    assert records[True].train_accuracy == records[False].train_accuracy


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_a_fit_that_is_killed_and_resumed_is_charged_once(
    site: Site, kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, moments = "craft.learner.collaborative:Collaborative", random.Random(kills)
    spent: dict[str, Any] = {}
    for way in ("undisturbed", "killed"):
        name, out = f"{way}-{kills}", tmp_path / way
        key = site.server.key(name)
        monkeypatch.setenv(VARIABLE, key)
        make_inputs(site.folder, tmp_path / f"inputs-{way}", served=True)
        given = Site(site.server, site.folder, site.local, tmp_path / f"inputs-{way}")
        arguments = given.arguments(learner, True, out)
        if way == "undisturbed":
            fit.main(arguments)
        else:
            arguments += ["--cache", str(tmp_path / "cache"), "--save-every", "0"]
            log = tmp_path / "log"
            for _ in range(kills):
                fork = Fork("craft.fit", arguments, log, {VARIABLE: key, "no_proxy": "127.0.0.1"})
                time.sleep(moments.uniform(0.2, 1.0))
                if fork.status is None:
                    fork.kill()
            fork = Fork("craft.fit", arguments, log, {VARIABLE: key, "no_proxy": "127.0.0.1"})
            assert fork.wait() == 0, log.read_text()
        spent[way] = usage(site.server.database, name)
    assert spent["killed"] == spent["undisturbed"]
    for name in RUN_FILES:
        found, expected = (tmp_path / way / RUN / name for way in ("killed", "undisturbed"))
        assert found.read_bytes() == expected.read_bytes()


def test_a_model_that_is_another_one_ends_a_fit(site: Site, tmp_path: Path) -> None:
    model = site.server.service.model
    before, model.revision = model.revision, "another"
    try:
        with pytest.raises(ServiceError, match="another"):
            fit.main(site.arguments("craft.learner.prompt_only:PromptOnly", True, tmp_path))
    finally:
        model.revision = before
    assert not (tmp_path / RUN / "record.json").exists()


def test_a_key_without_the_access_that_a_file_says_is_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, site.server.key("less", access=("predictions",)))
    given = ["--backbone", str(site.folder / "served.yaml"), "--out", str(tmp_path / "tower")]
    with pytest.raises(ServiceError, match="features"):
        describe.main(given)
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ServiceError, match=VARIABLE):
        describe.main(given)
