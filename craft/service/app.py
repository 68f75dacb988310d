"""The application of a service (FastAPI): its calls, its errors and its OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import craft
from craft.service import openapi, problem_details, routes_account, routes_questions, routes_uploads
from craft.service.metrics import Counting
from craft.service.service import Service


def create_app(service: Service) -> FastAPI:
    """Return the application of a service."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="CraFT black box",
        version=craft.__version__,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.database = service.database
    problem_details.install(app)
    app.add_middleware(Counting, metrics=service.metrics)
    for routes in (routes_account, routes_uploads, routes_questions):
        app.include_router(routes.routes_of(service))
    openapi.finish(app)
    return app
