"""Uniform diffusion: scores of canvases of noise, and their steps."""
