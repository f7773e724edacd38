"""
Records as a table, one line each, coloured by status.

Widths are those of the first thousand rows, so that a long answer needs no more memory than a short one and
`--follow` can go on with the same columns. Rich draws the frame; rows are put together here, since it needs
1 ms for each, and a hundredth of that is enough where all widths are known.
"""

from __future__ import annotations

import io
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from pipeline.cli.listing.columns import status_text
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
_COLOR_SYSTEM: Final = "standard"
_STYLES: Final = {
    "success": Style(color="green"),
    "error": Style(color="red", bold=True),
    "warning": Style(color="yellow"),
    "pending": Style(color="cyan"),
    "quota_exceeded": Style(color="magenta"),
}
_OTHER_STYLE: Final = Style(color="blue")


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
        table = Table(box=self._box, header_style="bold")
        for column, width in zip(self._columns, self._widths, strict=True):
            table.add_column(Text(_fitted(visible(column.heading), width)), width=width, no_wrap=True)
        console = Console(
            file=io.StringIO(),
            force_terminal=self._has_color,
            color_system=_COLOR_SYSTEM if self._has_color else None,
            no_color=not self._has_color,
            width=sum(self._widths) + 3 * len(self._widths) + 1,
        )
        with console.capture() as captured:
            console.print(table)
        return captured.get().rstrip("\n").split("\n")

    def _row(self, record: Record) -> str:
        cells = f" {self._box.mid_vertical} ".join(self._cells(record))
        return f"{self._box.mid_left} {cells} {self._box.mid_right}"

    def _cells(self, record: Record) -> Iterator[str]:
        for column, width in zip(self._columns, self._widths, strict=True):
            text = _fitted(_shown(column, record), width)
            padding = " " * (width - cell_len(text))
            if self._has_color and column.heading.lower() == "status":
                style = _STYLES.get(status_text(record), _OTHER_STYLE)
                text = style.render(text, color_system=ColorSystem.STANDARD)
            yield text + padding

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
