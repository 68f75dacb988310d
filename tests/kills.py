"""Ends a small suite again and again at random moments, then compares what it made in the end with
what an undisturbed run made.

``python -m tests.kills --kills 50`` does so in a temporary checkout and says what was killed; the
tests do it 3 times, or 20 (`make test-all`). ``--fits images`` kills Yu et al. and BlackVIP.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import psutil
import yaml
from PIL import Image

from tests.pipeline.conftest import SOON, Checkout
from tests.suites import tiny

#: What is ended, and how: Snakemake alone, which leaves its jobs running; a job; everything at
#: once, as a power cut does; everything by Ctrl-C, or by SIGTERM as Slurm's time limit does.
WAYS = ("snakemake", "job", "everything", "interrupt", "terminate")
_TOLD = {"interrupt": signal.SIGINT, "terminate": signal.SIGTERM}

#: Fits that are killed -> their backbone, and the suite's methods. Those of ``images`` have images
#: encoded; their options are shorter than the embedded suite's.
FITS: dict[str, tuple[str, dict[str, dict[str, int]]]] = {
    "scores": ("mini-rn", {"zero-shot": {}, "bbt": {}, "craft": {}}),
    "images": (
        "mini-vit",
        {
            "zero-shot": {},
            "bpt-vlm": {"budget": 100, "search_folds": 1},
            "blackvip": {"steps": 40, "batch_size": 10},
        },
    ),
}

#: Not compared: times, machines and temporary folders are not the same twice.
TABLES = ("architectures.csv", "architectures.md", "architectures.tex", "dataset_statistics.csv")
RUN_FILES = ("learner.safetensors", "history.csv", "predictions.safetensors")

#: A change after the first run -> what it does in the checkout's folder. Its images are a user's
#: own, described by a list.
CHANGES: dict[str, Callable[[Path], object]] = {
    "options": lambda folder: _edit(folder / "kills.yaml", "budget: 600", "budget: 400"),
    "images": lambda folder: shutil.copyfile(
        folder / "photos/test-0-0.png", folder / "photos/test-1-0.png"
    ),
    "list": lambda folder: _edit(folder / "photos/list.csv", "test-0-0.png,a", "test-0-0.png,b"),
    "manifest": lambda folder: (folder / "results/killed/manifests/mine.csv").unlink(),
}


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def own_images(checkout: Checkout) -> None:
    """Write images of two classes, two each to train on and three to test, and their list."""
    photos = checkout.folder / "photos"
    photos.mkdir()
    rows, rng = ["path,class_name,split"], np.random.default_rng(0)
    for part, count in (("train", 2), ("test", 3)):
        for label, name in enumerate("ab"):
            for n in range(count):
                file = f"{part}-{label}-{n}.png"
                pixels = rng.integers(0, 128, (32, 32, 3)) + 127 * label
                Image.fromarray(pixels.astype(np.uint8)).save(photos / file)
                rows.append(f"{file},{name},{part}")
    (photos / "list.csv").write_text("\n".join(rows) + "\n")
    facts = {"name": "mine", "kind": "image_list", "root": "photos", "list": "list.csv"}
    facts |= {"template": "a photo of a {}."}
    (checkout.folder / "config/datasets/mine.yaml").write_text(yaml.safe_dump(facts))


class Disturbed:
    """A checkout with a suite of some fits, and how long the suite takes there undisturbed."""

    def __init__(
        self,
        checkout: Checkout,
        dataset: str = "digits",
        seeds: tuple[int, ...] = (1, 2, 3),
        fits: str = "scores",
    ) -> None:
        self.checkout, self._seeds = checkout, seeds
        self._made: Path | None = None  # what the disturbed suite had made before a change
        if dataset == "mine":
            own_images(checkout)
        backbone, methods = FITS[fits]
        config = tiny(
            methods,
            {"architectures": {"shots": [1]}, "dataset_statistics": {}},
            seeds=list(seeds),
            backbones=[backbone],
            encoders=["mini-rn"] if "blackvip" in methods else [],
            datasets=[dataset],
            options={"budget": 600, "population": 20, "intrinsic_dim": 16, "curve_points": 4},
        )
        for name, options in methods.items():
            method = config["methods"][name]
            method["options"] = method.get("options", {}) | options
        (checkout.folder / "kills.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        start = time.monotonic()
        # Anew, as those that are ended.
        checkout.snakemake(
            *self._arguments("whole" if dataset == "digits" else "killed"), anew=True
        )
        self.seconds = time.monotonic() - start

    def _arguments(self, name: str) -> list[str]:
        places = (f"results=results/{name}", f"data=results/{name}/data")
        return ["all_tables", "--configfile", "kills.yaml", "--config", *places]

    def change(self, name: str) -> None:
        """Change something in the suite that is disturbed, make the other one from nothing."""
        folder = self.checkout.folder
        CHANGES[name](folder)
        self._made = folder / "made"
        for place in ("results/killed", ".snakemake"):
            shutil.copytree(folder / place, self._made / place)
        self.checkout.snakemake(*self._arguments("whole"))

    def kill(
        self, kills: int, seed: int, tell: Callable[[str], None] = lambda line: None
    ) -> collections.Counter[str]:
        """End it so many times, let it finish; what was ended how often. ``tell`` gets each.

        The last moment is not random: a fit is killed that has a state to go on from.
        """
        moments, ended = random.Random(seed), collections.Counter()
        started = []
        try:
            while ended.total() < kills - 1:
                process = self._start()
                started.append(process.pid)
                moment = moments.uniform(0, self.seconds / 2)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(moment)
                if process.poll() is None:
                    way = self._end(process, moments)
                    ended[way] += 1
                    tell(f"{ended.total()} of {kills}: {way} ended after {moment:.1f} s")
                elif process.returncode == 0:  # done: something to kill is needed
                    self._forget()
            _kill(started)  # what a Snakemake left running would write what is forgotten now
            self._forget()
            started.append(self._kill_a_fit())
            ended["fit"] += 1
            tell(f"{kills} of {kills}: everything ended beside the state of a fit")
            self.checkout.snakemake(*self._arguments("killed"))
        finally:
            _kill(started)
        return ended

    def _kill_a_fit(self) -> int:
        """Start, wait for the state of a fit, kill everything; the group that it was."""
        process = self._start()
        while not list(self.checkout.folder.glob("results/killed/cache/fit/**/state.safetensors")):
            assert process.poll() is None, "no fit was caught at work (kills.log)"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return process.pid

    def resumes(self) -> int:
        """How often the runs that stand at the end went on from a state."""
        records = self.checkout.folder.glob("results/killed/runs/**/record.json")
        return sum(json.loads(record.read_text())["notes"]["resumes"] for record in records)

    def _start(self) -> subprocess.Popen:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        # Fits of seconds would end before their state is saved for the first time.
        environment["CRAFT_SAVE_EVERY"] = "0"
        with (self.checkout.folder / "kills.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "snakemake", *self._arguments("killed"), *SOON],
                cwd=self.checkout.folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self, process: subprocess.Popen, moments: random.Random) -> str:
        way = moments.choice(WAYS)
        jobs = psutil.Process(process.pid).children(recursive=True)
        if way == "job" and jobs:
            with contextlib.suppress(psutil.NoSuchProcess):
                moments.choice(jobs).kill()
            # Snakemake tells of it and goes on with the other jobs for a while.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(moments.uniform(0, self.seconds / 4))
        elif way in _TOLD:
            os.killpg(process.pid, _TOLD[way])
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
        else:
            way = "snakemake" if way == "job" else way
        if way == "snakemake":
            process.kill()
        elif process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return way

    def _forget(self) -> None:
        if self._made:
            for place in ("results/killed", ".snakemake"):
                shutil.rmtree(self.checkout.folder / place)
                shutil.copytree(self._made / place, self.checkout.folder / place)
            return
        folder = self.checkout.folder / "results/killed"
        for name in ("runs", "features", "pixels", "cache/fit"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in TABLES:  # what is made from them would else stand for them
            (folder / name).unlink(missing_ok=True)

    def differences(self) -> list[str]:
        """Files that the disturbed suite made otherwise, or half, or not at all."""
        whole, killed = (self.checkout.folder / "results" / name for name in ("whole", "killed"))
        files = [whole / name for name in TABLES]
        files += [path for name in RUN_FILES for path in sorted(whole.glob(f"runs/**/{name}"))]
        assert len(files) == len(TABLES) + (1 + 2 * len(self._seeds)) * len(RUN_FILES)
        found = []
        for file in files:
            other = killed / file.relative_to(whole)
            if not other.exists() or other.read_bytes() != file.read_bytes():
                found.append(str(other.relative_to(killed)))
        return found


def _kill(groups: Iterable[int]) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def main() -> None:
    """Kill, compare, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--fits", choices=tuple(FITS), default="scores", help="that are killed")
    parser.add_argument("--change", choices=tuple(CHANGES), help="before a second run, killed too")
    parser.add_argument("--folder", type=Path, help="new folder to work in, which is kept")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if given.folder:
            given.folder.mkdir(parents=True)
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        disturbed = Disturbed(
            Checkout(folder), "mine" if given.change else "digits", fits=given.fits
        )
        if given.change:
            disturbed.change(given.change)
        print(f"undisturbed: {disturbed.seconds:.0f} s", flush=True)
        start = time.monotonic()
        ended = disturbed.kill(given.kills, given.seed, lambda line: print(line, flush=True))
        took = f"{time.monotonic() - start:.0f} s, seed {given.seed}"
        print(f"ended {ended.total()} times ({took}): {dict(sorted(ended.items()))}")
        print(f"runs went on from their own state {disturbed.resumes()} times")
        if differences := disturbed.differences():
            raise SystemExit(f"not the same bytes: {', '.join(differences)}")
        print("the same bytes in every table and run")


if __name__ == "__main__":
    main()
