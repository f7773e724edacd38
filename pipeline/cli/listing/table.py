"""
Records as a table, one line each, coloured by status.

Widths are those of the first thousand rows, so that a long answer needs no more memory than a short one and
`--follow` can go on with the same columns. Borders and the cells of wide letters are Rich's; its tables are
not used: they cost 40 ms to import and 1 ms a row, and where all widths are known a row is a join.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import click
from rich import box
from rich.cells import cell_len, set_cell_size

from pipeline.host.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.cli.listing.columns import Column, Record

_CHUNK: Final = 1000
_LIVE_WIDTHS: Final = {"Timestamp": 12, "Action Type": 18, "Tool": 12, "Status": 8, "Message": 60}
"""How wide columns are while nothing is known of what comes."""
_ELSE_LIVE: Final = 24
_LAST_MIN: Final = 12
_LEAST: Final = 6
_HEAD_LINES: Final = 3
_COLORS: Final = {
    "success": "green",
    "error": "bright_red",
    "warning": "yellow",
    "pending": "cyan",
    "quota_exceeded": "magenta",
}
_OTHER_COLOR: Final = "blue"


class TableFormat:
    """A table of these columns; `width` in cells is that of the terminal, None where lines may be long."""

    def __init__(
        self, columns: Sequence[Column], *, width: int | None, color: bool, encoding: str = "utf-8"
    ) -> None:
        self._columns = columns
        self._room = width
        self._widths: list[int] = []
        self._box = box.HEAVY_HEAD if encoding.lower().startswith("utf") else box.ASCII2
        self._has_color = color
        self.rows = 0

    def lines(self, records: Iterable[Record]) -> Iterator[str]:
        """Yield the lines of the whole table; none at all when there is no record."""
        rest = iter(records)
        first = list(islice(rest, _CHUNK))
        if not first:
            return
        self._measure(first)
        yield from self._frame()[:_HEAD_LINES]
        for chunk in chain([first], iter(lambda: list(islice(rest, _CHUNK)), [])):
            yield from self.body(chunk)
        yield self.bottom()

    def head(self, records: Sequence[Record] = ()) -> list[str]:
        """Return the lines above the rows, with room for what is usual and for these records."""
        self._measure(records, live=True)
        return self._frame()[:_HEAD_LINES]

    def body(self, records: Sequence[Record]) -> list[str]:
        """Return the lines of some rows."""
        self.rows += len(records)
        return [self._row(record) for record in records]

    def bottom(self) -> str:
        """Return the line below the rows."""
        return self._frame()[-1]

    def _frame(self) -> list[str]:
        """Return the lines above the rows, and the one below."""
        look, widths = self._box, [width + 2 for width in self._widths]
        head = self._joined(self._headings(), look.head_left, look.head_vertical, look.head_right)
        return [look.get_top(widths), head, look.get_row(widths, "head"), look.get_bottom(widths)]

    def _headings(self) -> Iterator[str]:
        for column, width in zip(self._columns, self._widths, strict=True):
            yield self._styled(_fitted(visible(column.heading), width), width, bold=True)

    def _row(self, record: Record) -> str:
        look = self._box
        return self._joined(self._cells(record), look.mid_left, look.mid_vertical, look.mid_right)

    def _joined(self, cells: Iterable[str], left: str, between: str, right: str) -> str:
        return f"{left} {f' {between} '.join(cells)} {right}"

    def _cells(self, record: Record) -> Iterator[str]:
        for column, width in zip(self._columns, self._widths, strict=True):
            text = _shown(column, record)
            color = _COLORS.get(text, _OTHER_COLOR) if column.heading.lower() == "status" else None
            yield self._styled(_fitted(text, width), width, color=color)

    def _styled(self, text: str, width: int, *, color: str | None = None, bold: bool = False) -> str:
        padding = " " * (width - cell_len(text))
        if self._has_color and (color or bold):
            text = click.style(text, fg=color, bold=bold or None)
        return text + padding

    def _measure(self, records: Sequence[Record], *, live: bool = False) -> None:
        """Set the widths: what these records need, and as much as there is room for in the last column."""
        widths = []
        for column in self._columns:
            least = _LIVE_WIDTHS.get(column.heading, _ELSE_LIVE) if live else 0
            needed = max((cell_len(_shown(column, record)) for record in records), default=0)
            widths.append(max(cell_len(visible(column.heading)), least, min(needed, column.width_max)))
        if self._room is not None:
            widths = _narrowed(widths, self._room - 3 * len(widths) - 1)
        self._widths = widths


def _narrowed(widths: list[int], room: int) -> list[int]:
    """Return widths that fit into the room: first the last column gives, then the widest but the first."""
    widths = [*widths]
    widths[-1] = max(min(widths[-1], _LAST_MIN), widths[-1] - max(0, sum(widths) - room))
    while sum(widths) > room and max(widths) > 1:
        least = _LEAST if max(widths[1:], default=0) > _LEAST else 0
        among = range(1 if least else 0, len(widths))
        widest = max(among, key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def _shown(column: Column, record: Any) -> str:
    # Cut before it is looked at: a field may have megabytes, and an escape only makes it longer.
    return visible(column.cell(record)[: column.width_max + 1])


def _fitted(text: str, width: int) -> str:
    """Return the text in a width, with an ellipsis where something is cut."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 1 else "…"[:width]


def footer(shown: int, total: int) -> str:
    """Return what stands below the table."""
    return f"Showing {shown:,} of {total:,} total actions"
