"""Routes that generate, reached past the layers of FastAPI, which take longer than they do.

FastAPI has the same routes: for the schema, and for requests that are anything but plain.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from unmask.api.errors import CLIENT_CLOSED_REQUEST, respond
from unmask.errors import UnmaskError


@dataclass(frozen=True, slots=True)
class HotRoute:
    """A POST route by its exact path."""

    path: str
    endpoint: Callable[[Request], Awaitable[Response]]


class HotRoutes:
    """Answers requests to hot routes."""

    def __init__(self, routes: Iterable[HotRoute]) -> None:
        self._routes = {route.path: route for route in routes}

    def takes(self, scope: Scope) -> bool:
        """True if a request is to one of the routes."""
        return (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and scope["path"] in self._routes
            and not scope.get("root_path")
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = scope["route"] = self._routes[scope["path"]]
        try:
            response = await route.endpoint(Request(scope, receive))
        except UnmaskError as error:
            response = respond(error)
        except ClientDisconnect:
            response = Response(status_code=CLIENT_CLOSED_REQUEST)
        await response(scope, receive, send)


class Application(FastAPI):
    """FastAPI with hot routes beside its own, behind the same middleware."""

    def __init__(
        self, routes: Iterable[HotRoute], middleware: list[Middleware], **options: Any
    ) -> None:
        super().__init__(middleware=middleware, **options)
        self._hot = HotRoutes(routes)
        self._hot_stack: ASGIApp = self._hot
        for layer in reversed(middleware):
            self._hot_stack = layer.cls(self._hot_stack, *layer.args, **layer.kwargs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._hot.takes(scope):
            await self._hot_stack(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
