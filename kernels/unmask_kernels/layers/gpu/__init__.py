"""Triton kernels of what lies between matrix products."""
