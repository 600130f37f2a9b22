"""Norms, RoPE, KV writes and gates."""
