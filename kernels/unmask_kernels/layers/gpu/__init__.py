"""Triton kernels of norms, RoPE, KV writes and gates."""
