"""An object as text: encodable as UTF-8, bounded, and a marker where the object cannot say what it is."""

from __future__ import annotations

from typing import Final

from pipeline.host import handlers
from pipeline.records.value_bounds import TEXT_CHARS_MAX

_NAME: Final = type.__dict__["__name__"].__get__
_QUALNAME: Final = type.__dict__["__qualname__"].__get__
# Through `type` itself: a metaclass may define a `__name__` that lies or raises.


def clean_text(text: str) -> str:
    r"""Return the text as an exact `str`, with lone surrogates readable as `\udc80`."""
    text = str.__str__(text)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def text_of(value: object, *, chars_max: int | None = TEXT_CHARS_MAX) -> str:
    """Return what `str(value)` says, at most `chars_max` of it (None: all); a marker if that raises."""
    try:
        text = str.__str__(str(value))
        if chars_max is not None and len(text) > chars_max:
            text = f"{text[:chars_max]}…[TRUNCATED {len(text) - chars_max} chars]"
        return clean_text(text)
    except Exception as error:  # noqa: BLE001 - anybody's code runs in str(); the marker says what it raised
        handlers.let_through(error)
        return unprintable(value, error)


def unprintable(value: object, error: Exception) -> str:
    """Return the marker of a value that could not be converted, `<unprintable Foo: ValueError>`."""
    return clean_text(f"<unprintable {_NAME(type(value))}: {_NAME(type(error))}>")


def type_name(kind: type) -> str:
    """Return the name of a class with its module, which a builtin does not need: `ValueError`, `app.Oops`."""
    module, name = kind.__module__, _QUALNAME(kind)
    return clean_text(name if module == "builtins" else f"{module}.{name}")
