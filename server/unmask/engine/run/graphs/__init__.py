"""CUDA graphs of the forward pass and of sampling."""
