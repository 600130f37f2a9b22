"""The HTTP front end: OpenAI-style routes over an `EngineClient`."""
