"""Free calls: the state of the server, facts of the model, the spending of a key."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from craft.client.wire import JSON
from craft.service import openapi
from craft.service.callers import Caller
from craft.service.charges import usage
from craft.service.documents import ModelAnswer, UsageAnswer
from craft.service.service import Service
from craft.service.tasks import tasks_of


def routes_of(service: Service) -> APIRouter:
    """Return the calls of a service."""
    routes = APIRouter()

    @routes.get("/healthz", responses={200: {"content": {JSON: {}}}})
    async def healthz() -> dict[str, str]:
        """Report that the server runs."""
        return {"status": "ok"}

    @routes.get("/v1/model", responses=openapi.errors(429))
    def model(key: Caller) -> ModelAnswer:
        """Describe the model, and the tasks and image sets of the key."""
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

    @routes.get("/v1/usage", responses=openapi.errors(429))
    def spent(key: Caller) -> UsageAnswer:
        """Report the spending and budgets of the key."""
        return UsageAnswer(**usage(service.database, key.name))

    return routes
