"""What a run says it cost: its own peak of memory, the machine, the model that it needs."""

from __future__ import annotations

import math
import platform
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import torch
import yaml
from open_clip.model import CLIP
from safetensors import safe_open

from craft.runtime.memory import (
    peak_device_memory_mb,
    peak_memory_mb,
    reset_peak_memory,
    seconds_since_start,
)
from craft.runtime.provenance import machine

BACKBONES = sorted((Path(__file__).resolve().parents[2] / "config/backbones").glob("*.yaml"))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is Linux's")
def test_a_run_does_not_inherit_the_peak_of_the_one_before() -> None:
    def run(megabytes: int) -> float:
        reset_peak_memory()
        held = bytearray(megabytes << 20)
        held[::4096] = b"1" * len(held[::4096])  # touched, so that it is resident
        return peak_memory_mb()

    large, small = run(200), run(1)
    assert large > 200
    assert small < large - 150


def test_memory_of_a_device_counts_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert peak_device_memory_mb(torch.device("cpu")) == 0
    held = {"cuda:1": 7 << 20}
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: held[str(device)])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: held.clear())
    assert peak_device_memory_mb(torch.device("cuda:1")) == 7
    reset_peak_memory(torch.device("cpu"))
    assert held
    reset_peak_memory(torch.device("cuda:1"))
    assert not held


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the age is Linux's")
def test_the_age_of_a_process_counts_what_it_did_before_it_asked() -> None:
    code = (
        "import time; time.sleep(0.6)\n"
        "from craft.runtime.memory import seconds_since_start\n"
        "first = seconds_since_start(); time.sleep(0.2); print(first, seconds_since_start())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, later = map(float, done.stdout.split())
    assert 0.58 < first <= later - 0.18  # the system's ticks are of 10 ms
    assert later < seconds_since_start()  # this process is older


def test_the_machine_is_named() -> None:
    named = machine("cpu", 3)
    assert (named["device"], named["threads"]) == ("cpu", "3")
    assert named["system"] == f"{platform.system()} {platform.machine()}"
    assert named["processor"] and "\n" not in named["processor"]


@pytest.mark.parametrize("path", BACKBONES, ids=lambda path: path.stem)
def test_a_backbone_has_the_parameters_that_its_file_says(path: Path) -> None:
    facts = yaml.safe_load(path.read_text(encoding="utf-8"))
    if facts["kind"] == "mae":
        pytest.skip("its file holds a decoder too, which nothing here builds")
    if facts["kind"] == "mini":
        with safe_open(path.parents[2] / facts["weights"], framework="np") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        # What the weights hold besides parameters: statistics of batch norms, and token ids.
        others = ("running_mean", "running_var", "num_batches_tracked", "vocabulary")
        counted = sum(math.prod(s) for name, s in shapes.items() if not name.endswith(others))
    else:
        with torch.device("meta"):
            model = CLIP(**open_clip.get_model_config(facts["model"]))
        counted = sum(parameter.numel() for parameter in model.parameters())
    assert counted == facts["parameters"]
