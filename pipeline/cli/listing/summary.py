"""Records as statistics: how many, of which types, with which status, and the room they take on the disk."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from pipeline.cli.listing.columns import status_text
from pipeline.host.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_KB = 1024
_SHOWN_MAX = 30


class DiskUse(NamedTuple):
    """Bytes of today's files and of all, and for how many days files are kept."""

    today_bytes: int
    all_bytes: int
    days: float


class Statistics:
    """Counts of records; a session is remembered by a number of 64 bits."""

    def __init__(self) -> None:
        self.total = 0
        self.types: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.error_types: Counter[str] = Counter()
        self._sessions: set[int] = set()

    def add(self, record: dict[str, Any]) -> None:
        """Count one record."""
        action_type, status = str(record.get("action_type", "")), status_text(record)
        self.total += 1
        self.types[action_type] += 1
        self.statuses[status] += 1
        if status == "error":
            self.error_types[action_type] += 1
        session = record.get("session_id")
        if isinstance(session, str) and session:
            self._sessions.add(hash(session))

    @property
    def sessions(self) -> int:
        """How many different sessions the records are of."""
        return len(self._sessions)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts for JSON."""
        return {
            "total": self.total,
            "sessions": self.sessions,
            "errors": self.statuses["error"],
            "types": dict(self.types.most_common()),
            "statuses": dict(self.statuses.most_common()),
            "error_types": dict(self.error_types.most_common()),
        }


def lines(title: str, statistics: Statistics, disk: DiskUse) -> Iterator[str]:
    """Yield the lines of the summary."""
    yield f"=== Log statistics summary ({title}) ==="
    yield ""
    yield f"Total actions: {statistics.total:,}"
    yield f"Sessions: {statistics.sessions:,}"
    yield f"Errors: {statistics.statuses['error']:,}"
    yield from _section("By type", statistics.types, statistics.total)
    yield from _section("By status", statistics.statuses, statistics.total)
    yield from _section("Error types", statistics.error_types)
    yield ""
    yield "Disk usage:"
    yield f"- Today's log: {size(disk.today_bytes)}"
    kept = f"{disk.days:g} days" if disk.days else "kept for ever"
    yield f"- All logs: {size(disk.all_bytes)} ({kept})"


def _section(heading: str, counts: Counter[str], total: int = 0) -> Iterator[str]:
    if not counts:
        return
    yield ""
    yield f"{heading}:"
    for name, count in counts.most_common(_SHOWN_MAX):
        share = f" ({percent(count, total)})" if total else ""
        yield f"- {visible(name) or '(none)'}: {count:,}{share}"
    rest = counts.total() - sum(count for _, count in counts.most_common(_SHOWN_MAX))
    if rest:
        yield f"- {len(counts) - _SHOWN_MAX:,} others: {rest:,}"


def percent(count: int, total: int) -> str:
    """Return a share in whole per cent; what is there is never 0 %, and what is not all never 100 %."""
    share = 100 * count / total
    rounded = f"{share:.0f}%"
    if rounded == "0%" and count:
        return "<1%"
    return ">99%" if rounded == "100%" and count < total else rounded


def size(count: int) -> str:
    """Return a number of bytes with the unit that fits: 512 B, 2.3 MB, of 1024 each."""
    if count < _KB:
        return f"{count} B"
    amount, units = float(count), ["KB", "MB", "GB", "TB", "PB"]
    while (amount := amount / _KB) >= _KB and len(units) > 1:
        units.pop(0)
    return f"{amount:,.1f} {units[0]}"
