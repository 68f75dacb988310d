"""Stand-ins on the loopback for services that exist, over one real small model.

They speak three documented shapes: zero-shot image classification, ``compare``, ``/embeddings``.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import torch
from PIL import Image

from craft.blackbox.backbones.description import read_backbone
from craft.blackbox.backbones.export_side import text_side
from craft.blackbox.backbones.pretrained import load
from craft.blackbox.images.preprocess import Preprocess
from craft.blackbox.text.tokenise import PromptTokens
from craft.blackbox.text.tower import Tower, tower_of
from craft.files.shipped import find

#: Of cosines, before the softmax of probabilities.
SCALE = 20.0


class Model:
    """mini-rn as a service has it: images in bytes, texts as they are."""

    def __init__(self) -> None:
        config = read_backbone(find("config/backbones/mini-rn.yaml"))
        self.backbone = load(config, find(config["weights"]))
        self.preprocess, self._side = Preprocess.of(config["image"]), text_side(self.backbone)

    @torch.no_grad()
    def image(self, content: bytes) -> np.ndarray:
        """(E,)"""
        picture = self.preprocess.centre(Image.open(io.BytesIO(content)).convert("RGB"))
        pixels = self.preprocess.normalise(np.array(picture)[None])
        return torch.nn.functional.normalize(self.backbone.model.encode_image(pixels))[0].numpy()

    @torch.no_grad()
    def text(self, text: str) -> np.ndarray:
        """(E,)"""
        tokens = torch.zeros(1, 32, dtype=torch.int64)
        ids = self.backbone.tokenizer.encode(text)
        whole = [self.backbone.tokenizer.sot_token_id, *ids, self.backbone.tokenizer.eot_token_id]
        tokens[0, : len(whole)] = torch.tensor(whole)
        features = self.backbone.model.encode_text(tokens)
        return torch.nn.functional.normalize(features)[0].numpy()

    def tower(self, class_names: Sequence[str], template: str) -> Tower:
        """As craft.blackbox has it."""
        tokens = PromptTokens.tokenise(self.backbone.tokenizer, class_names, template)
        return tower_of(self._side, tokens)


class Service(ThreadingHTTPServer):
    """Answers by the model; ``faults`` befall the next calls, ``digits`` rounds scores."""

    def __init__(self, model: Model) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model
        self.faults: list[Callable[[_Handler], None]] = []
        self.digits: int | None = None
        self.most, self.headers = 1000, {}  # inputs in one call, headers of every answer
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def rounded(self, values: np.ndarray) -> list[float]:
        return [float(v) if self.digits is None else round(float(v), self.digits) for v in values]


@contextmanager
def serving(model: Model) -> Iterator[Service]:
    """A service that listens within the block."""
    with Service(model) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        yield service
        service.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        service = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        service.keys.append(self.headers.get("Authorization"))
        if service.faults:
            service.faults.pop(0)(self)
            return
        service.asked.append(body)
        answers = {"/zero-shot": zero_shot, "/clip/compare": compare, "/v1/embeddings": embeddings}
        self.answer(*answers[self.path](service, body))

    def answer(self, status: int, content: Any, **headers: str) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in (self.server.headers | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def zero_shot(service: Service, body: dict[str, Any]) -> tuple[int, Any]:
    """Labels and probabilities, the most probable first."""
    labels, template = (body["parameters"][k] for k in ("candidate_labels", "hypothesis_template"))
    image = service.model.image(base64.b64decode(body["inputs"]))
    texts = np.stack([service.model.text(template.format(label)) for label in labels])
    logits = SCALE * (texts @ image).astype(np.float64)
    exponentials = np.exp(logits - logits.max())
    scores = service.rounded(exponentials / exponentials.sum())
    found = [{"label": label, "score": s} for label, s in zip(labels, scores, strict=True)]
    return 200, sorted(found, key=lambda entry: -entry["score"])


def compare(service: Service, body: dict[str, Any]) -> tuple[int, Any]:
    """Cosines of a subject and prompts."""
    assert (body["subject_type"], body["prompt_type"]) == ("image", "text")
    if len(body["prompt"]) > service.most:
        return 400, {"message": "too many prompts"}
    image = service.model.image(base64.b64decode(body["subject"]["value"]))
    texts = np.stack([service.model.text(text) for text in body["prompt"]])
    return 200, {"similarity": service.rounded(texts @ image), "time": 0.01}


def embeddings(service: Service, body: dict[str, Any]) -> tuple[int, Any]:
    """Vectors that are not of unit length, in an order of the service's own."""
    if len(body["input"]) > service.most:
        return 413, {"error": {"message": "too many inputs"}}
    vectors = []
    for index, entry in enumerate(body["input"]):
        if body.get("modality") == "image":
            head, _, data = entry.partition(";base64,")
            assert head in ("data:image/png", "data:image/jpeg", "data:image/webp")
            vector = service.model.image(base64.b64decode(data))
        else:
            vector = service.model.text(entry)
        vectors.append({"index": index, "embedding": (3.0 * vector).tolist()})
    digest = hashlib.sha256(json.dumps(body).encode()).hexdigest()
    return 200, {"data": vectors[::-1], "model": body["model"], "id": digest}
