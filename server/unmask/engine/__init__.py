"""The engine: schedule, run, apply."""
