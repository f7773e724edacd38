"""What was asked for on the command line: which records, in which zone, and how they are to be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Final

from pipeline.cli.listing import moments
from pipeline.errors import SettingsError

if TYPE_CHECKING:
    from pipeline.cli.listing.moments import TimeRange
    from pipeline.query import LogQueryEngine

TAIL_DEFAULT: Final = 50
LISTINGS: Final = ("table", "json", "jsonl")
"""Formats that show the records themselves; they show the last 50 unless another number is asked for."""
FORMATS: Final = (*LISTINGS, "summary", "chart")
EXPORTS: Final = ("csv", "parquet", "json")


@dataclass(frozen=True)
class Request:
    """The options, as they are given."""

    directory: str | None = None
    date: str | None = None
    date_range: str | None = None
    since: str | None = None
    until: str | None = None
    action_type: tuple[str, ...] = ()
    session_id: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    tool_name: tuple[str, ...] = ()
    level: tuple[str, ...] = ()
    trace_id: tuple[str, ...] = ()
    producer: tuple[str, ...] = ()
    keyword: tuple[str, ...] = ()
    content_match: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    limit: int | None = None
    tail: int | None = None
    shows_all: bool = False
    follow: bool = False
    unwritten: bool = False
    fields: tuple[str, ...] = ()
    sql: str | None = None
    format: str | None = None
    export: str | None = None
    output: str | None = None
    timezone: str | None = None
    color: str = "auto"
    no_pager: bool = False
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def check(self) -> None:
        """Refuse what contradicts itself. SettingsError."""
        chosen = {
            "--date": self.date,
            "--date-range": self.date_range,
            "--since or --until": self.since or self.until,
        }
        _at_most_one("says when", [name for name, value in chosen.items() if value])
        counts = {"--limit": self.limit is not None, "--tail": self.tail is not None, "--all": self.shows_all}
        _at_most_one("says how many", [name for name, value in counts.items() if value])
        forms = {"--format": self.format, "--export": self.export}
        _at_most_one("says in which form", [name for name, value in forms.items() if value])
        if self.follow:
            self._check_follow()
        if self.sql is not None and self.shown_as in ("summary", "chart"):
            raise SettingsError("--sql has rows", remedy="Use --format table, json or jsonl, or --export")

    def _check_follow(self) -> None:
        endless = {
            "--limit": self.limit is not None,
            "--until": self.until,
            "--sql": self.sql is not None,
            "--export": self.export,
            "--output": self.output,
            f"--format {self.format}": self.format not in (None, "table", "jsonl"),
        }
        for name, is_given in endless.items():
            if is_given:
                raise SettingsError(
                    f"--follow goes on until Ctrl+C, and {name} needs an end",
                    remedy="Use --format table or jsonl, and leave the other out",
                )

    @property
    def shown_as(self) -> str:
        """The format, table unless another is named."""
        return self.format or "table"

    @property
    def has_dates(self) -> bool:
        """Whether it says when; else it is about today."""
        return bool(self.date or self.date_range or self.since or self.until)

    def zone(self, default: str) -> tzinfo:
        """Return the time zone asked for, else `default`."""
        return moments.zone_of(self.timezone or default or "UTC")

    def time_range(self, zone: tzinfo) -> TimeRange:
        """Return the range asked for, else today."""
        if self.date_range:
            return moments.day_range(self.date_range, zone, self.now)
        if self.since or self.until:
            start = moments.moment(self.since, zone, self.now) if self.since else None
            end = moments.moment(self.until, zone, self.now, is_end=True) if self.until else None
            if start and end and start >= end:
                raise SettingsError("--since is not before --until", remedy="Write the earlier moment first")
            return moments.TimeRange(start, end)
        day = moments.day_of(self.date or "today", zone, self.now)
        return moments.days(day, None if self.follow else day, zone)

    def narrowed(self, engine: LogQueryEngine) -> LogQueryEngine:
        """Return the engine with the filters on the records themselves."""
        engine = engine.filter(
            action_types=_given(self.action_type),
            session_id=_given(self.session_id),
            status=_given(self.status),
            tool_name=_given(self.tool_name),
            level=_given(self.level),
            trace_id=_given(self.trace_id),
            producer=_given(self.producer),
        )
        for word in self.keyword:
            engine = engine.filter(keyword=word)
        for pattern in self.content_match:
            engine = engine.filter(content_match=pattern)
        for expression in self.where:
            engine = engine.filter(where=expression)
        return engine

    @property
    def count(self) -> int | None:
        """How many records are shown at most, None for all."""
        return self.limit if self.limit is not None else self.last_count

    def bounded(self, engine: LogQueryEngine) -> LogQueryEngine:
        """Return the engine with as many records as are to be shown."""
        if self.limit is not None:
            return engine.limit(self.limit)
        count = self.last_count
        return engine if count is None else engine.tail(count)

    @property
    def last_count(self) -> int | None:
        """How many of the last records are shown, None for all or the first ones."""
        if self.tail is not None or self.limit is not None:
            return self.tail
        is_listing = self.shown_as in LISTINGS and not self.export and self.sql is None
        return TAIL_DEFAULT if is_listing and not self.shows_all else None


def _given(values: tuple[str, ...]) -> list[str] | None:
    return list(values) or None


def _at_most_one(what: str, names: list[str]) -> None:
    if len(names) > 1:
        raise SettingsError(f"more than one option {what}: {', '.join(names)}", remedy="Give one of them")
