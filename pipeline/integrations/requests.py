"""What the records of answered requests have in common, whichever server answered them."""

from __future__ import annotations

_QUOTA_STATUS = 429
_ERROR_STATUS = 500


def status_of(http_status: int) -> str:
    """Return the `status` of a request: success, error (5xx) or quota_exceeded (429)."""
    if http_status == _QUOTA_STATUS:
        return "quota_exceeded"
    return "error" if http_status >= _ERROR_STATUS else "success"


def number_in(header: str | None) -> int | None:
    """Return the number that a header such as Content-Length holds, None for any other text."""
    return int(header) if header and header.isascii() and header.isdigit() else None
