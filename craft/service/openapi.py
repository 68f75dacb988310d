"""Parts of the OpenAPI document that FastAPI cannot infer: binary bodies, errors, streams."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from craft.client.wire import COST, JSON, LEFT, PROBLEM, REVISION, TENSORS
from craft.service.bodies import ARCHIVES, MULTIPART
from craft.service.documents import Scores
from craft.service.problem_details import ProblemDocument

_BYTES = {"schema": {"type": "string", "format": "binary"}}
#: Errors with the header Retry-After.
_RETRIED = (409, 429, 503)


def errors(*statuses: int) -> dict[int, dict[str, Any]]:
    """Return the errors of a call that needs a key."""
    return {status: _error(status) for status in (401, *statuses)}


def _error(status: int) -> dict[str, Any]:
    schema = {"schema": ProblemDocument.model_json_schema()}
    found: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {PROBLEM: schema},
    }
    if status in _RETRIED:
        wait = {"schema": {"type": "integer"}, "description": "Seconds to wait."}
        found["headers"] = {"Retry-After": wait}
    return found


def answers() -> dict[int, dict[str, Any]]:
    """Return the answers of a charged call."""
    headers = {
        COST: {"schema": {"type": "integer"}, "description": "Queries charged; 0 for a replay."},
        LEFT: {"schema": {"type": "integer"}, "description": "Queries left, where bounded."},
        REVISION: {"schema": {"type": "string"}, "description": "The model that answered."},
    }
    scores = {"schema": Scores.model_json_schema()}
    content = {TENSORS: _BYTES, JSON: scores}
    answer = {"description": "Blocks of float32 tensors.", "headers": headers, "content": content}
    return {200: answer} | errors(400, 402, 403, 404, 408, 409, 412, 413, 415, 422, 429, 503)


def json_body(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the description of a JSON body."""
    return _body({JSON: {"schema": kind.model_json_schema()}})


def offsets_body() -> dict[str, Any]:
    """Return the description of offsets, as safetensors or as JSON."""
    numbers: dict[str, Any] = {"type": "number"}
    for _ in range(3):
        numbers = {"type": "array", "items": numbers, "minItems": 1}
    schema = {"type": "object", "required": ["offsets"], "properties": {"offsets": numbers}}
    return _body({TENSORS: _BYTES, JSON: {"schema": schema}})


def images_body(selection: type[BaseModel]) -> dict[str, Any]:
    """Return the description of an image set: an archive, a form of files, or a selection."""
    files = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
    form = {"type": "object", "required": ["files"], "properties": {"files": files}}
    content = dict.fromkeys(ARCHIVES, _BYTES) | {MULTIPART: {"schema": form}}
    return _body(content | {JSON: {"schema": selection.model_json_schema()}})


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


def finish(app: FastAPI) -> None:
    """Replace FastAPI's defaults in the document by what the service really sends."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes)
            for calls in made["paths"].values():
                for call in calls.values():
                    wrong = call["responses"].get("422", {}).get("content", {})
                    if JSON in wrong:  # FastAPI's own form of a wrong parameter
                        call["responses"]["422"] = _error(422)
            for name in ("HTTPValidationError", "ValidationError"):
                made.get("components", {}).get("schemas", {}).pop(name, None)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
