"""Which failures of a destination can heal by waiting, and which only by somebody who does something."""

from __future__ import annotations

import errno
from typing import Final

_NEEDS_SOMEBODY: Final = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENODEV,
        errno.ENOENT,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.ENXIO,
        errno.EPERM,
        errno.EROFS,
    }
)
"""Full, read-only, forbidden or gone: the next second finds it as this one did, mostly."""


def heals_by_waiting(error: BaseException) -> bool:
    """Whether trying again in a moment is likely to help: EIO, ESTALE, ENOMEM, EMFILE and their like."""
    return not (isinstance(error, OSError) and error.errno in _NEEDS_SOMEBODY)
