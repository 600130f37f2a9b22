"""The application: routes, errors and middleware around one engine."""

from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from unmask import __version__
from unmask.api.admin import admin_routes
from unmask.api.backend import Backend, Scrape
from unmask.api.body_budget import BodyBudget
from unmask.api.errors import install_handlers
from unmask.api.hot import Application, HotRoute
from unmask.api.keys import KeyStore
from unmask.api.middleware import (
    ANTHROPIC_REQUEST_ID_HEADER,
    REQUEST_ID_HEADER,
    AllowedHosts,
    ApiKey,
    RequestContext,
)
from unmask.api.openapi import install_schema
from unmask.api.routes import (
    ANSWERS,
    BODIES,
    OPERATIONS,
    PATHS,
    generation_endpoints,
    generation_routes,
    health_routes,
    model_routes,
    page_routes,
)
from unmask.api.tracing import Tracing, provider_for
from unmask.api.turnstile import Turnstile
from unmask.client import EngineClient
from unmask.config import ServerConfig
from unmask.metrics import Metrics
from unmask.usage import Sharing

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider


def create_app(
    client: EngineClient,
    metrics: Metrics,
    config: ServerConfig,
    traces: "TracerProvider | None" = None,
    scrape: Scrape | None = None,
    sharing: Sharing | None = None,
) -> FastAPI:
    """An ASGI application that serves what `client` runs.

    Spans of requests go to `traces`, or to the configured collector if there is one. `scrape` gives
    the metrics of all processes, if there are several; else `metrics` are all. Clients have their
    limits together with those of the processes of `sharing`.
    """
    if traces is None and config.otlp_endpoint is not None:
        traces = provider_for(config.otlp_endpoint)
    tracing = None if traces is None else Tracing(traces, OPERATIONS)
    keys = KeyStore(config)
    bodies = BodyBudget(config.max_bodies_mib * 2**20)
    backend = Backend(client, metrics, config, bodies, scrape, sharing)
    metrics.ready.set_function(lambda: client.status().state == "ready")
    endpoints = generation_endpoints(backend)
    app = Application(
        [HotRoute(dialect.path, endpoint) for dialect, endpoint in endpoints],
        _middleware(config, metrics, keys, tracing),
        title="unmask",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    install_handlers(app, PATHS)
    install_schema(app, BODIES, ANSWERS)
    app.include_router(generation_routes(endpoints))
    app.include_router(model_routes(backend))
    app.include_router(health_routes(backend))
    app.include_router(page_routes(backend))
    if config.api_key_file is not None:
        app.include_router(admin_routes(keys))
    return app


def create_health_app(client: EngineClient, metrics: Metrics, config: ServerConfig) -> FastAPI:
    """An ASGI application with health checks and metrics only."""
    keys = KeyStore(config)
    backend = Backend(client, metrics, config, BodyBudget(0))
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, middleware=_guards(config, keys))
    install_handlers(app, ("/health/live", "/health/ready", "/metrics"))
    app.include_router(health_routes(backend))
    return app


def _middleware(
    config: ServerConfig, metrics: Metrics, keys: KeyStore, tracing: Tracing | None
) -> list[Middleware]:
    """Outermost first: errors and refusals carry CORS headers and request ids too."""
    context = Middleware(
        RequestContext, metrics=metrics, logs_access=config.access_log, tracing=tracing
    )
    stack = [context, Middleware(Turnstile)]
    if config.cors_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(config.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            allow_private_network=True,  # of a page that is served elsewhere
            expose_headers=[REQUEST_ID_HEADER, ANTHROPIC_REQUEST_ID_HEADER, "retry-after"],
        )
        stack.insert(0, cors)
    return stack + _guards(config, keys)


def _guards(config: ServerConfig, keys: KeyStore) -> list[Middleware]:
    """Refusals of callers who may not call."""
    stack = list[Middleware]()
    if config.allowed_hosts and "*" not in config.allowed_hosts:
        stack.append(Middleware(AllowedHosts, hosts=config.allowed_hosts))
    if keys.keys:
        stack.append(Middleware(ApiKey, keys=keys))
    return stack
