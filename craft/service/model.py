"""The model of a service: its tokenizer, text tower and image tower, loaded once."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from craft.blackbox.backbones.description import architecture, read_backbone
from craft.blackbox.backbones.export_side import text_side
from craft.blackbox.backbones.pretrained import load
from craft.blackbox.images.encode import Encoder, Pictures, batch_size, encode
from craft.blackbox.images.partial import Batch
from craft.blackbox.images.preprocess import Preprocess
from craft.blackbox.text.tokenise import LEARNER_TEMPLATE, PromptTokens, indistinct
from craft.blackbox.text.tower import Tower, tower_of
from craft.client.wire import digest
from craft.files import shipped
from craft.files.datasets import Image
from craft.runtime.provenance import config_hash, versions

#: Number of tasks whose towers stay in memory; all towers share their weights.
_TOWERS = 16


@dataclass(frozen=True)
class Task:
    """A task: class names in the order of scores, and the template around them."""

    class_names: tuple[str, ...]
    template: str
    context_words: int | None = None  # leading tokens that a learner may shift; None: all

    @property
    def digest(self) -> str:
        """Return a hash of the task."""
        return digest(json.dumps(asdict(self)))


class Model:
    """A frozen backbone behind its service.

    ``revision`` is a hash of everything that the bits of an answer depend on. It includes
    ``threads``, ``device`` and ``dtype``, which change the order or the precision of sums.
    """

    def __init__(
        self, description: Path, device: str = "cpu", dtype: str = "float32", threads: int = 1
    ) -> None:
        config = read_backbone(description)
        weights = config.get("weights")
        path = shipped.find(weights) if weights else None
        self.backbone = load(config, path, device)
        self.name, self.image = config["name"], dict(self.backbone.config["image"])
        self.device, self.threads = torch.device(device), threads
        self._dtype, self._words = dtype, config.get("words")
        self._text = text_side(self.backbone)
        self._towers: OrderedDict[str, Tower] = OrderedDict()
        self._lock = threading.Lock()
        self.preprocess = Preprocess.of(self.image)
        self._encoder = Encoder(self.backbone.model, self.preprocess, device)
        self.feature_width = architecture(self.backbone.config)["embed_dim"]
        self.embedding_std, self.logit_scale = self._text.embedding_std, self._text.logit_scale
        decisive = {
            "weights": self.backbone.weights_sha256,
            "config": {key: config.get(key) for key in ("precision", "text", "image", "open_clip")},
            "image": self.image,
            "dtype": dtype,
            "threads": threads,
            "processor": torch.cuda.get_device_name(self.device)
            if self.device.type == "cuda"
            else torch.backends.cpu.get_cpu_capability(),
            "versions": versions(),
        }
        self.revision = config_hash(decisive)
        self.context_width = self.tower(Task(("cat",), LEARNER_TEMPLATE)).context_width

    def tokens(self, task: Task) -> PromptTokens:
        """Return the prompts of a task; raises PromptError."""
        return PromptTokens.tokenise(self.backbone.tokenizer, task.class_names, task.template)

    def indistinct(self, tokens: PromptTokens) -> tuple[tuple[str, ...], ...]:
        """Return the groups of classes that this text tower cannot tell apart."""
        return indistinct(tokens, self.backbone.tokenizer, self._words)

    def tower(self, task: Task) -> Tower:
        """Return the text tower over a task's classes; raises PromptError."""
        with self._lock:
            if task.digest not in self._towers:
                tokens = self.tokens(task)
                tower = tower_of(self._text, tokens, self._dtype, device=self.device)
                if task.context_words:
                    tower = tower.leading(task.context_words)
                self._towers[task.digest] = tower
                if len(self._towers) > _TOWERS:
                    self._towers.popitem(last=False)
            self._towers.move_to_end(task.digest)
            return self._towers[task.digest]

    def encode(self, folder: Path, names: Sequence[str], reading: str) -> Batch:
        """Return unit features (N, E) and norms (N,) of image files below a folder, in order.

        Raises ImageError naming every file that cannot be read.
        """
        images = [(n, Image(name, 0, "", "test")) for n, name in enumerate(names)]
        pictures = Pictures(images, folder, self.preprocess, reading=reading)
        size = batch_size(self.preprocess.size, self.device)
        workers = self.threads if self.device.type == "cpu" else 1
        return encode(self._encoder, pictures, batch_size=size, workers=workers, what="an upload")

    @property
    def described(self) -> Mapping[str, Any]:
        """Return the facts that every key may see."""
        return {
            "name": self.name,
            "revision": self.revision,
            "weights_sha256": self.backbone.weights_sha256,
            "image": self.image,
            "embedding_std": float(self.embedding_std),
            "context_width": self.context_width,
        }
