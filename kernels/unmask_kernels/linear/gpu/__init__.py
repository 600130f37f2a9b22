"""Triton kernels of products with weights of 8 bits."""
