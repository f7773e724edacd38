"""
Masking: what is secret by its name or its form never leaves the process that has it.

Records are masked by `emit()` before a byte reaches the queue; `docs/masking.md` is the table of what is
recognised. The functions here do the same by hand, with the default rules; a `Masker` has rules of your own.

    from pipeline.privacy import Masker, mask_headers

    mask_headers({"Authorization": "Bearer …"})        # {"Authorization": "Bea***xyz"}
    Masker(fields=["internal_token"], strategy="hash").json(payload)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pipeline.privacy.masker import Masker

__all__ = ["Masker", "mask_body", "mask_headers", "mask_json", "mask_stream", "mask_url"]

Text = TypeVar("Text", str, bytes)


def __getattr__(name: str) -> Any:
    """Import `Masker` when it is asked for: records are encoded without it until one needs it."""
    if name != "Masker":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipeline.privacy.masker import Masker

    return Masker


_made: dict[str, Masker] = {}
_of_parents: list[dict[str, Masker]] = []


def _default(strategy: str) -> Masker:
    if strategy not in _made:
        from pipeline.privacy.masker import Masker

        _made[strategy] = Masker(strategy=strategy)
    return _made[strategy]


def _forked() -> None:
    """In a child nothing of the parent's automata is used or ended, see `automata`."""
    global _made
    _of_parents.append(_made)
    _made = {}


os.register_at_fork(after_in_child=_forked)


def mask_headers(headers: Mapping[str, Any] | Iterable[tuple[Any, Any]], *, strategy: str = "partial") -> Any:
    """Return headers masked: a dict for a mapping, a list for pairs (of str or bytes). Shows 3 + *** + 3."""
    return _default(strategy).headers(headers)


def mask_body(body: Text, *, strategy: str = "mask") -> Text:
    """Return the body of a request or response masked: JSON, a form, or any text."""
    return _default(strategy).body(body)


def mask_url(url: str, *, strategy: str = "mask") -> str:
    """Return a URL with its password and sensitive query parameters masked."""
    return _default(strategy).url(url)


def mask_json(value: Any, *, strategy: str = "mask") -> Any:
    """Return a tree of dicts, lists, texts and numbers masked; JSON inside its texts too."""
    return _default(strategy).json(value)


def mask_stream(chunks: Iterable[Any], *, strategy: str = "mask") -> Iterator[Any]:
    """Yield a stream of texts or of bytes masked as it comes, however it is cut. See `privacy.streams`."""
    from pipeline.privacy.streams import mask_chunks

    return mask_chunks(_default(strategy), chunks)
