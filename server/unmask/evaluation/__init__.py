"""How good a model's answers are at each decoding setting, on held-out prompts of its tasks."""
