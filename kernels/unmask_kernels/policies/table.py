"""Decoding policies as kernels know them: by number."""

POLICIES = (
    "low_confidence",
    "threshold",
    "factor",
    "entropy_bound",
    "entropy",
    "margin",
    "sequential",
)
CODES = {name: code for code, name in enumerate(POLICIES)}
