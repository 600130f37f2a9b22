"""The same operations as Triton kernels; imported only where they run."""
