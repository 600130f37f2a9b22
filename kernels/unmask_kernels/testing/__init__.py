"""Checks of kernels without a GPU: an interpreter that rounds as one, and compilers for many."""
