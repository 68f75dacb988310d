"""Every job of the pipeline meets a full disk, a read-only folder, and inputs deleted or cut short.

The jobs are run once in a chain, on a data set of sixteen images; then each again, disturbed.
"""

from __future__ import annotations

import errno
import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from craft.blackbox.backbones import export_side
from craft.blackbox.images import __main__ as images
from craft.blackbox.text import tokenise
from craft.data import manifest, splits
from craft.design.request import request, request_of_all
from craft.design.runs import Design
from craft.evaluation import gather
from craft.evaluation import score as evaluate
from craft.files.suite import Job as SuiteJob
from craft.files.suite import JobRun, suite_content, write_suite
from craft.fit import __main__ as fit
from craft.mini import backbone as mini
from craft.mini import render as tasks
from craft.report.figures import __main__ as figure
from craft.report.tables import __main__ as table
from craft.runtime.command import run_command
from tests.unit.synthetic_scores import config, seeds_apart, write_scores

#: Where the kernel lets nobody make a file, root included.
READ_ONLY = "/sys/craft"
#: Bytes that a file may have where the disk is full; each job's have more.
ROOM = 100

BACKBONE = {
    "name": "tiny",
    "kind": "mini",
    "image": {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3},
    "open_clip": {
        "embed_dim": 8,
        "quick_gelu": True,
        "vision_cfg": {"layers": 1, "width": 8, "head_width": 4, "patch_size": 8, "image_size": 32},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 2}
        | {"layers": 1},
    },
}
DATASET = {
    "name": "toy",
    "kind": "split_json",
    "split": {"file": "split.json"},
    "template": "a photo of a {}.",
    "counts": {"classes": 2, "train": 8, "val": 0, "test": 8},
    "licence": "none",
}
OPTIONS = {"budget": 40, "population": 20, "intrinsic_dim": 4, "hidden": 8, "curve_points": 1}
FITTED = SuiteJob(
    *("craft", "tiny", "toy", "craft.learner.collaborative:Collaborative"),
    runs=(JobRun(1, 1, OPTIONS, ("toy",)),),
)
#: Folder of its run.
RUN = "runs/craft/tiny/toy/shots-1/seed-1"
DESIGN = config(
    Path("scores"),
    seeds=[1],
    backbones=["rn"],
    artefacts={
        "architectures": {"shots": [16]},
        "few_shot_curves": {"backbones": ["rn"], "shots": [1]},
    },
)
ENCODE = "--backbone b.yaml --weights b.safetensors --manifest m.csv --root tree --dataset d.yaml"
FIT = f"""--suite suite.json --job craft --digest {FITTED.digest} --tower text.safetensors
 --prompts prompts.json --train train.safetensors --splits splits --tests toy=test.safetensors"""


@dataclass(frozen=True)
class Job:
    """A command, its arguments ({out} is where it writes), and the files among its inputs."""

    main: Callable[[list[str]], None]
    arguments: str
    inputs: tuple[str, ...] = ()
    json: object = None  # a last argument, or one after {json}

    def run(self, out: str) -> None:
        words = self.arguments.replace("{out}", out).split()
        at = words.index("{json}") if "{json}" in words else len(words)
        words[at:] = [json.dumps(self.json), *words[at + 1 :]] if self.json else words[at:]
        run_command(lambda: self.main(words))


