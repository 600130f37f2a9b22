"""Triton kernels of canvases of noise."""
