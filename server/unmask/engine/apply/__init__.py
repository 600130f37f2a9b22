"""Commits a step's result and makes text final."""
