"""The command line: one command a file, and no torch before a command needs it."""

from unmask.cli.app import main

__all__ = ["main"]