JOBS = {
    "render": Job(tasks.main, "--dataset textures --out {out}/textures"),
    "manifest": Job(
        manifest.main,
        "--dataset d.yaml --root tree --out {out}/m.csv",
        ("d.yaml", "tree/split.json"),
    ),
    "splits": Job(
        splits.main,
        "--manifest m.csv --dataset toy --shots 1 --seed 1 --out-pattern"
        " {out}/splits/shots-{shots}/seed-{seed}.json",
        ("m.csv",),
    ),
    "weights": Job(
        export_side.main,
        "--backbone b.yaml --weights b.safetensors --side text --out {out}/text.safetensors",
        ("b.safetensors",),
    ),
    "prompts": Job(
        tokenise.main,
        "--backbone b.yaml --manifest m.csv --dataset d.yaml --out {out}/prompts.json",
        ("b.yaml", "d.yaml"),
    ),
    "features of train": Job(images.main, f"{ENCODE} --part train --out {{out}}/train.safetensors"),
    "features": Job(
        images.main,
        f"{ENCODE} --part test --out {{out}}/test.safetensors",
        ("b.safetensors", "m.csv", "tree/images/12.png"),
    ),
    "fit": Job(
        fit.main,
        f"{FIT} --out {{out}}/runs --fitted {{out}}/fitted.json",
        (
            *(f"{name}.safetensors" for name in ("text", "train", "test")),
            *("prompts.json", "splits/shots-1/seed-1.json", "suite.json"),
        ),
    ),
    "score": Job(
        evaluate.main,
        f"--suite suite.json --job craft --digest {FITTED.digest} --runs runs"
        " --manifests toy=m.csv",
        ("m.csv", f"{RUN}/record.json", f"{RUN}/predictions.safetensors"),
    ),
    "gather": Job(
        gather.main,
        "--request request.json --results scores --out {out}/runs.csv",
        ("request.json",),
    ),
    "gather_table": Job(
        gather.main,
        "--request architectures.json --results scores --out {out}/architectures.runs.csv",
        ("architectures.json",),
    ),
    "gather_figure": Job(
        gather.main,
        "--request few_shot_curves.json --results scores --out {out}/few_shot_curves.runs.csv",
        ("few_shot_curves.json",),
    ),
    "table": Job(
        table.main,
        "--artefact architectures --runs architectures.runs.csv --out {out}/architectures",
        ("architectures.runs.csv",),
    ),
    "figure": Job(
        figure.main,
        "--artefact few_shot_curves --runs few_shot_curves.runs.csv --out {out}/few_shot_curves",
        ("few_shot_curves.runs.csv",),
    ),
}
INPUTS = [(name, path) for name, job in JOBS.items() for path in job.inputs]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every job was run once, undisturbed."""
    folder = tmp_path_factory.mktemp("chain")
    (folder / "tree/images").mkdir(parents=True)
    split: dict[str, list] = {"train": [], "val": [], "test": []}
    noise = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    for n, pixels in enumerate(noise):
        Picture.fromarray(pixels).save(folder / f"tree/images/{n}.png")
        split["train" if n < 8 else "test"].append([f"{n}.png", n % 2, ("cat", "dog")[n % 2]])
    (folder / "tree/split.json").write_text(json.dumps(split))
    write_suite(folder / "suite.json", suite_content({}, {"craft": FITTED}))
    (folder / "d.yaml").write_text(json.dumps(DATASET))
    (folder / "b.yaml").write_text(json.dumps(BACKBONE))
    words = mini.tokenizer(BACKBONE)(["a photo of a cat.", "a photo of a dog."])
    vocabulary = np.unique(words.numpy())
    mini.save(folder / "b.safetensors", mini.build(BACKBONE, len(vocabulary)), vocabulary, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        design = Design(DESIGN)
        write_scores(design, seeds_apart)
        for name in design.artefacts():
            Path(f"{name}.json").write_text(json.dumps(request(design, name)))
        Path("request.json").write_text(json.dumps(request_of_all(design)))
        for job in JOBS.values():
            job.run(".")
    return folder


@pytest.fixture
def place(chain: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That folder as the current one; ``out`` in it is a new one."""
    monkeypatch.chdir(chain)
    before = visible(chain)
    yield chain
    for path in visible(chain) - before:
        path.unlink()


def visible(folder: Path) -> set[Path]:
    """Files that a job or a reader would take for results."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {p for p in paths if not any(part[0] == "." for part in p.relative_to(folder).parts)}


def said(job: str, out: str = "out") -> str:
    """The error that a job ends with; it leaves no new file."""
    before = visible(Path())
    with pytest.raises(SystemExit) as ended:
        JOBS[job].run(out)
    assert visible(Path()) == before
    assert not list(Path().rglob(".*.tmp"))
    message = str(ended.value.code)
    assert message.startswith("error: ")
    return message


@contextmanager
def full_disk() -> Iterator[None]:
    # A limit to the size of files stands in for a disk without room: both fail while writing.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("job", JOBS)
def test_a_full_disk_is_one_line_that_names_the_file(place: Path, job: str) -> None:
    (place / RUN / "score.json").unlink(missing_ok=True)
    with full_disk():
        message = said(job)
    assert f"[Errno {errno.EFBIG}] cannot be written: File too large" in message
    assert f"{RUN}/" in message or "'out/" in message
    assert "\n" not in message


@pytest.mark.parametrize("job", [name for name in JOBS if name not in ("score", "figure")])
def test_a_read_only_folder_is_one_line_that_names_the_file(place: Path, job: str) -> None:
    message = said(job, READ_ONLY)
    assert "cannot be written: " in message and f"'{READ_ONLY}/" in message
    assert "\n" not in message


@pytest.mark.parametrize("damage", ["deleted", "cut short"])
@pytest.mark.parametrize(("job", "path"), INPUTS)
def test_an_input_that_is_gone_or_cut_short_is_named(
    place: Path, job: str, path: str, damage: str
) -> None:
    file = place / path
    whole = file.read_bytes()
    file.unlink()
    try:
        if damage == "cut short":
            file.write_bytes(whole[: len(whole) // 2 if file.suffix != ".csv" else -3])
        message = said(job)
    finally:
        file.write_bytes(whole)
    assert Path(path).name in message
    # Images that cannot be read are listed, one to a line.
    assert message.count("\n") == (file.suffix == ".png")
