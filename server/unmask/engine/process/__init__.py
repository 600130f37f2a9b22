"""Engines in processes of their own, which may die: their requests do not."""
