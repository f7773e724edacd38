"""One call of `pipeline log`: from the request to the answer, and what it exits with."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pipeline import launch, settings as settings_table
from pipeline.cli.exit_codes import Exit
from pipeline.cli.listing import aside
from pipeline.cli.listing.answer import Answer
from pipeline.cli.listing.moments import zone_of
from pipeline.cli.listing.output import Output
from pipeline.errors import NotRunningError
from pipeline.host.terminal import visible
from pipeline.query import LogQueryEngine, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.cli.listing.moments import TimeRange
    from pipeline.cli.listing.request import Request
    from pipeline.paths import Places
    from pipeline.settings import Settings


def answer(request: Request, places: Places, stream: Any) -> int:
    """Answer a request and return the exit code. PipelineError, OSError and BrokenPipeError as they come."""
    request.check()
    settings = _settings_of(places)
    if not places.log_dir.is_dir() and not request.unwritten:
        _note(aside.not_in_files(places, settings.fallback_dir))
        raise NotRunningError(
            "no log directory", where=visible(str(places.log_dir)), remedy="Try: pipeline log --dir DIR"
        )
    zone = request.zone(settings.timezone)
    within = request.time_range(zone)
    engine = LogQueryEngine(
        places.log_dir, include_fallback=request.unwritten, include_queue=request.unwritten
    )
    engine = _within(engine, within, is_own_zone=zone == zone_of(settings.timezone))
    report = Report()
    found = Answer(request, engine, within, zone, report)
    # Before anything is read: what comes into the files meanwhile may be in neither.
    waiting = "" if request.unwritten else aside.not_in_files(places, settings.fallback_dir)
    with _output_of(request, places, stream) as output:
        if request.follow:
            _note(waiting)
            found.follow(output)
        else:
            today = request.now.astimezone(zone).date()
            found.show(output, lambda: aside.disk_use(places, today, settings.retention_days))
    _note(waiting)
    if not found.records and not request.has_dates:
        _note("only today was looked at; --since 7d, --date or --date-range looks further back")
    for sentence in aside.unreadable(report):
        _note(sentence)
    return Exit.BAD_NEWS if report.unreadable else Exit.DONE


def _within(engine: LogQueryEngine, within: TimeRange, *, is_own_zone: bool) -> LogQueryEngine:
    """Return the engine for a range. Days of the pipeline's own zone are whole files: no time is compared."""
    if within.days is None or not is_own_zone:
        return engine.filter(since=within.start, until=within.end)
    first, last = (None if day is None else str(day) for day in within.days)
    return engine.filter(date_range=(first, last))


@contextmanager
def _output_of(request: Request, places: Places, stream: Any) -> Iterator[Output]:
    if request.output is None and stream is None:  # started with stdout closed
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            yield Output.to(nowhere)
        return
    if request.output is None or request.output == "-":
        yield Output.to(stream, request.color, may_page=not request.no_pager and not request.follow)
        return
    from pipeline.cli.listing.destination import written_to

    with written_to(request.output, places.log_dir) as output:
        yield output


def _settings_of(places: Places) -> Settings:
    """Return the settings of the pipeline that runs here, else those it would have."""
    published = launch.published_settings(places)
    return published.settings if published else settings_table.load({})[0]


def _note(sentence: str) -> None:
    """Say on stderr what the answer does not say; nothing where there is nothing to say."""
    if not sentence:
        return
    if sys.stdout is not None:
        sys.stdout.flush()
    click.echo(f"note: {visible(sentence)}", err=True)
