"""Charged calls: scores at contexts or templates, and features for keys with that access."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from craft.service import bodies, openapi
from craft.service.callers import Caller, require
from craft.service.documents import NAME, Templates
from craft.service.service import Service

Purpose = Literal["search", "refine", "evaluate"]
_Name = Annotated[str, Query(pattern=NAME)]
_Idempotency = Annotated[
    str, Header(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$", alias="Idempotency-Key")
]
_Revision = Annotated[str | None, Header(alias="If-Match")]


def routes_of(service: Service) -> APIRouter:
    """Return the calls of a service."""
    routes = APIRouter()

    charged: dict[str, Any] = {"responses": openapi.answers(), "response_class": Response}

    @routes.post("/v1/predict", **charged, openapi_extra=openapi.offsets_body())
    async def predict(
        request: Request,
        key: Caller,
        task: _Name,
        image_set: _Name,
        idempotency: _Idempotency,
        revision: _Revision = None,
        purpose: Purpose = "search",
    ) -> Response:
        """Score an image set at contexts p0 + offset; each costs one query."""
        require(key, "predictions")
        service.require_revision(revision)
        asked, images = service.task(key, task), service.image_set(key, image_set)
        offsets = await bodies.offsets(request, service.limits)
        ask = lambda: service.questions.predict(asked, images, offsets)  # noqa: E731
        return await service.answer(request, key, idempotency, purpose, ask)

    @routes.post("/v1/texts", **charged, openapi_extra=openapi.json_body(Templates))
    async def texts(
        request: Request,
        key: Caller,
        task: _Name,
        image_set: _Name,
        idempotency: _Idempotency,
        revision: _Revision = None,
        purpose: Purpose = "search",
    ) -> Response:
        """Score an image set with templates; each costs one query."""
        require(key, "texts")
        service.require_revision(revision)
        asked, images = service.task(key, task), service.image_set(key, image_set)
        told = await bodies.document(request, Templates, service.limits)
        ask = lambda: service.questions.texts(asked, images, told.templates)  # noqa: E731
        return await service.answer(request, key, idempotency, purpose, ask)

    @routes.post("/v1/text-features", **charged, openapi_extra=openapi.offsets_body())
    async def text_features(
        request: Request,
        key: Caller,
        task: _Name,
        idempotency: _Idempotency,
        revision: _Revision = None,
        purpose: Purpose = "search",
    ) -> Response:
        """Return unit features of the classes at contexts p0 + offset; each costs one query."""
        require(key, "features")
        service.require_revision(revision)
        asked = service.task(key, task)
        offsets = await bodies.offsets(request, service.limits)
        ask = lambda: service.questions.text_features(asked, offsets)  # noqa: E731
        return await service.answer(request, key, idempotency, purpose, ask)

    @routes.post("/v1/image-features", **charged)
    async def image_features(
        request: Request,
        key: Caller,
        image_set: _Name,
        idempotency: _Idempotency,
        revision: _Revision = None,
        purpose: Purpose = "refine",
    ) -> Response:
        """Return the features of an image set; costs one query."""
        require(key, "features")
        service.require_revision(revision)
        images = service.image_set(key, image_set)
        ask = lambda: service.questions.image_features(images)  # noqa: E731
        return await service.answer(request, key, idempotency, purpose, ask)

    return routes
