"""Calls that make tasks and image sets: the server tokenises class names and encodes images."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath
from fastapi.concurrency import run_in_threadpool

from craft.blackbox.text.tokenise import PromptError
from craft.client.wire import JSON
from craft.service import bodies, openapi
from craft.service.callers import Caller
from craft.service.documents import NAME, ImageSetAnswer, Selection, TaskAnswer, TaskRequest
from craft.service.image_sets import ImageSetError, OtherContent
from craft.service.model import Task
from craft.service.problem_details import Problem
from craft.service.service import Service
from craft.service.tasks import TaskError, name_of, store

_PathName = Annotated[str, InPath(pattern=NAME)]
#: Entries of prompts that are tokens.
_IDS = ("_id", "_ids")


def routes_of(service: Service) -> APIRouter:
    """Return the calls of a service."""
    routes = APIRouter()

    @routes.post(
        "/v1/tasks",
        status_code=201,
        responses={200: {"model": TaskAnswer}} | openapi.errors(403, 408, 409, 413, 415, 422, 429),
        openapi_extra=openapi.json_body(TaskRequest),
    )
    async def make_task(request: Request, response: Response, key: Caller) -> TaskAnswer:
        """Make a task from class names and a template; equal requests make the same task."""
        asked = await bodies.document(request, TaskRequest, service.limits)
        task = Task(tuple(asked.class_names), asked.template, asked.context_words)
        known = await run_in_threadpool(name_of, service.database, key.name, task)
        if known is None and not key.makes_tasks:
            raise Problem(403, "tasks: expected a key that can make tasks; use one of the owner's")
        name = known or f"task-{task.digest[:24]}"

        def made() -> tuple[Any, Any, bool]:
            tower, tokens = service.model.tower(task), service.model.tokens(task)
            if asked.context_words and asked.context_words > len(tokens.context_ids):
                raise PromptError(
                    f"context_words: expected at most {len(tokens.context_ids)}, the words before "
                    f"{{}}, got {asked.context_words}"
                )
            most = service.limits.tasks_per_key
            length = tower.context_length
            new = known is None and store(service.database, key.name, name, task, length, most)
            return tower, tokens, new

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

    @routes.put(
        "/v1/image-sets/{name}",
        status_code=201,
        responses={200: {"model": ImageSetAnswer}}
        | openapi.errors(402, 408, 409, 413, 415, 422, 429),
        openapi_extra=openapi.images_body(Selection),
    )
    async def put_image_set(
        request: Request,
        response: Response,
        key: Caller,
        name: _PathName,
        reading: Annotated[Literal["stored", "shown"], Query()] = "shown",
    ) -> ImageSetAnswer:
        """Upload images as an archive or a form, or select rows of an image set."""
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

    @routes.delete(
        "/v1/image-sets/{name}", status_code=204, responses=openapi.errors(404, 422, 429)
    )
    def delete_image_set(key: Caller, name: _PathName) -> None:
        """Delete an image set of this key with its features."""
        if not service.image_sets.delete(key, name):
            raise Problem(404, f"image set: expected one of this key, got {name!r}")

    return routes
