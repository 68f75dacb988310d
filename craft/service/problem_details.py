"""Errors of the service as RFC 9457 problems."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from craft.client.wire import PROBLEM


class ProblemDocument(BaseModel, extra="allow"):
    """The body of every error; some errors add further keys."""

    type: str
    title: str
    status: int
    detail: str


class Problem(Exception):
    """An error with a status, a detail for the client, and further keys."""

    def __init__(self, status: int, detail: str, retry: int | None = None, **facts: Any) -> None:
        self.status, self.detail, self.facts = status, detail, facts
        self.headers = {} if retry is None else {"Retry-After": str(retry)}
        if status in (408, 413):  # the rest of the body is not read
            self.headers["Connection"] = "close"
        super().__init__(detail)


def unauthorised() -> Problem:
    """Return the error for a missing, a wrong or a revoked key, which is the same for all."""
    problem = Problem(401, "Authorization: expected 'Bearer KEY' with a key of this service")
    problem.headers["WWW-Authenticate"] = "Bearer"
    return problem


def _response(status: int, detail: str, headers: dict[str, str], **facts: Any) -> JSONResponse:
    title = HTTPStatus(status).phrase
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **facts}
    return JSONResponse(content, status, headers, media_type=PROBLEM)


def install(app: FastAPI) -> None:
    """Turn every error of an application into a problem document; hide the details of bugs."""

    @app.exception_handler(Problem)
    async def known(_: Request, error: Problem) -> JSONResponse:
        return _response(error.status, error.detail, error.headers, **error.facts)

    @app.exception_handler(HTTPException)
    async def routing(_: Request, error: HTTPException) -> JSONResponse:
        return _response(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def parameters(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        missing = first["loc"][0] == "header" and first["type"] == "missing"
        return _response(400 if missing else 422, f"{place}: {first['msg']}", {})

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> JSONResponse:
        del error  # it is in the owner's log
        return _response(500, "internal error; the server's log has the details", {})
