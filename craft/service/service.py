"""A running service: its model, its database, its calls in progress, and their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from craft.client.wire import COST, JSON, LEFT, REVISION, TENSORS
from craft.data.rgb import ImageError
from craft.service import bodies
from craft.service.admission import Admission
from craft.service.answers import Device, Stream, gathered
from craft.service.charges import BudgetSpent, Receipt, Reused, charge
from craft.service.database import Database
from craft.service.image_sets import ImageSet, ImageSetError, ImageSets, OtherContent
from craft.service.keys import Key
from craft.service.limits import Limits
from craft.service.metrics import Metrics
from craft.service.model import Model, Task
from craft.service.problem_details import Problem
from craft.service.questions import Question, Questions
from craft.service.tasks import find


class Service:
    """A model, its database and the calls in progress."""

    def __init__(self, model: Model, database: Database, limits: Limits, metrics: Metrics) -> None:
        self.model, self.database, self.limits, self.metrics = model, database, limits, metrics
        self.image_sets = ImageSets(database, model, limits.image_sets_per_key)
        self.questions = Questions(model, self.image_sets, limits)
        self.admission = Admission(limits)
        self.device = Device(model.threads)
        self.uploads = ThreadPoolExecutor(1, "uploads")

    def close(self) -> None:
        """End the worker after its current work."""
        self.device.close()
        self.uploads.shutdown(cancel_futures=True)

    def task(self, key: Key, name: str) -> Task:
        """Return a task of a key or of the owner; raises Problem 404."""
        found = find(self.database, key.name, name)
        if found is None:
            raise Problem(404, f"task: expected one of this key, got {name!r}")
        return found

    def image_set(self, key: Key, name: str) -> ImageSet:
        """Return an image set of a key or of the owner; raises Problem 404."""
        found = self.image_sets.find(key.name, name)
        if found is None:
            raise Problem(404, f"image_set: expected one of this key, got {name!r}")
        return found

    async def answer(
        self,
        request: Request,
        key: Key,
        idempotency: str,
        purpose: str,
        ask: Callable[[], Question],
    ) -> Response:
        """Charge a question unless it is a replay, and answer it.

        Raises Problem 402, 409, 413, 422, 429 or 503, and then charges nothing.
        """
        self.admission.enter(key, idempotency)
        try:
            question = await run_in_threadpool(ask)
            as_json = request.headers.get("accept", "") == JSON
            if as_json and not bodies.fits_json(question.shape, self.limits):
                raise Problem(413, f"answer: too long as JSON; expected Accept: {TENSORS}")
            receipt = await run_in_threadpool(self._charged, key, idempotency, purpose, question)
            blocks = self.device.blocks(question.compute)
            first = await anext(blocks)
            headers = self._headers(receipt)
            if as_json:
                scores = await gathered(first, blocks)
                self.admission.leave(key, idempotency)
                return JSONResponse({"scores": scores}, headers=headers)
        except BaseException:
            self.admission.leave(key, idempotency)
            raise

        def done() -> None:
            self.admission.leave(key, idempotency)

        return Stream(first, blocks, headers, self.limits.idle_seconds, done)

    def _charged(self, key: Key, idempotency: str, purpose: str, question: Question) -> Receipt:
        try:
            receipt = charge(
                self.database,
                key,
                idempotency,
                question.payload,
                question.price,
                purpose,
                question.image_set,
            )
        except BudgetSpent as error:
            raise Problem(402, str(error), **error.facts) from None
        except Reused as error:
            raise Problem(422, f"Idempotency-Key {error}") from None
        self.metrics.charged(key.name, purpose, receipt.queries, question.price.scorings)
        return receipt

    def _headers(self, receipt: Receipt) -> dict[str, str]:
        left = {} if receipt.left is None else {LEFT: str(receipt.left)}
        return {COST: str(receipt.queries), REVISION: self.model.revision, **left}

    def require_revision(self, asked: str | None) -> None:
        """Raise Problem 412 if a client asks for another revision of the model."""
        if asked is not None and asked.strip('"') != self.model.revision:
            raise Problem(412, f"If-Match: expected {self.model.revision!r}, got {asked[:100]!r}")

    async def stored(
        self, key: Key, name: str, folder: Path, files: list[str], reading: str
    ) -> tuple[ImageSet, bool]:
        """Encode and store an upload, one at a time; raises Problem 402, 409 or 422."""
        work = self.image_sets.upload, key, name, folder, files, reading
        try:
            return await asyncio.get_running_loop().run_in_executor(self.uploads, *work)
        except BudgetSpent as error:
            raise Problem(402, str(error), **error.facts) from None
        except OtherContent as error:
            raise Problem(409, str(error)) from None
        except (ImageError, ImageSetError) as error:
            raise Problem(422, str(error).replace(f"{folder}/", "")) from None
