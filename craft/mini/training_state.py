"""Checkpoints of a pretraining run: everything that it needs to resume exactly."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from craft.files.atomic import replacing


def save(
    path: Path,
    step: int,
    seconds: float,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    run: str,
) -> None:
    """Write the state after so many steps and seconds, whole or not at all; run names the run."""
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, entry in optimizer.state_dict()["state"].items():
        state.update({f"optimizer.{index}.{key}": tensor for key, tensor in entry.items()})
    state = {name: tensor.detach().contiguous() for name, tensor in state.items()}
    metadata = {"step": str(step), "seconds": str(seconds), "run": run}
    with replacing(path) as temporary:
        save_file(state, temporary, metadata=metadata)


def restore(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, run: str
) -> tuple[int, float]:
    """Put a checkpoint back and return its steps and seconds, (0, 0.0) without one.

    Raises ValueError for the checkpoint of another run.
    """
    if not path.exists():
        return 0, 0.0
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        if metadata["run"] != run:
            raise ValueError(f"{path} belongs to another run ({metadata['run']}): remove it")
        names = file.keys()  # a safetensors file is no dict: it cannot be iterated
        tensors = {name: file.get_tensor(name) for name in names}
    model.load_state_dict(
        {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    )
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return int(metadata["step"]), float(metadata["seconds"])
