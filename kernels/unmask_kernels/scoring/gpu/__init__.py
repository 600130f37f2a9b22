"""Triton kernels over rows of logits."""
