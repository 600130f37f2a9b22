"""Whether it lives, whether it can take work, and what it has done."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from unmask.api.answers import Liveness, Readiness
from unmask.api.backend import Backend
from unmask.api.errors import STOPPED_RETRY_AFTER_S
from unmask.api.openapi import RETRY_AFTER, Responses, answers

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
READINESS: Responses = {
    **answers(Readiness),
    503: {
        **answers(Readiness)[200],
        "description": "no requests are taken; the same body",
        "headers": {"Retry-After": RETRY_AFTER},
    },
}


def health_routes(backend: Backend) -> APIRouter:
    """The routes that probes and scrapers call; they need no API key."""
    router = APIRouter()

    @router.get("/health", responses=READINESS)
    @router.head("/health", include_in_schema=False)
    @router.get("/health/ready", responses=READINESS)
    @router.head("/health/ready", include_in_schema=False)
    async def ready() -> JSONResponse:
        """200 while requests are taken, 503 otherwise."""
        status = backend.client.status()
        body: dict[str, Any] = {
            "state": status.state,
            "detail": status.detail,
            "running": status.num_running,
            "waiting": status.num_waiting,
        }
        if status.state == "ready":
            return JSONResponse(body)
        headers = {"retry-after": str(STOPPED_RETRY_AFTER_S)}
        return JSONResponse(body, status_code=503, headers=headers)

    @router.get("/health/live", response_model=None, responses=answers(Liveness))
    @router.head("/health/live", include_in_schema=False)
    async def live() -> dict[str, str]:
        """200 while this process answers at all."""
        return {"state": "live"}

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Everything that is counted, as Prometheus reads it."""
        return Response(backend.metrics.render(), headers={"content-type": METRICS_TYPE})

    return router
