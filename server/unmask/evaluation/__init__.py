"""Accuracy and speed of a model at each decoding setting, on held-out prompts."""
