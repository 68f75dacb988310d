"""A tuned model as a portable folder: ``model.json`` and the learner's tensors."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from craft.blackbox.text.tokenise import PromptTokens
from craft.files.atomic import RecordError, read_sealed, sha256, write_sealed
from craft.files.records import LEARNER_FILE
from craft.files.typed import build
from craft.learner.base import Learner
from craft.learner.lookup import load_learner

MODEL_FILE = "model.json"
#: Learners that a folder may name without the user's consent: importing a learner runs its code.
_OWN = "craft."


@dataclass(frozen=True)
class TunedModel:
    """Everything that applies a learner to new images, except the backbone's weights.

    The bits of a prediction also depend on ``text_dtype``, ``threads`` and the machine.
    """

    learner: str  # module:Class
    options: dict[str, Any]
    access: str  # what the learner asks of the backbone, one of craft.protocol.ACCESS
    method: str
    dataset: str
    shots: int
    seed: int
    train_images: int
    prompts: tuple[PromptTokens, ...]  # those of the learner; features of several are averaged
    backbone: dict[str, Any]  # its description, completed, with the digest of its weights
    reading: str  # how files become pixels, one of craft.data.rgb
    text_dtype: str
    threads: int
    queries: dict[str, int]  # by purpose
    images: dict[str, int]  # encodings by purpose
    accuracy: float  # per cent of the test part
    zero_shot_accuracy: float | None  # None where the suite has no such run
    test_images: int
    versions: dict[str, str]
    code_hash: str
    commit: str | None
    learner_sha256: str  # of the file of the learner's tensors
    format: int = 1

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K classes, in the order of probabilities."""
        return self.prompts[0].class_names

    def write(self, folder: Path) -> None:
        """Write ``model.json`` into a folder, sealed."""
        write_sealed(folder / MODEL_FILE, asdict(self))

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> TunedModel:
        """Read a folder; raises RecordError if it was edited, is incomplete or is newer."""
        folder = Path(folder)
        if not (folder / MODEL_FILE).is_file():
            raise RecordError(
                f"{folder}: expected the folder of a tuned model, got none with {MODEL_FILE}; "
                "craft tune and craft export make one"
            )
        content = read_sealed(folder / MODEL_FILE)
        if content.get("format") != 1:
            raise RecordError(
                f"{folder / MODEL_FILE}: expected format 1, got {content.get('format')}; a later "
                "version of craft reads it"
            )
        model = build(cls, content, folder / MODEL_FILE, "tuned model")
        path = folder / LEARNER_FILE
        found = sha256(path) if path.is_file() else "no file"
        if found != model.learner_sha256:
            raise RecordError(
                f"{path}: expected SHA-256 {model.learner_sha256} ({MODEL_FILE}), got {found}"
            )
        return model

    def restore(self, folder: Path, device: torch.device, *, trust_code: bool = False) -> Learner:
        """Return the fitted learner with its tensors on ``device``.

        Raises ValueError for a learner outside this project unless ``trust_code`` is true, and
        for invalid tensors.
        """
        if not (self.learner.startswith(_OWN) or trust_code):
            raise ValueError(
                f"learner: expected one of {_OWN}*, got {self.learner!r}; --trust-code imports it"
            )
        path = folder / LEARNER_FILE
        try:
            state = load_file(path, device=str(device))
        except SafetensorError as error:
            raise RecordError(f"{path}: not a readable safetensors file ({error})") from error
        return load_learner(self.learner)(**self.options).restore(state)
