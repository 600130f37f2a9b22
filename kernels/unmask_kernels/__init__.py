"""Attention over pages and parallel token sampling; torch and Triton only."""
