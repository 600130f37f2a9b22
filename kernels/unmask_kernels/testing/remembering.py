"""Caches in Triton's interpreter, which leave results unchanged.

Triton 3.6 lists the members of `triton.language` at each launch and at each call of a device
function, and builds the shape of every value anew: more than half of its time on small tiles.
"""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter

_Shape = tuple[int, ...]


class _Semantic(interpreter.TritonSemantic):  # type: ignore[misc]
    """Returns values that have the same shape already, and leaves out sums that nobody reads."""

    def broadcast_impl_value(self, lhs: Any, rhs: Any) -> Any:
        if lhs.shape is rhs.shape:
            return lhs, rhs
        return super().broadcast_impl_value(lhs, rhs)

    def binary_op_sanitize_overflow_impl(self, lhs: Any, rhs: Any, binary_op: Any) -> None:
        """Sum integers again in 64 bits if overflows are told; otherwise Triton drops the sums."""
        if self.builder.options.debug:
            super().binary_op_sanitize_overflow_impl(lhs, rhs, binary_op)


class _Scope(interpreter._LangPatchScope):  # type: ignore[misc]
    """Patches of `triton.language`; while a scope is open, device functions patch nothing."""

    is_open = False

    def restore(self) -> None:
        super().restore()
        _Scope.is_open = False


@functools.cache
def _builtins(package: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (name, member) for name, member in inspect.getmembers(package) if tl.core.is_builtin(member)
    )


@functools.cache
def _shape_of(shape: _Shape) -> tuple[Any, Any]:
    return tl.tuple([tl.constexpr(length) for length in shape]), tl.constexpr(math.prod(shape))


_plain_block: Callable[..., None] = tl.block_type.__init__
_plain_np_dtype: Callable[[Any], np.dtype[Any]] = interpreter._get_np_dtype
_blocks: dict[tuple[str, _Shape], dict[str, Any]] = {}
_np_dtypes: dict[str, np.dtype[Any]] = {}


def _init_block(self: Any, element_ty: Any, shape: Any) -> None:
    key = element_ty.name, tuple(n.value if isinstance(n, tl.constexpr) else n for n in shape)
    if key not in _blocks:
        _plain_block(self, element_ty, shape)
        _blocks[key] = vars(self).copy()
    vars(self).update(_blocks[key])


def _init_tensor(self: Any, handle: Any, type: Any) -> None:
    self.handle = handle
    self.type = type
    self.dtype = type.scalar
    self.shape, self.numel = _shape_of(type.shape if type.is_block() else ())


def _is_equal(self: Any, other: Any) -> Any:
    values = other.values if isinstance(other, tl.tuple) else list(other)
    return tl.constexpr(self.values == values)


def _np_dtype(dtype: Any) -> np.dtype[Any]:
    scalar = dtype.scalar
    if scalar.name not in _np_dtypes:
        _np_dtypes[scalar.name] = _plain_np_dtype(scalar)
    return _np_dtypes[scalar.name]


def _patch_builtins(package: Any, builder: Any, scope: _Scope) -> None:
    for name, member in _builtins(package):
        interpreter._patch_attr(package, name, member, builder, scope)


def _patch_language(function: Any) -> _Scope:
    scope = _Scope()
    if _Scope.is_open:
        return scope
    _Scope.is_open = True
    builder = interpreter.interpreter_builder
    for package in (tl, tl.core, tl.tensor, tl.math, tl.core.tensor_descriptor_base):
        _patch_builtins(package, builder, scope)
    interpreter._patch_lang_tensor(tl.tensor, scope)
    for language in (tl, tl.core):
        interpreter._patch_lang_core(language, scope)
    scope.set_attr(tl.block_type, "__init__", _init_block)
    scope.set_attr(tl.tensor, "__init__", _init_tensor)
    scope.set_attr(tl.tuple, "__eq__", _is_equal)
    return scope


def install() -> None:
    """Patch the interpreter of this process, in which one thread at a time may launch kernels."""
    interpreter._patch_lang = _patch_language
    interpreter._get_np_dtype = _np_dtype
    interpreter.TritonSemantic = _Semantic
