"""Weights and activations of 8 bits: their types, and how they are quantized."""
