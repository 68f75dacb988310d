"""Services that score an image against texts, as a box of access level ``texts``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from craft.client.cache import VectorCache
from craft.client.connection import ServiceError
from craft.client.hosted import Hosted
from craft.client.sent_images import SentImage
from craft.client.wire import digest
from craft.protocol import QueryMeter, check_image_set, check_templates

#: Smallest probability, so that its logarithm is finite.
FLOOR = 1e-12
#: Decimal digits that an answer must have.
DIGITS = 4
#: Initial scale of cosines: CLIP's.
CLIP_SCALE = 100.0


class Scorer(Protocol):
    """One service: it scores one image against class names."""

    answers: str  # "probabilities" or "cosines"
    identity: str  # service and model, part of the cache's keys

    def scores(self, image: SentImage, names: Sequence[str], template: str) -> list[float]:
        """Return a score for each of the K names in a template; raises ServiceError."""
        ...


class ZeroShotTask:
    """The task ``zero-shot-image-classification`` of the Hugging Face hub.

    The service fills ``candidate_labels`` into ``hypothesis_template`` and returns probabilities.
    """

    answers = "probabilities"

    def __init__(self, service: Hosted, path: str = "") -> None:
        self._service, self._path = service, path
        self.identity = f"{service.url}{path}"

    def scores(self, image: SentImage, names: Sequence[str], template: str) -> list[float]:
        """See :class:`Scorer`."""
        parameters = {"candidate_labels": list(names), "hypothesis_template": template}
        body = {"inputs": image.base64, "parameters": parameters}
        answer = self._service.ask(self._path, body)
        try:
            found = {entry["label"]: float(entry["score"]) for entry in answer}
            return [found[name] for name in names]
        except (TypeError, KeyError, ValueError) as error:
            raise ServiceError(
                f"{self.identity}: expected a label and a score for each class, got "
                f"{answer!s:.80} ({error!r})"
            ) from None


class Compare:
    """A ``compare`` endpoint: it returns the similarity of a subject and each prompt.

    The similarities are cosines of a CLIP-like model. One call has at most ``most`` prompts.
    """

    answers = "cosines"

    def __init__(self, service: Hosted, path: str = "/clip/compare", most: int = 8) -> None:
        self._service, self._path, self._most = service, path, most
        self.identity = f"{service.url}{path}"

    def scores(self, image: SentImage, names: Sequence[str], template: str) -> list[float]:
        """See :class:`Scorer`."""
        prompts = [template.replace("{}", name) for name in names]
        found: list[float] = []
        for start in range(0, len(prompts), self._most):
            part = prompts[start : start + self._most]
            body: dict[str, Any] = {
                "subject": {"type": "base64", "value": image.base64},
                "subject_type": "image",
                "prompt": part,
                "prompt_type": "text",
            }
            answer = self._service.ask(self._path, body)
            try:
                similarity = [float(value) for value in answer["similarity"]]
            except (TypeError, KeyError, ValueError):
                similarity = []
            if len(similarity) != len(part):
                raise ServiceError(
                    f"{self.identity}: expected {len(part)} numbers as similarity, got "
                    f"{answer!s:.80}"
                )
            found += similarity
        return found


class HostedTextBox:
    """craft.protocol.TextBox over a service that scores images one by one.

    ``image_sets`` maps names to files. Probabilities become log-probabilities, centred over the
    classes, because they determine logits only up to one constant per image. Cosines become logits
    by ``scale``. ``cache`` keeps paid answers; ``at_once`` calls run at a time. The box checks
    answers and retries calls itself, so it needs no guard.
    """

    templates_per_call: int | None = None

    def __init__(
        self,
        scorer: Scorer,
        class_names: Sequence[str],
        image_sets: Mapping[str, Sequence[Path]],
        *,
        meter: QueryMeter | None = None,
        cache: VectorCache | None = None,
        at_once: int = 4,
        scale: float = CLIP_SCALE,
    ) -> None:
        # As prompts spell them; answers use the same spelling.
        self._names = [name.replace("_", " ") for name in class_names]
        if len(set(self._names)) != len(self._names) or len(self._names) < 2:
            raise ValueError("class_names: expected at least 2, each once")
        self.class_names = tuple(class_names)
        self.image_sets = {name: len(files) for name, files in image_sets.items()}
        self.meter = QueryMeter() if meter is None else meter
        self.answers = "logits" if scorer.answers == "cosines" else "log-probabilities"
        self.scale = scale
        self._scorer, self._files = scorer, {name: list(f) for name, f in image_sets.items()}
        self._cache, self._at_once = cache or VectorCache(), at_once

    def score(
        self, image_set: str, templates: Sequence[str], purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield scores (1, N, K) for each template; see craft.protocol.TextBox.score.

        Raises ServiceError for invalid scores, or scores with fewer than 4 decimal digits.
        """
        check_image_set(self, image_set)
        check_templates(templates)
        images = len(templates) * self.image_sets[image_set]
        self.meter.charge(purpose, len(templates), images)
        return self._blocks(image_set, templates)

    def _blocks(self, image_set: str, templates: Sequence[str]) -> Iterator[torch.Tensor]:
        for template in templates:
            given = np.stack(self._given(self._files[image_set], template))  # (N, K)
            _require_digits(given, self._scorer.identity)
            yield self._scored(torch.from_numpy(given.copy()))[None]

    def _scored(self, given: torch.Tensor) -> torch.Tensor:
        if self.answers == "logits":
            return self.scale * given
        logarithms = given.double().clamp_min(FLOOR).log()
        return (logarithms - logarithms.mean(dim=1, keepdim=True)).float()

    def _given(self, files: Sequence[Path], template: str) -> list[np.ndarray]:
        """Return the service's own scores (K,) of each file."""
        with ThreadPoolExecutor(self._at_once) as pool:
            return list(pool.map(lambda file: self._of(file, template), files))

    def _of(self, file: Path, template: str) -> np.ndarray:
        image = SentImage.read(file)
        key = digest("scores", self._scorer.identity, template, *self._names, image.content)
        if (kept := self._cache.get([key])) and key in kept:
            return kept[key]
        found = np.array(self._scorer.scores(image, self._names, template), dtype=np.float64)
        low = 0.0 if self._scorer.answers == "probabilities" else -1.0
        if not (np.isfinite(found).all() and found.min() >= low - 1e-6 and found.max() < 1 + 1e-6):
            raise ServiceError(
                f"{self._scorer.identity}: {file}: expected {self._scorer.answers}, got "
                f"{found.min():g} to {found.max():g}"
            )
        scores = found.astype(np.float32)
        self._cache.put({key: scores})
        return scores


def _require_digits(given: np.ndarray, who: str) -> None:
    """Raise ServiceError for float32 scores (N, K) that all have fewer than 4 decimal digits.

    Rounding removes the order of unlikely classes, and most of the information of cosines.
    """
    off = np.abs(given - np.round(given, DIGITS - 1))
    if (off <= np.finfo(np.float32).eps).all():
        raise ServiceError(
            f"{who}: expected scores of {DIGITS} digits or more, got fewer; ask for unrounded ones"
        )
