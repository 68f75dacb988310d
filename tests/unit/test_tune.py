"""craft tune: what it takes where nothing is said, what it resumes from, what it refuses."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from craft.apply import steps as module
from craft.apply import tune as tuning
from craft.apply.single_run import SHARES, Plan, default_method
from craft.apply.tune import tune
from craft.config.problems import ConfigError
from craft.console.__main__ import cli
from craft.console.apply import _name
from craft.files import yaml12
from craft.files.datasets import Manifest, Split
from craft.runtime.progress import Progress, observed
from tests.unit.tuned import SHAPES, SHOTS, Tuned, draw_images


def test_who_names_no_method_gets_few_queries_and_the_gate() -> None:
    by_shots = {shots: default_method(shots)["options"] for shots in (1, 2, 3, 4, 8, 16)}
    queries = {shots: options["queries"] for shots, options in by_shots.items()}
    assert queries == {1: 1, 2: 1, 3: 1, 4: 8, 8: 8, 16: 8}
    assert all(options["gate"] is True for options in by_shots.values())


def test_the_command_says_which_method_it_takes_and_what_came_of_it(
    by_default: Tuned, tmp_path: Path
) -> None:
    arguments = ["tune", str(by_default.task.images), "--backbone", "mini-rn", "--shots", "4"]
    work = shutil.copytree(by_default.work, tmp_path / "work")  # nothing is made again
    arguments += ["--out", str(tmp_path / "model"), "--work", str(work)]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    said = " ".join(done.stderr.split())
    assert "method: Probe (queries 8, gate true), the default" in said
    assert f"accuracy {by_default.model.accuracy:.2f} %" in said
    assert all(name in said for name in SHAPES)
    for name in ("model.json", "learner.safetensors", "README.md"):
        assert (tmp_path / "model" / name).read_bytes() == (by_default.out / name).read_bytes()


def test_class_folders_alone_are_divided_and_parts_are_not(
    by_default: Tuned, tmp_path: Path
) -> None:
    manifest = Manifest.read(by_default.results / "manifests/photos.csv")
    assert len(manifest.part("test")) == round(14 * SHARES["test"]) * len(SHAPES)
    split = Split.read(by_default.results / f"splits/photos/shots-{SHOTS}/seed-1.json")
    assert not {image.path for image in manifest.part("test")} & set(split.paths)
    for part, count in (("train", 2), ("Test", 1)):
        draw_images(tmp_path / "photos" / part, count)
    replace(by_default.task, images=tmp_path / "photos").write(tmp_path / "work")
    assert "shares" not in yaml12.read(tmp_path / "work/config/datasets/photos.yaml")


def test_a_call_that_was_ended_resumes_and_leaves_nothing_behind(
    by_default: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(*_: object) -> None:
        raise KeyboardInterrupt

    def not_again(*_: object) -> None:
        raise AssertionError("made again")

    out = tmp_path / "model"
    with monkeypatch.context() as patched:
        patched.setattr(module.fit, "main", ends)
        with pytest.raises(KeyboardInterrupt):
            tune(by_default.task, out)
    assert not out.exists() and [path.name for path in tmp_path.iterdir()] == [".model.tune"]
    with monkeypatch.context() as patched:
        for step in (module.images, module.manifest, module.export_side, module.tokenise):
            patched.setattr(step, "main", not_again)
        tune(by_default.task, out)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    learner = (out / "learner.safetensors").read_bytes()
    assert learner == (by_default.out / "learner.safetensors").read_bytes()


def test_other_images_settings_or_code_start_anew(
    by_default: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = Path(shutil.copytree(by_default.task.images, tmp_path / "photos"))
    task = replace(by_default.task, images=images)
    others = [{"shots": 2}, {"options": {"queries": 2}}, {"template": "a drawing of a {}."}]
    keys = [tuning._key(replace(task, **changes)) for changes in ({}, *others)]
    (images / "star/00.png").write_bytes((images / "star/01.png").read_bytes())
    keys.append(tuning._key(task))
    monkeypatch.setattr(tuning, "code_hash", lambda *_: "another")
    keys.append(tuning._key(task))
    assert len(set(keys)) == len(keys)


def test_a_kept_folder_of_other_settings_is_refused(by_default: Tuned, tmp_path: Path) -> None:
    task = replace(by_default.task, options={"queries": 2})
    with pytest.raises(FileExistsError, match="the same images and settings"):
        tune(task, tmp_path / "model", work=by_default.work)


# --- what is refused ---


def test_an_unknown_method_is_named_with_those_that_there_are(
    by_default: Tuned, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"method: expected one of probe, .*craft.*, got 'crafd'"):
        tune(replace(by_default.task, method="crafd"), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_folder_of_something_else_is_refused_before_any_work(by_default: Tuned) -> None:
    photos = by_default.task.images
    with pytest.raises(FileExistsError, match="expected a new folder"):
        tune(by_default.task, photos)
    assert sorted(path.name for path in photos.iterdir()) == sorted(SHAPES)
    assert not photos.with_name(".photos.tune").exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"shots": 12}, "fewer training images than 12 shots"),
        ({"options": {"queries": 0}}, "queries"),
        ({"backbone": "mini-nr"}, "mini-nr"),
        ({"template": "no name"}, "template"),
    ],
)
def test_bad_settings_are_refused_before_any_image_is_read(
    by_default: Tuned, tmp_path: Path, monkeypatch, changes: dict, problem: str
) -> None:
    monkeypatch.setattr(module.manifest, "main", lambda _: pytest.fail("began"))
    with pytest.raises((ConfigError, OSError, ValueError), match=problem):
        tune(replace(by_default.task, **changes), tmp_path / "model")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_name_of_a_folder_becomes_one_of_a_data_set() -> None:
    named = {"photos": "photos", "My photos (2024)": "My-photos--2024-", ".hidden": "hidden"}
    assert {folder: _name(Path(folder)) for folder in named} == named
    assert _name(Path("été")) == "t-" and _name(Path("写真")) == "images"


# --- the command line ---


def test_help_starts_without_what_takes_long_to_import() -> None:
    script = (
        "import sys\nfrom craft.console.__main__ import cli\n"
        "try:\n    cli(['--help'])\nexcept SystemExit:\n    pass\n"
        "slow = {'torch', 'numpy', 'pandas', 'matplotlib', 'open_clip', 'huggingface_hub'}\n"
        "sys.exit(', '.join(slow & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in ("tune", "export", "predict"))


def test_progress_is_seen_by_who_looks_on() -> None:
    seen = []
    with (
        observed(lambda state: seen.append((state.done, state.running))),
        Progress("work", 2, "units") as progress,
    ):
        progress.reach(1)
        progress.reach(2)
    with Progress("more", 1, "units"):
        pass
    assert seen == [(0, True), (1, True), (2, True), (2, False)]


def test_a_suite_of_a_task_is_one_that_snakemake_reads(
    by_default: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(by_default.work)
    plan = Plan.read()
    assert [run.method for run in plan.runs] == ["zero-shot", "probe"]
