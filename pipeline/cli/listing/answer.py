"""An answer: the records that an engine finds, in the form that was asked for, to where it belongs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pipeline.cli.bars import late_progress_bar
from pipeline.cli.listing import columns, json_lines
from pipeline.errors import QueryError
from pipeline.host.terminal import visible
from pipeline.query import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import tzinfo

    from pipeline.cli.listing.columns import Column, Record
    from pipeline.cli.listing.moments import TimeRange
    from pipeline.cli.listing.output import Output
    from pipeline.cli.listing.request import Request
    from pipeline.cli.listing.summary import DiskUse
    from pipeline.cli.listing.table import TableFormat
    from pipeline.query import LogQueryEngine

_CHART_WIDTH: Final = 100
_FEW: Final = 1000
"""So many records are completed one by one; of more, every line is read anyhow."""


class Answer:
    """
    What was found: `everything` of a time range, and what of it passes the filters.

    `report` is told what could not be read.
    """

    def __init__(
        self, request: Request, everything: LogQueryEngine, within: TimeRange, zone: tzinfo, report: Report
    ) -> None:
        self._request = request
        self._everything = everything
        self._found = request.bounded(request.narrowed(everything))
        self._within = within
        self._zone = zone
        self._report = report
        self.records = 0
        """How many records, or rows, were shown."""

    def show(self, output: Output, disk_use: Callable[[], DiskUse]) -> None:
        """Show it. BrokenPipeError when nobody reads on, QueryError when it cannot be answered."""
        request = self._request
        if request.sql is not None:
            self._show_rows(output, request.sql)
        elif request.export:
            self._export(output, request.export)
        elif request.shown_as == "table":
            output.text(self._table(output))
        elif request.shown_as == "summary":
            self._summary(output, disk_use)
        elif request.shown_as == "chart":
            self._chart(output)
        else:
            self._json(output, self._lines(output), is_array=request.shown_as == "json")

    def follow(self, output: Output) -> None:
        """Show the last records, then those that come, until it is interrupted."""
        # Asked also while nothing comes: `pipeline log --follow | head -1` ends with its reader.
        found = self._counted(self._found.follow(is_over=lambda: not output.has_reader()))
        if self._request.shown_as == "jsonl":
            for one in found:
                output.now([self._json_line(output, self._line_of(one))])
            return
        form = _table_format(output, self._columns())
        output.now(form.head())
        for one in found:
            output.now(form.body([one.record]))

    def _table(self, output: Output) -> Iterator[str]:
        from pipeline.cli.listing import tool_names
        from pipeline.cli.listing.table import footer

        form, count = _table_format(output, self._columns()), self._request.count
        if count is not None and count <= _FEW:
            few = [one.record for one in self._read(output, self._found)]
            records: Iterable[Record] = tool_names.completed(few, self._everything)
        else:
            records = (one.record for one in self._read(output, self._found.complete_tool_names()))
        yield from form.lines(records)
        if form.rows:
            yield ""
        yield footer(form.rows, self._total(output, form.rows))

    def _total(self, output: Output, rows: int) -> int:
        """Return how many records there are in the range; behind a bar, unless a pager has the screen."""
        report = Report()
        with self._bar(report, is_seen=output.fits(rows)):
            return self._everything.count(report)

    def _columns(self) -> list[Column]:
        if self._request.fields:
            return columns.chosen(self._request.fields, self._zone)
        with_date = not self._within.is_one_day(self._zone, self._request.now)
        return columns.standard(self._zone, with_date=with_date)

    def _summary(self, output: Output, disk_use: Callable[[], DiskUse]) -> None:
        from pipeline.cli.listing import summary

        statistics = summary.Statistics()
        for one in self._read(output, self._found, is_before_output=True):
            statistics.add(one.record)
        output.text(summary.lines(self._within.title(self._zone), statistics, disk_use()))

    def _chart(self, output: Output) -> None:
        from pipeline.cli.listing.chart import Chart

        chart = Chart(self._zone)
        for one in self._read(output, self._found, is_before_output=True):
            chart.add(one.record)
        title = self._within.title(self._zone)
        output.text(chart.lines(title, output.width or _CHART_WIDTH, color=output.has_color))

    def _lines(self, output: Output) -> Iterator[bytes]:
        """Yield the records' own lines, or new ones of the fields that were asked for."""
        needs_names = "tool_name" in self._request.fields
        engine = self._found.complete_tool_names() if needs_names else self._found
        return map(self._line_of, self._read(output, engine))

    def _line_of(self, one: Any) -> bytes:
        fields = self._request.fields
        return json_lines.encoded(json_lines.only(one.record, fields)) if fields else bytes(one.line)

    def _json(self, output: Output, lines: Iterable[bytes], *, is_array: bool) -> None:
        shown = (self._json_line(output, line) for line in lines)
        output.raw(json_lines.array(shown) if is_array else shown)

    def _json_line(self, output: Output, line: bytes) -> bytes:
        return json_lines.for_terminal(line) if output.is_terminal else line

    def _show_rows(self, output: Output, select: str) -> None:
        """Show rows that are no records: what a select gave."""
        relation, request = self._found.sql(select, self._report), self._request
        if relation is None:
            raise QueryError("no rows come of this", where="--sql", remedy="Begin it with select or from")
        rows = self._counted(_rows_of(relation))
        if request.export == "csv":
            self._csv(output, rows)
        elif request.export or request.shown_as != "table":
            is_array = request.export == "json" or request.shown_as == "json"
            self._json(output, map(json_lines.encoded, rows), is_array=is_array)
        else:
            output.text(_table_format(output, columns.plain(relation.columns)).lines(rows))

    def _export(self, output: Output, form: str) -> None:
        if form == "csv":
            found = self._read(output, self._found.complete_tool_names())
            self._csv(output, (one.record for one in found))
        elif form == "json":
            self._json(output, self._lines(output), is_array=True)
        else:
            from pipeline.cli.listing import parquet

            self.records = parquet.export(self._found, output, self._report)

    def _csv(self, output: Output, records: Iterable[Record]) -> None:
        from pipeline.cli.listing import csv_rows

        output.raw(csv_rows.lines(records, self._request.fields, visible if output.is_terminal else None))

    def _read(
        self, output: Output, engine: LogQueryEngine, *, is_before_output: bool = False
    ) -> Iterator[Any]:
        """
        Yield what an engine finds, behind a progress bar where that disturbs nothing.

        What goes to a terminal and is bounded is read to its end before the first line of it is shown.
        """
        is_gathered = output.is_terminal and self._request.count is not None
        found = self._counted(engine.iter_lines(self._report))
        with self._bar(self._report, is_seen=is_before_output or is_gathered or not output.is_terminal):
            if is_gathered:
                found = iter([*found])
            else:
                yield from found
        yield from found

    @contextmanager
    def _bar(self, report: Report, *, is_seen: bool) -> Iterator[None]:
        """Show how far a report is, where a bar can be seen and disturbs nothing."""
        if not is_seen:
            yield
            return
        with late_progress_bar("searching") as show:
            if show is not None:
                report.on_progress = lambda report: show(report.bytes_read, report.bytes_total)
            yield
        report.on_progress = None

    def _counted(self, found: Iterable[Any]) -> Iterator[Any]:
        for one in found:
            self.records += 1
            yield one


def _table_format(output: Output, chosen: list[Column]) -> TableFormat:
    from pipeline.cli.listing.table import TableFormat

    return TableFormat(chosen, width=output.width, color=output.has_color, encoding=output.encoding)


def _rows_of(relation: Any) -> Iterator[Record]:
    """Yield the rows of a DuckDB relation. By Arrow: its own rows need pytz for a time with a zone."""
    reader = getattr(relation, "to_arrow_reader", None) or relation.fetch_record_batch  # its name before 1.4
    for batch in reader(_FEW):
        yield from batch.to_pylist()
