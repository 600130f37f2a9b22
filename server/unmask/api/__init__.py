"""The HTTP front end: OpenAI-style routes over an `EngineClient`."""

from unmask.api.app import create_app

__all__ = ["create_app"]
