"""Uniform diffusion: scoring and renoising of DiffusionGemma's canvases."""
