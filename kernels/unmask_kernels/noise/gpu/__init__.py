"""Triton kernels of canvases."""
