"""Connections of the HTTP server: their limits, and health on a thread of its own."""
