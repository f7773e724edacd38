"""`LogQueryEngine`: what users and `pipeline log` ask the files with."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pipeline.errors import QueryError
from pipeline.paths import resolve_log_dir
from pipeline.query.plan import Plan
from pipeline.query.question import asked
from pipeline.query.report import Report
from pipeline.query.run import found

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipeline.query.facts import Record
    from pipeline.query.grouping import Group
    from pipeline.query.scan import Found

_RECORD = attrgetter("record")


class LogQueryEngine:
    """
    Finds records in the files of a log directory.

        from pipeline import LogQueryEngine

        errors = LogQueryEngine("logs").filter(date_range=("2025-11-20", "2025-11-21"), status="error")
        for record in errors.tail(50).iter():
            print(record["timestamp"], record["action_type"])

    An engine never changes: `filter()`, `limit()` and the like return a new one. Without a directory it reads
    `$PIPELINE_LOG_DIR`, else `~/.pipeline/logs`. Days, their parts, those of other instances, packed ones and
    those that are being written are read alike; what waits in fallback stores or in the queue, on request.
    A file that cannot be read raises QueryError at the end, unless a `Report` was given, which then says so.
    """

    __slots__ = ("_plan",)

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        *,
        include_fallback: bool = False,
        include_queue: bool = False,
    ) -> None:
        self._plan = Plan(
            resolve_log_dir(log_dir), include_fallback=include_fallback, include_queue=include_queue
        )

    @property
    def log_dir(self) -> Path:
        """The log directory."""
        return self._plan.log_dir

    def filter(  # noqa: PLR0913, PLR0917 - each is a question that people ask, by its name
        self,
        date_range: Any = None,
        action_types: str | Sequence[str] | None = None,
        session_id: str | Sequence[str] | None = None,
        status: str | Sequence[str] | None = None,
        tool_name: str | Sequence[str] | None = None,
        level: str | Sequence[str] | None = None,
        trace_id: str | Sequence[str] | None = None,
        producer: str | Sequence[str] | None = None,
        keyword: str | None = None,
        content_match: str | None = None,
        where: str | None = None,
        since: Any = None,
        until: Any = None,
    ) -> LogQueryEngine:
        """
        Return an engine for records that are all of this, and what was asked for before.

        Of a list, any is enough. `date_range` is a pair of days (those of the files, both included) or of
        moments, None for an open end; a single day stands for itself. `since` <= timestamp < `until` are
        moments: datetimes (without a zone: UTC), RFC 3339 texts, or `15m`, `2h`, `1d` ago. `keyword` is a
        text anywhere in the record, `content_match` a regular expression (Python's) over text values,
        `where` a condition in the language of `pipeline.query.where`. QueryError when one is wrong.
        """
        arguments = {name: value for name, value in locals().items() if name != "self"}
        return self._with(question=asked(self._plan.question, arguments))

    def limit(self, count: int) -> LogQueryEngine:
        """Return an engine for the first records only; reading stops there."""
        return self._with(limit=_count(count, "limit"), tail=None)

    def tail(self, count: int) -> LogQueryEngine:
        """Return an engine for the last records only; files are read from their ends."""
        return self._with(tail=_count(count, "tail"), limit=None)

    def order_by_time(self, *, descending: bool = False) -> LogQueryEngine:
        """Return an engine that gives records by (timestamp, producer, action_number)."""
        return self._with(is_ordered=True, is_descending=descending)

    def complete_tool_names(self) -> LogQueryEngine:
        """Return an engine whose records have the `tool_name` of their call where they have only its id."""
        return self._with(completes=True)

    def execute(self, report: Report | None = None) -> list[Record]:
        """Return the records as a list of dicts."""
        return list(self.iter(report))

    def iter(self, report: Report | None = None) -> Iterator[Record]:
        """Yield the records one by one, however many there are."""
        return map(_RECORD, self._found(report))

    def iter_lines(self, report: Report | None = None) -> Iterator[Found]:
        """Yield (line, record, name, offset): the bytes as stored, and where they stand."""
        return self._found(report)

    def count(self, report: Report | None = None) -> int:
        """Return how many records there are. Without filters but those of time, most of them are not read."""
        from pipeline.query.counting import counted

        noted = report or Report()
        total = counted(self._plan, noted)
        if total is None:
            return sum(1 for _ in self._found(report))
        return total + sum(1 for _ in (() if report else _complete_or_error(noted)))

    def group_by(self, *fields: str, report: Report | None = None) -> dict[Any, Group]:
        """
        Return how many records there are for each value of a field, the most frequent first.

        Keys are the values (`None` where a record has none), tuples of several fields. A `Group` is the
        count, an int, that also knows its durations: `groups["bash"].p95`. `status` and `tool_name` are
        completed; dots lead into objects; `time/1h`, `time/5m` and so on are the beginning of that much time.
        """
        from pipeline.query.grouping import grouped

        names = ("tool_name" in fields) or self._plan.completes
        return grouped(self._with(completes=names).iter(report), fields)

    def sql(self, text: str, report: Report | None = None) -> Any:
        """
        Return the answer to an SQL query about the table `records`: a DuckDB relation.

        `.fetchall()`, `.df()`, `.arrow()` and `.show()` are some of its methods. The table holds the records
        that `iter()` gives. Needs the extra `query`; QueryError says so where it is missing, and what DuckDB
        says of a text that it does not understand.
        """
        from pipeline.query.sql import answer

        return answer(self._plan, text, report)

    def to_arrow(self, report: Report | None = None) -> Any:
        """Return the records as a pyarrow Table. Needs the extra `query`."""
        from pipeline.query.sql import arrow_table

        return arrow_table(self._plan, report)

    def to_parquet(self, path: str | os.PathLike[str], report: Report | None = None) -> int:
        """Write the records to a Parquet file, and return how many there are. Needs the extra `query`."""
        from pipeline.query.sql import write_parquet

        return write_parquet(self._plan, path, report)

    def follow(
        self, *, is_over: Callable[[], bool] = lambda: False, poll_sec: float = 0.25
    ) -> Iterator[Found]:
        """
        Yield the last records if `tail()` was asked for, then each later one as it is written.

        It goes on over rotation, new parts and files of other instances, until `is_over()`, which is asked
        every `poll_sec` seconds. Without `tail()` it begins with what is written from now on.
        """
        from pipeline.query.following import follow

        return follow(self._plan, is_over, poll_sec)

    def _with(self, **changes: Any) -> LogQueryEngine:
        other = object.__new__(LogQueryEngine)
        other._plan = replace(self._plan, **changes)
        return other

    def _found(self, report: Report | None) -> Iterator[Found]:
        noted = report or Report()
        return chain(found(self._plan, noted), () if report else _complete_or_error(noted))


def _complete_or_error(report: Report) -> Iterator[Found]:
    """Yield nothing; QueryError when something could not be read."""
    if report.unreadable:
        name, why = report.unreadable[0]
        raise QueryError("not everything could be read", where=name, cause=why)
    yield from ()


def _count(value: object, where: str) -> int:
    if type(value) is not int or value < 0:
        raise QueryError("not a number of records", where=where, cause=repr(value))
    return value
