"""Norms, rotary embeddings, KV writes and gates."""
