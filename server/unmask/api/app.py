"""The application: routes, errors and middleware around one engine."""

from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from unmask import __version__
from unmask.api.backend import Backend
from unmask.api.errors import install_handlers
from unmask.api.keys import KeyRing, api_keys
from unmask.api.middleware import REQUEST_ID_HEADER, AllowedHosts, ApiKey, RequestContext
from unmask.api.openapi import install_schema
from unmask.api.routes import (
    BODIES,
    OPERATIONS,
    PATHS,
    generation_routes,
    health_routes,
    model_routes,
    page_routes,
)
from unmask.api.tracing import Tracing, provider_for
from unmask.client import EngineClient
from unmask.config import ServerConfig
from unmask.metrics import Metrics

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider


def create_app(
    client: EngineClient,
    metrics: Metrics,
    config: ServerConfig,
    traces: "TracerProvider | None" = None,
) -> FastAPI:
    """An ASGI application that serves what `client` runs.

    Spans of requests go to `traces`, or to the configured collector if there is one.
    """
    if traces is None and config.otlp_endpoint is not None:
        traces = provider_for(config.otlp_endpoint)
    tracing = None if traces is None else Tracing(traces, OPERATIONS)
    backend = Backend(client, metrics, config)
    metrics.ready.set_function(lambda: client.status().state == "ready")
    app = FastAPI(
        title="unmask",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=_middleware(config, metrics, tracing),
    )
    install_handlers(app, PATHS)
    install_schema(app, BODIES)
    app.include_router(generation_routes(backend))
    app.include_router(model_routes(backend))
    app.include_router(health_routes(backend))
    app.include_router(page_routes())
    return app


def _middleware(
    config: ServerConfig, metrics: Metrics, tracing: Tracing | None
) -> list[Middleware]:
    """Outermost first: errors and refusals carry CORS headers and request ids too."""
    context = Middleware(
        RequestContext, metrics=metrics, logs_access=config.access_log, tracing=tracing
    )
    stack = [context]
    if config.cors_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(config.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID_HEADER, "retry-after"],
        )
        stack.insert(0, cors)
    if config.allowed_hosts and "*" not in config.allowed_hosts:
        stack.append(Middleware(AllowedHosts, hosts=config.allowed_hosts))
    keys = KeyRing(api_keys(config))
    metrics_keys = KeyRing(() if config.metrics_key is None else (config.metrics_key,))
    if keys or metrics_keys:
        stack.append(Middleware(ApiKey, keys=keys, metrics_keys=metrics_keys))
    return stack
