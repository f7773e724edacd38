"""What the records of answered requests have in common, whichever server answered them."""

from __future__ import annotations

_QUOTA_STATUS = 429
_ERROR_STATUS = 500


def status_of(http_status: int) -> str:
    """Return the `status` of a request: success, error (5xx) or quota_exceeded (429)."""
    if http_status == _QUOTA_STATUS:
        return "quota_exceeded"
    return "error" if http_status >= _ERROR_STATUS else "success"
