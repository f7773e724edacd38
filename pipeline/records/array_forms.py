"""
numpy's arrays and scalars, without importing numpy.

An object can only be one of numpy's if the application has loaded numpy, so `sys.modules` is asked.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from pipeline.records.value_bounds import VALUES_MAX
from pipeline.records.value_texts import text_of

_EXACT_KINDS: Final = "biufcSU"
"""Kinds of dtype whose `item()` is a Python value that says the same."""


def is_array(kind: type) -> bool:
    """Tell whether values of this type are arrays or scalars of numpy."""
    numpy = sys.modules.get("numpy")
    bases = (getattr(numpy, "ndarray", None), getattr(numpy, "generic", None))
    return any(isinstance(base, type) and issubclass(kind, base) for base in bases)


def array_form(value: Any) -> object:
    """Return nested lists of an array, and the Python value of a scalar."""
    if value.size > VALUES_MAX:
        return f"<array of {value.dtype}, shape {value.shape}>"
    if value.shape:
        # Times, records and objects stay numpy's, one by one: `tolist()` makes nanoseconds a bare number.
        return value.tolist() if _is_exact(value.dtype) else list(value)
    if _is_exact(value.dtype):
        return value.item()
    if value.dtype.names:
        return {name: value[name] for name in value.dtype.names}
    return value.item() if value.dtype.kind in "OV" else text_of(value)


def _is_exact(dtype: Any) -> bool:
    """Tell whether Python's own types hold these values; a long double has no counterpart."""
    return dtype.kind in _EXACT_KINDS and dtype.itemsize <= {"f": 8, "c": 16}.get(dtype.kind, dtype.itemsize)
