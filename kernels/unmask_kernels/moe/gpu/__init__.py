"""Triton kernels of routing and grouped products."""
