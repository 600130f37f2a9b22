"""Command line: one command a file; torch is imported only by commands that need it."""

from unmask.cli.app import main

__all__ = ["main"]
