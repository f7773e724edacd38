"""What a query has met on its way: how far it is, what it could not read, what was no record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Report:
    """
    Given to a query, it is kept up to date while that runs.

    Without one, a file that cannot be read raises; with one, it is noted here and the rest is read.
    """

    files: int = 0
    """Files that were opened."""
    bytes_total: int = 0
    """Size, on the disk, of the files that are in range; known from the beginning."""
    bytes_read: int = 0
    """How much of that is done, by reading it or by passing it over."""
    foreign_lines: int = 0
    """Lines that were looked at and are no records. Lines that were passed over unseen are not counted."""
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """(file, why) of what could not be read, or not to its end."""
    on_progress: Callable[[Report], object] | None = None
    """Called from time to time while the query reads."""

    def advance(self, done: int) -> None:
        """Say how many bytes are done."""
        self.bytes_read = min(self.bytes_total, done)
        if self.on_progress is not None:
            self.on_progress(self)
