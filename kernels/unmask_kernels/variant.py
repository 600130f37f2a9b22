"""Launch variants of Triton kernels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Variant:
    """One launch configuration of a kernel: argument types, and values of its constants.

    Types are Triton's, such as "*bf16", "i32" or "i32:16" for a multiple of 16; pointers are
    aligned to 16 bytes, as torch's are.
    """

    name: str
    kernel: Any
    types: Mapping[str, str]
    constants: Mapping[str, Any]
    num_warps: int = 4
    multiplies: bool = False  # must use matrix units
