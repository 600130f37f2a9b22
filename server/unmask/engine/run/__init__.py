"""Runs a step on the device."""
