"""`unmask` with emulated W8A8 products, for machines without them.

    python -m benchmarks.emulated eval ARGUMENTS

A separate entry point, so that `benchmarks.quantization` can measure it in another process.
"""

from unmask.cli import main
from unmask_kernels.quantization.ops import emulated_w8a8

if __name__ == "__main__":
    with emulated_w8a8():
        main()
