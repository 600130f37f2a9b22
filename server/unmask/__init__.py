"""unmask: a high-throughput inference server for diffusion language models."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unmask.types import SamplingParams

if TYPE_CHECKING:
    from unmask.llm import LLM

__version__ = "0.1.0"
__all__ = ["LLM", "SamplingParams", "__version__"]


def __getattr__(name: str) -> Any:
    """Import `LLM`, and torch with it, at first access."""
    if name == "LLM":
        return import_module("unmask.llm").LLM
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
