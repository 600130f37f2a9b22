"""Parts of `benchmarks/gpu.py`: what a GPU can do, and how near the kernels and the engine come."""
