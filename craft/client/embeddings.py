"""Services that return embeddings of images and texts, as a box of access level ``features``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from craft.client.cache import VectorCache
from craft.client.connection import ServiceError
from craft.client.hosted import Hosted, TooLarge
from craft.client.sent_images import SentImage
from craft.client.texts import CLIP_SCALE
from craft.client.wire import digest
from craft.protocol import QueryMeter, check_image_set, check_offsets, check_templates


class Embeddings:
    """An ``/embeddings`` endpoint in OpenAI's format that accepts images as data URIs.

    A call sends up to ``batch`` inputs, or fewer if the service accepts fewer. ``of_images`` holds
    further keys of the body for images. ``cache`` keeps the vectors.
    """

    def __init__(
        self,
        service: Hosted,
        model: str,
        *,
        path: str = "/embeddings",
        batch: int = 32,
        of_images: Mapping[str, Any] | None = None,
        cache: VectorCache | None = None,
    ) -> None:
        self._service, self._model, self._path = service, model, path
        self._batch = batch
        self._of_images = {"modality": "image"} if of_images is None else dict(of_images)
        self._cache = cache or VectorCache()
        self.identity = f"{service.url}{path} {model}"

    def images(self, files: Sequence[Path]) -> tuple[np.ndarray, int]:
        """Return unit vectors (N, E) of files, and the number that the service computed."""

        def content(number: int) -> tuple[bytes, Callable[[], str]]:
            image = SentImage.read(files[number])
            return image.content, lambda: image.data_uri

        return self._vectors("image", len(files), content, self._of_images)

    def texts(self, texts: Sequence[str]) -> tuple[np.ndarray, int]:
        """Return unit vectors (N, E) of texts, and the number that the service computed."""

        def content(number: int) -> tuple[bytes, Callable[[], str]]:
            return texts[number].encode(), lambda: texts[number]

        return self._vectors("text", len(texts), content, {})

    def _vectors(
        self,
        kind: str,
        count: int,
        content: Callable[[int], tuple[bytes, Callable[[], str]]],
        said: Mapping[str, Any],
    ) -> tuple[np.ndarray, int]:
        """Return the vectors of ``count`` inputs; ``content`` returns bytes and input of one."""
        found: list[np.ndarray] = []
        asked = start = 0
        while start < count:
            size = min(self._batch, count - start)
            inputs = [content(start + n) for n in range(size)]
            keys = [digest(kind, self.identity, str(said), data) for data, _ in inputs]
            kept = self._cache.get(keys)
            lacking = {key: make for key, (_, make) in zip(keys, inputs, strict=True)}
            lacking = {key: make for key, make in lacking.items() if key not in kept}
            try:
                if lacking:
                    body = [make() for make in lacking.values()]
                    new = dict(zip(lacking, self._asked(body, said), strict=True))
                    self._cache.put(new)
                    kept |= new
                    asked += len(new)
            except TooLarge:
                if size == 1:
                    raise
                self._batch = size // 2
                continue
            found += [kept[key] for key in keys]
            start += size
        widths = {len(vector) for vector in found}
        if len(widths) > 1:
            raise ServiceError(f"{self.identity}: expected vectors of one width, got {widths}")
        return np.stack(found), asked

    def _asked(self, inputs: Sequence[str], said: Mapping[str, Any]) -> list[np.ndarray]:
        """Return unit vectors (E,) in the order of inputs."""
        body = {"model": self._model, "input": list(inputs), "encoding_format": "float"}
        answer = self._service.ask(self._path, body | dict(said))
        try:
            entries = sorted(answer["data"], key=lambda entry: int(entry["index"]))
            vectors = [np.array(entry["embedding"], dtype=np.float64) for entry in entries]
        except (TypeError, KeyError, ValueError) as error:
            raise ServiceError(
                f"{self.identity}: expected a list of embeddings, got {answer!s:.80} ({error!r})"
            ) from None
        if len(vectors) != len(inputs) or any(vector.ndim != 1 for vector in vectors):
            raise ServiceError(
                f"{self.identity}: expected {len(inputs)} vectors, got {len(vectors)}"
            )
        norms = [float(np.linalg.norm(vector)) for vector in vectors]
        if not all(0 < norm < np.inf for norm in norms):
            raise ServiceError(f"{self.identity}: expected finite vectors other than 0, got others")
        pairs = zip(vectors, norms, strict=True)
        return [(vector / norm).astype(np.float32) for vector, norm in pairs]


class EmbeddingBox:
    """craft.protocol.FeatureBox and TextBox over embeddings: logits are ``logit_scale`` x cosines.

    ``image_sets`` maps names to files. The context is ``template`` and has no entry (L = D = 0),
    because the service accepts only words. The constructor embeds the class prompts.
    """

    answers = "logits"
    templates_per_call: int | None = None
    context_length, context_width, embedding_std = 0, 0, 1.0

    def __init__(
        self,
        embeddings: Embeddings,
        class_names: Sequence[str],
        image_sets: Mapping[str, Sequence[Path]],
        template: str = "a photo of a {}.",
        *,
        meter: QueryMeter | None = None,
        logit_scale: float = CLIP_SCALE,
    ) -> None:
        check_templates([template])
        self.class_names, self.logit_scale = tuple(class_names), logit_scale
        self.image_sets = {name: len(files) for name, files in image_sets.items()}
        self.meter = QueryMeter() if meter is None else meter
        self._embeddings, self._files = embeddings, {n: list(f) for n, f in image_sets.items()}
        self._prompts = self._classes(template)
        self.feature_width = self._prompts.shape[1]

    def image_features(self, image_set: str, purpose: str = "refine") -> torch.Tensor:
        """Return unit features (N, E) of an image set; one query.

        Images that were not embedded before are counted as uploaded.
        """
        check_image_set(self, image_set)
        self.meter.charge(purpose, 1)
        return self._images(image_set)

    def text_features(
        self, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield unit features (P, K, E) of the classes for contexts (P, 0, 0)."""
        check_offsets(self, context_offsets)
        self.meter.charge(purpose, len(context_offsets))
        return iter([self._prompts.expand(len(context_offsets), -1, -1)])

    def score(
        self, image_set: str, templates: Sequence[str], purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield logits (1, N, K) for each template; see craft.protocol.TextBox.score."""
        check_image_set(self, image_set)
        check_templates(templates)
        self.meter.charge(purpose, len(templates))
        return self._blocks(image_set, templates)

    def _blocks(self, image_set: str, templates: Sequence[str]) -> Iterator[torch.Tensor]:
        images = self._images(image_set)
        for template in templates:
            yield self.logit_scale * (images @ self._classes(template).T)[None]

    def _images(self, image_set: str) -> torch.Tensor:
        vectors, asked = self._embeddings.images(self._files[image_set])
        self.meter.charge_upload(asked)
        return torch.from_numpy(vectors)

    def _classes(self, template: str) -> torch.Tensor:
        names = (name.replace("_", " ") for name in self.class_names)
        vectors, _ = self._embeddings.texts([template.replace("{}", name) for name in names])
        return torch.from_numpy(vectors)
