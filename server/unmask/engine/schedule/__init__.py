"""Chooses the rows of the next step; imports no torch."""
