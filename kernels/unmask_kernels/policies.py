"""Decoding policies as kernels know them: by number."""

POLICIES = ("low_confidence", "threshold", "factor", "entropy_bound", "entropy", "margin")
CODES = {name: code for code, name in enumerate(POLICIES)}
