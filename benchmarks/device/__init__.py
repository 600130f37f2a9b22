"""Parts of `benchmarks/gpu.py`: device ceilings, kernels and engine."""
