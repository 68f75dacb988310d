"""The service's calls (FastAPI): who may make them, what they take, what they answer."""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi import Path as InPath
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

import craft
from craft.blackbox.text.prompts import PromptError
from craft.client.wire import COST, JSON, LEFT, REVISION, TENSORS
from craft.data.decode import ImageError
from craft.service import bodies, openapi, problems
from craft.service.admission import Admission
from craft.service.answers import Device, Stream, gathered
from craft.service.charges import BudgetSpent, Receipt, Reused, charge, usage
from craft.service.database import Database
from craft.service.documents import (
    NAME,
    ImageSetAnswer,
    ModelAnswer,
    Selection,
    TaskAnswer,
    TaskRequest,
    Templates,
    UsageAnswer,
)
from craft.service.image_sets import ImageSet, ImageSetError, ImageSets, OtherContent
from craft.service.keys import Key, recognised, take_call
from craft.service.limits import Limits
from craft.service.metrics import Counting, Metrics
from craft.service.model import Model, Task
from craft.service.problems import Problem
from craft.service.questions import Question, Questions
from craft.service.tasks import TaskError, find, store, tasks_of

Purpose = Literal["search", "refine", "evaluate"]
_Name = Annotated[str, Query(pattern=NAME)]
_PathName = Annotated[str, InPath(pattern=NAME)]
_Idempotency = Annotated[
    str, Header(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$", alias="Idempotency-Key")
]
#: Entries of prompts that are tokens.
_IDS = ("_id", "_ids")
_Revision = Annotated[str | None, Header(alias="If-Match")]


_bearer = HTTPBearer(auto_error=False, description="craft_...")


def _authorised(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Key:
    database: Database = request.app.state.database
    key = recognised(database, given.credentials if given else "")
    if key is None:
        raise problems.unauthorised()
    if (wait := take_call(database, key)) is not None:
        raise Problem(429, "calls a minute: all used", retry=math.ceil(wait))
    return key


_Caller = Annotated[Key, Depends(_authorised)]


def _require(key: Key, access: str) -> None:
    if access not in key.access:
        raise Problem(403, f"access: expected {access}, got a key of {', '.join(key.access)}")


class Service:
    """A model, its database and what is in hand."""

    def __init__(self, model: Model, database: Database, limits: Limits, metrics: Metrics) -> None:
        self.model, self.database, self.limits, self.metrics = model, database, limits, metrics
        self.image_sets = ImageSets(database, model, limits.image_sets_per_key)
        self.questions = Questions(model, self.image_sets, limits)
        self.admission = Admission(limits)
        self.device = Device(model.threads)
        self.uploads = ThreadPoolExecutor(1, "uploads")

    def task(self, key: Key, name: str) -> Task:
        """Return a task that a key may use; raises Problem 404."""
        found = find(self.database, key.name, name)
        if found is None:
            raise Problem(404, f"task: expected one of this key, got {name!r}")
        return found

    def image_set(self, key: Key, name: str) -> ImageSet:
        """Return an image set that a key may use; raises Problem 404."""
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
        """Charge a question, unless it is a replay, and answer it.

        Raises Problem 402, 409, 413, 422, 429 or 503; nothing is charged then.
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
        """Raise Problem 412 where a client asks for another model than this."""
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


def create_app(service: Service) -> FastAPI:
    """Return the application of a service."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.device.close()
        service.uploads.shutdown(cancel_futures=True)

    app = FastAPI(
        title="CraFT black box",
        version=craft.__version__,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.database = service.database
    problems.install(app)
    app.add_middleware(Counting, metrics=service.metrics)

    @app.get("/healthz", responses={200: {"content": {JSON: {}}}})
    async def healthz() -> dict[str, str]:
        """Say that the server runs."""
        return {"status": "ok"}

    @app.get("/v1/model", responses=openapi.errors(429))
    def model(key: _Caller) -> ModelAnswer:
        """Say what the model is, and what a key may use of it."""
        served = service.model
        facts: dict[str, Any] = dict(served.described)
        if "features" in key.access:
            facts |= {"feature_width": served.feature_width, "logit_scale": served.logit_scale}
        tasks = tasks_of(service.database, key.name)
        sets = {
            each.name: {"images": each.images, "digest": each.digest}
            for each in service.image_sets.of(key.name)
        }
        return ModelAnswer(
            **facts,
            access=list(key.access),
            makes_tasks=key.makes_tasks,
            tasks=tasks,
            image_sets=sets,
            limits=asdict(service.limits),
        )

    @app.get("/v1/usage", responses=openapi.errors(429))
    def spent(key: _Caller) -> UsageAnswer:
        """Say what a key has spent."""
        return UsageAnswer(**usage(service.database, key.name))

    @app.post(
        "/v1/tasks",
        status_code=201,
        responses={200: {"model": TaskAnswer}} | openapi.errors(403, 408, 409, 413, 415, 422, 429),
        openapi_extra=openapi.json_body(TaskRequest),
    )
    async def make_task(request: Request, response: Response, key: _Caller) -> TaskAnswer:
        """Make a task of class names and a template; the same again is the same task."""
        if not key.makes_tasks:
            raise Problem(403, "tasks: expected a key that may make them; use one of the owner's")
        asked = await bodies.document(request, TaskRequest, service.limits)
        task = Task(tuple(asked.class_names), asked.template, asked.context_words)
        name = f"task-{task.digest[:24]}"

        def made() -> tuple[Any, Any, bool]:
            tower, tokens = service.model.tower(task), service.model.tokens(task)
            if asked.context_words and asked.context_words > len(tokens.context_ids):
                raise PromptError(
                    f"context_words: expected at most {len(tokens.context_ids)}, the words before "
                    f"{{}}, got {asked.context_words}"
                )
            most = service.limits.tasks_per_key
            length = tower.context_length
            return tower, tokens, store(service.database, key.name, name, task, length, most)

        try:
            tower, tokens, new = await run_in_threadpool(made)
        except PromptError as error:
            raise Problem(422, str(error)) from None
        except TaskError as error:
            raise Problem(409, str(error)) from None
        response.status_code = 201 if new else 200
        return TaskAnswer(
            task=name,
            class_names=asked.class_names,
            template=asked.template,
            context_length=tower.context_length,
            context_width=tower.context_width,
            tokens={name: value for name, value in asdict(tokens).items() if name.endswith(_IDS)},
            indistinct=[list(group) for group in service.model.indistinct(tokens)],
        )

    @app.put(
        "/v1/image-sets/{name}",
        status_code=201,
        responses={200: {"model": ImageSetAnswer}}
        | openapi.errors(402, 408, 409, 413, 415, 422, 429),
        openapi_extra=openapi.images_body(Selection),
    )
    async def put_image_set(
        request: Request,
        response: Response,
        key: _Caller,
        name: _PathName,
        reading: Annotated[Literal["stored", "shown"], Query()] = "shown",
    ) -> ImageSetAnswer:
        """Upload images once, as an archive or a form, or select rows of an image set."""
        if bodies.media_type(request) == JSON:
            chosen = await bodies.document(request, Selection, service.limits)
            work = service.image_sets.select, key, name, chosen.of, chosen.rows, chosen.norm
            try:
                made, new = await run_in_threadpool(*work)
            except OtherContent as error:
                raise Problem(409, str(error)) from None
            except ImageSetError as error:
                raise Problem(422, str(error)) from None
            files = None
        else:
            with tempfile.TemporaryDirectory(prefix="craft-upload-") as folder:
                files = await bodies.images(request, Path(folder), service.limits)
                images = Path(folder) / "images"
                made, new = await service.stored(key, name, images, files, reading)
        response.status_code = 201 if new else 200
        return ImageSetAnswer(image_set=name, images=made.images, digest=made.digest, files=files)

    @app.delete("/v1/image-sets/{name}", status_code=204, responses=openapi.errors(404, 422, 429))
    def delete_image_set(key: _Caller, name: _PathName) -> None:
        """Delete an image set of this key, and its features."""
        if not service.image_sets.delete(key, name):
            raise Problem(404, f"image set: expected one of this key, got {name!r}")

    charged = {"responses": openapi.answers(), "response_class": Response}

    @app.post("/v1/predict", **charged, openapi_extra=openapi.offsets_body())
    async def predict(
        request: Request,
        key: _Caller,
        task: _Name,
        image_set: _Name,
        idempotency: _Idempotency,
        revision: _Revision = None,
        purpose: Purpose = "search",
    ) -> Response:
        """Score an image set at contexts p0 + offset, each one query."""
        _require(key, "predictions")
        service.require_revision(revision)
        asked, images = service.task(key, task), service.image_set(key, image_set)
        offsets = await bodies.offsets(request, service.limits)
        ask = lambda: service.questions.predict(asked, images, offsets)  # noqa: E731
        return await service.answer(request, key, idempotency, purpose, ask)

    @app.post("/v1/texts", **charged, openapi_extra=openapi.json_body(Templates))
    async def texts(
        request: Request,
        key: _Caller,
        task: _Name,
        image_set: _Name,
        idempotency: _Idempotency,
        revision: _Revision = None,
        purpose: Purpose = "search",
    ) -> Response:
        """Score an image set at templates, each one query."""
        _require(key, "texts")
        service.require_revision(revision)
        asked, images = service.task(key, task), service.image_set(key, image_set)
        told = await bodies.document(request, Templates, service.limits)
        ask = lambda: service.questions.texts(asked, images, told.templates)  # noqa: E731
        return await service.answer(request, key, idempotency, purpose, ask)

    @app.post("/v1/text-features", **charged, openapi_extra=openapi.offsets_body())
    async def text_features(
        request: Request,
        key: _Caller,
        task: _Name,
        idempotency: _Idempotency,
        revision: _Revision = None,
        purpose: Purpose = "search",
    ) -> Response:
        """Give unit features of the classes at contexts p0 + offset, each one query."""
        _require(key, "features")
        service.require_revision(revision)
        asked = service.task(key, task)
        offsets = await bodies.offsets(request, service.limits)
        ask = lambda: service.questions.text_features(asked, offsets)  # noqa: E731
        return await service.answer(request, key, idempotency, purpose, ask)

    @app.post("/v1/image-features", **charged)
    async def image_features(
        request: Request,
        key: _Caller,
        image_set: _Name,
        idempotency: _Idempotency,
        revision: _Revision = None,
        purpose: Purpose = "refine",
    ) -> Response:
        """Give the features of an image set; one query."""
        _require(key, "features")
        service.require_revision(revision)
        images = service.image_set(key, image_set)
        ask = lambda: service.questions.image_features(images)  # noqa: E731
        return await service.answer(request, key, idempotency, purpose, ask)

    openapi.finish(app)
    return app
