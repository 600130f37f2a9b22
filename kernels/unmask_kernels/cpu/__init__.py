"""Products on a CPU: C kernels where a compiler is at hand, oneDNN where there is none."""
