"""What stands in the place of a secret."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from pipeline.privacy.rules import KEY, USER

STRATEGIES: Final = ("mask", "partial", "hash", "remove")
MASKED: Final = "[MASKED]"
_ENDS: Final = 3
_PARTIAL_CHARS_MIN: Final = 12
"""Below this, what is shown would be too much of it."""
_DIGEST_BYTES: Final = 12
SHOWN_FORMS: Final = rb"\[(?:MASKED|USER|HASH:[0-9a-f]{24})\]|[^\s\"']{3}\*\*\*\[MASKED [0-9]+ chars\]\*\*\*"
_CHAR: Final = rb"(?:[\x00-\x7f]|[\xc2-\xf4][\x80-\xbf]{1,3})"
SHOWN: Final = re.compile(SHOWN_FORMS + rb"|" + _CHAR + rb"{3}\*\*\*" + _CHAR + rb"{3}")
"""A text that is a display already, whole: masking twice changes nothing."""


class Display:
    """One strategy, with its key where it hashes."""

    def __init__(self, strategy: str, hash_key: bytes) -> None:
        self.removes = strategy == "remove"
        self._strategy = strategy
        self._hash_key = hash_key

    def text(self, secret: bytes, style: str) -> bytes:
        """Return what is shown of a secret inside a text; nothing when it is to be removed."""
        if style == USER:
            return b"[USER]"
        if self.removes or SHOWN.fullmatch(secret):
            return b"" if self.removes else secret
        if self._strategy == "hash":
            return self._hashed(secret)
        if self._strategy == "partial":
            return _partial(secret)
        return _as_key(secret) if style == KEY else MASKED.encode()

    def value(self, value: Any) -> Any:
        """Return what is shown of a whole value that is no text."""
        if self._strategy == "hash":
            return self._hashed(orjson.dumps(value)).decode()
        return MASKED

    def _hashed(self, secret: bytes) -> bytes:
        import hashlib  # brings OpenSSL along, which the other strategies don't need

        digest = hashlib.blake2b(secret, digest_size=_DIGEST_BYTES, key=self._hash_key)
        return b"[HASH:" + digest.hexdigest().encode() + b"]"


def _chars(secret: bytes) -> str:
    return secret.decode("utf-8", "replace")


def _as_key(secret: bytes) -> bytes:
    return f"{_chars(secret[:_ENDS])}***[MASKED {len(secret)} chars]***".encode()


def _partial(secret: bytes) -> bytes:
    text = _chars(secret)
    if len(text) < _PARTIAL_CHARS_MIN:
        return MASKED.encode()
    return f"{text[:_ENDS]}***{text[-_ENDS:]}".encode()
