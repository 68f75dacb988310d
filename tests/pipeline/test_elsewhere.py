"""The workflow deployed: from its own file, from another folder, as a module."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.pipeline.conftest import ROOT, Checkout

#: A fit of a second, from rendered images to predictions.
RUN = "runs/craft/mini-rn/digits/shots-1/seed-7"


def suite(**changes: object) -> dict[str, object]:
    """A suite of one method on one data set."""
    config = yaml.safe_load((ROOT / "config/mini.yaml").read_text())
    return config | {
        "suite": "elsewhere",
        "results": "made",
        "data": "made/data",
        "runs_per_job": "one",
        "seeds": [7],
        "backbones": ["mini-rn"],
        "datasets": ["digits"],
        "shift": None,
        "dataset_options": {},
        "options": {"budget": 40, "population": 20, "intrinsic_dim": 8, "hidden": 8},
        "methods": {"craft": config["methods"]["craft"] | {"artefacts": ["architectures"]}},
        "artefacts": {"architectures": {"shots": [1]}},
        **changes,
    }


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with a suite of its own, and nothing else."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(yaml.safe_dump(suite(), sort_keys=False))
    return tmp_path


def deployed(checkout: Checkout, folder: Path, *arguments: str, succeeds: bool = True) -> str:
    """Output of Snakemake in a folder that is no checkout and has no profile."""
    snakefile = ("--snakefile", str(checkout.folder / "workflow/Snakefile"), "--cores", "1")
    return checkout.snakemake(*snakefile, *arguments, folder=folder, succeeds=succeeds)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param((), id="paper", marks=pytest.mark.exhaustive),
        pytest.param(("--configfile", "config/mini.yaml"), id="mini"),
    ],
)
def test_both_snakefiles_plan_the_same_jobs(checkout: Checkout, given: tuple[str, ...]) -> None:
    plans = [
        checkout.plan("all", *given, *snakefile)
        for snakefile in ((), ("--snakefile", "workflow/Snakefile"))
    ]
    assert plans[0] == plans[1] and sum(plans[0].values()) > 100


def test_a_suite_runs_in_another_folder(checkout: Checkout, elsewhere: Path) -> None:
    target = f"made/{RUN}/fitted.json"
    deployed(checkout, checkout.folder, target, "--directory", str(elsewhere))
    assert (elsewhere / "made" / RUN / "predictions.safetensors").exists()
    assert not (checkout.folder / "made").exists()


def test_a_description_of_the_folder_is_validated_and_run(
    checkout: Checkout, elsewhere: Path
) -> None:
    (elsewhere / "config/datasets").mkdir()
    path = elsewhere / "config/datasets/digits.yaml"
    text = (ROOT / "config/datasets/digits.yaml").read_text()
    path.write_text(text.replace("classes: 10", "classes: ten"))
    assert "config/datasets/digits.yaml: counts.classes" in deployed(
        checkout, elsewhere, "-n", succeeds=False
    )
    path.write_text(text.replace("classes: 10", "classes: 11"))
    output = deployed(checkout, elsewhere, "made/manifests/digits.csv", succeeds=False)
    assert "1 of 2 jobs failed:\n- write_manifest (dataset=digits)" in output


def test_weights_of_the_folder_are_used(checkout: Checkout, elsewhere: Path) -> None:
    (elsewhere / "config/backbones").mkdir()
    (elsewhere / "weights").mkdir()
    text = (ROOT / "config/backbones/mini-rn.yaml").read_text()
    text = text.replace("mini-rn", "own").replace("config/backbones/own", "weights/own")
    (elsewhere / "config/backbones/own.yaml").write_text(text)
    shutil.copy(
        ROOT / "config/backbones/mini-rn.safetensors", elsewhere / "weights/own.safetensors"
    )
    config = suite(backbones=["own", "mini-rn"])  # one of the folder, one of the project
    (elsewhere / "config/config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    targets = [f"made/backbones/{name}/text.safetensors" for name in ("own", "mini-rn")]
    deployed(checkout, elsewhere, *targets)
    assert all((elsewhere / target).stat().st_size for target in targets)


MODULE = """
configfile: "suite.yaml"

module craft:
    snakefile: "{snakefile}"
    config: config["craft"]

use rule * from craft as craft_*

rule mine:
    input: "made/{run}/fitted.json"
    output: "mine.txt"
    shell: "cp {{input}} {{output}}"
"""


def test_a_module_statement_makes_its_rules_part_of_another_workflow(
    checkout: Checkout, tmp_path: Path
) -> None:
    text = MODULE.format(snakefile=checkout.folder / "workflow/Snakefile", run=RUN)
    (tmp_path / "Snakefile").write_text(text)
    whole = {"craft": suite(), "theirs": "1e-3"}
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))
    output = checkout.snakemake("mine", "--cores", "1", folder=tmp_path)
    assert (tmp_path / "mine.txt").exists() and "craft_fit_learner" in output


def test_a_module_statement_without_a_configuration_is_refused(
    checkout: Checkout, tmp_path: Path
) -> None:
    text = MODULE.format(snakefile=checkout.folder / "workflow/Snakefile", run=RUN)
    (tmp_path / "Snakefile").write_text(text.replace('    config: config["craft"]\n', ""))
    (tmp_path / "suite.yaml").write_text("theirs: 1\n")
    output = checkout.snakemake("mine", "-n", folder=tmp_path, succeeds=False)
    assert "module: expected `config:`" in output


def test_snakedeploy_deploys_a_clone(checkout: Checkout, tmp_path: Path) -> None:
    deploy = pytest.importorskip("snakedeploy.deploy", reason="snakedeploy is not installed").deploy
    deploy(str(checkout.folder), name="craft", tag=None, branch=None, dest_path=tmp_path)
    snakefile = tmp_path / "workflow/Snakefile"
    # Of a clone on this disk snakedeploy writes a path within the clone, as if that were deployed.
    text, written = snakefile.read_text(), '"workflow/Snakefile"'
    assert text.count(written) == 1
    snakefile.write_text(text.replace(written, f'"{checkout.folder / "workflow/Snakefile"}"'))
    changes = yaml.safe_dump(suite(), sort_keys=False)
    (tmp_path / "config/config.yaml").write_text(changes)
    checkout.snakemake(f"made/{RUN}/fitted.json", "--cores", "1", folder=tmp_path)
    assert (tmp_path / "made" / RUN / "record.json").exists()
