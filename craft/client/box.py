"""Boxes whose model is behind a service, one for each access level."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx2
import torch

from craft.client.connection import Connection, ModelChanged, ServiceError, Wait, finite
from craft.client.wire import (
    COST,
    IDEMPOTENCY,
    REVISION,
    TENSORS,
    WireError,
    digest,
    pack_offsets,
    unpack_blocks,
)
from craft.protocol import QueryMeter, check_image_set, check_offsets, check_question

#: Seconds for which an interrupted answer is asked for again.
_PATIENCE = 300.0


class _Remote:
    """Base of the boxes behind HTTP: facts of the model, idempotency keys, retries.

    ``run`` names the run. The service charges the same question of the same run once, even if
    another process repeats it. Without ``run``, every box is a new run.
    """

    access: str

    def __init__(
        self,
        url: str,
        key: str,
        *,
        task: str,
        image_sets: Mapping[str, str] | None = None,
        run: str | None = None,
        revision: str | None = None,
        meter: QueryMeter | None = None,
        connection: Connection | None = None,
    ) -> None:
        """Connect; ``image_sets`` maps names to the service's, None takes all of the service's.

        Raises ServiceError if the service lacks a named task or image set, or the key its access.
        """
        self._connection = connection or Connection(url, key)
        self._facts = facts = self._connection.model()
        self._task, self._run = task, run or uuid.uuid4().hex
        self.revision = str(facts["revision"])
        if revision is not None and revision != self.revision:
            raise ModelChanged(f"{url}: expected model {revision}, got {self.revision}")
        if self.access not in facts["access"]:
            granted = ", ".join(facts["access"])
            raise ServiceError(f"{url}: expected a key of access {self.access}, got {granted}")
        if task not in facts["tasks"]:
            known = ", ".join(facts["tasks"]) or "none"
            raise ServiceError(f"{url}: expected a task of the service ({known}), got {task!r}")
        known_sets = facts["image_sets"]
        self._sets = dict(image_sets) if image_sets is not None else {n: n for n in known_sets}
        for name in self._sets.values():
            if name not in known_sets:
                raise ServiceError(f"{url}: expected an image set of the service, got {name!r}")
        of_task = facts["tasks"][task]
        self.class_names = tuple(of_task["class_names"])
        self.context_length = int(of_task["context_length"])
        self.context_width = int(facts["context_width"])
        self.embedding_std = finite(facts, "embedding_std")
        self.image_sets = {n: int(known_sets[s]["images"]) for n, s in self._sets.items()}
        self.meter = QueryMeter() if meter is None else meter
        self.charged = 0  # queries that the service has charged this box for

    def _ask(
        self,
        path: str,
        purpose: str,
        contexts: int,
        image_set: str | None = None,
        of_task: bool = True,
        **body: Any,
    ) -> Iterator[torch.Tensor]:
        """Yield the blocks of a question; an interrupted answer is asked for again at no charge."""
        params = {"purpose": purpose}
        params |= {"task": self._task} if of_task else {}
        params |= {"image_set": self._sets[image_set]} if image_set is not None else {}
        said = [part for pair in sorted(params.items()) for part in pair]
        question = digest(self._run, path, *said, body.get("content", b""), str(body.get("json")))
        headers = {IDEMPOTENCY: question, "If-Match": f'"{self.revision}"', "Accept": TENSORS}
        if "content" in body:
            headers["Content-Type"] = TENSORS
        done, wait = 0, Wait(_PATIENCE)
        while True:
            try:
                with self._connection.answer(
                    "POST", path, params=params, headers=headers, **body
                ) as answer:
                    self._check(answer, contexts)
                    at = 0
                    for block in unpack_blocks(answer.iter_raw()):
                        at += len(block)
                        if at > done:
                            done = at
                            yield block
                return
            except (httpx2.TransportError, WireError) as error:
                wait.after(f"{self._connection.url}{path}: {type(error).__name__}: {error}")

    def _check(self, answer: httpx2.Response, contexts: int) -> None:
        found = answer.headers.get(REVISION)
        if found != self.revision:
            raise ModelChanged(f"{self._connection.url}: model was {self.revision}, is {found}")
        cost = answer.headers.get(COST, "")
        if not cost.isdecimal() or int(cost) not in (0, contexts):
            raise ServiceError(f"{COST}: expected 0 or {contexts}, got {cost!r}")
        self.charged += int(cost)


class HttpBox(_Remote):
    """craft.protocol.BlackBox behind a service's ``/v1/predict``."""

    access = "predictions"

    def predict(
        self, image_set: str, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield logits (B, N, K) for offsets (P, L, D); see craft.protocol.BlackBox.predict."""
        check_question(self, image_set, context_offsets)
        self.meter.charge(purpose, len(context_offsets))
        return self._predicted(image_set, context_offsets, purpose)

    def _predicted(
        self, image_set: str, offsets: torch.Tensor, purpose: str
    ) -> Iterator[torch.Tensor]:
        body = pack_offsets(offsets)
        for block in self._ask("/v1/predict", purpose, len(offsets), image_set, content=body):
            # The same memory layout as in LocalBox, images first, so that sums round alike.
            yield block.transpose(0, 1).contiguous().transpose(0, 1)


class HttpTextBox(_Remote):
    """craft.protocol.TextBox behind a service's ``/v1/texts``."""

    access = "texts"
    answers = "logits"
    templates_per_call: int | None = 1000

    def score(
        self, image_set: str, templates: Sequence[str], purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield logits (B, N, K) for P templates, one query each; ``{}`` is the class name.

        Raises KeyError, ValueError (a template without one ``{}``, too many) and BudgetExceeded.
        """
        check_image_set(self, image_set)
        if not 0 < len(templates) <= 1000:
            raise ValueError(f"templates: expected 1 to 1000, got {len(templates)}")
        for template in templates:
            if template.count("{}") != 1:
                raise ValueError(f"template: expected one {{}}, got {template!r}")
        self.meter.charge(purpose, len(templates))
        asked = {"templates": list(templates)}
        return self._ask("/v1/texts", purpose, len(templates), image_set, json=asked)


class HttpFeatureBox(_Remote):
    """craft.protocol.FeatureBox behind a service's features."""

    access = "features"

    def __init__(self, url: str, key: str, **given: Any) -> None:
        super().__init__(url, key, **given)
        self.feature_width = int(finite(self._facts, "feature_width"))
        self.logit_scale = finite(self._facts, "logit_scale")

    def image_features(self, image_set: str, purpose: str = "refine") -> torch.Tensor:
        """Return features (N, E) of an image set; one query."""
        check_image_set(self, image_set)
        self.meter.charge(purpose, 1)
        blocks = self._ask("/v1/image-features", purpose, 1, image_set, of_task=False)
        (features,) = torch.cat(list(blocks))
        return features

    def text_features(
        self, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield unit features (B, K, E) of the classes for contexts (P, L, D)."""
        check_offsets(self, context_offsets)
        self.meter.charge(purpose, len(context_offsets))
        body = pack_offsets(context_offsets)
        return self._ask("/v1/text-features", purpose, len(context_offsets), content=body)
