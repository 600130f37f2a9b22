"""`unmask` with W8A8 products emulated where no chip has them.

python -m benchmarks.emulated eval ARGUMENTS

An entry point of its own, so that `benchmarks.quantization` can measure it in another process.
"""

from unmask.cli import main
from unmask_kernels.quantization.ops import emulated_w8a8

if __name__ == "__main__":
    with emulated_w8a8():
        main()
