"""`pipeline record`: standard input into a pipeline, losing nothing of what was read."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import click

from pipeline import launch, settings as settings_table
from pipeline.app import Pipeline
from pipeline.cli import stdin_lines
from pipeline.cli.exit_codes import Exit
from pipeline.cli.options import dir_option, json_option, places_of, shown, timeout_option
from pipeline.errors import SettingsError
from pipeline.host import clock
from pipeline.paths import create_runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.paths import Places
    from pipeline.settings import Settings

EPILOG: Final = """\b
Examples:
  $ journalctl -f -o json | pipeline record --type journal
  $ tail -F access.log | pipeline record --type http_access --dir /var/log/app
  $ make 2>&1 | pipeline record                each line of output is a `message` record
  $ pipeline record < events.jsonl             JSON lines; their action_type, if they have one

\b
A JSON object becomes a record of its fields; any other line becomes {"content": the line}. With a full
queue it stops reading until there is room, so whoever writes into the pipe waits. Ctrl+C, SIGTERM and
SIGHUP end the reading; what was read is handed over first. Once more, and it ends at once and says how
many lines it had read in vain.
"""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE_SEC: Final = 10
"""How long, once asked to end, it tries to bring what it has read into a full queue."""
_PATIENCE_SEC: Final = 3600.0
_RETRY_SEC: Final = 0.2
_FLUSH_SLICE_SEC: Final = 0.1
_SHOW_SEC: Final = 0.2


class _GiveUpError(BaseException):
    """Asked to end a second time, or no room came in time. Not an Exception: emit() must let it through."""


@dataclass
class Tally:
    """What became of the input."""

    lines: int = 0
    records: int = 0
    bytes: int = 0
    given_up: int = 0
    """Lines that were read and not accepted."""
    signal: int = 0
    is_flushed: bool = False
    is_held_back: bool = False
    began: float = field(default_factory=clock.monotonic)

    @property
    def seconds(self) -> float:
        """Return how long it took up to now."""
        return clock.monotonic() - self.began

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON can say it."""
        return {
            "lines": self.lines,
            "records": self.records,
            "bytes": self.bytes,
            "lines_given_up": self.given_up,
            "flushed": self.is_flushed,
            "signal": signal.Signals(self.signal).name if self.signal else None,
            "seconds": round(self.seconds, 3),
        }


@click.command(name="record", epilog=EPILOG)
@dir_option
@click.option(
    "--type",
    "action_type",
    default="message",
    show_default=True,
    metavar="NAME",
    help="The action_type of lines that do not name one.",
)
@timeout_option(30, "How long to wait, at the end, until all of it is on the disk.")
@json_option("a summary")
@click.pass_context
def command(
    ctx: click.Context, directory: str | None, action_type: str, timeout: float, *, as_json: bool
) -> None:
    """
    Record standard input: JSON lines as records, other lines as text.

    Joins the pipeline that runs over the log directory, or starts one that ends when it is done.
    """
    if sys.stdin is None or sys.stdin.isatty():
        click.echo("reading lines from the terminal; Ctrl+D ends them", err=True)
    places = places_of(directory)
    settings = _settings(places)
    tally = Tally(is_held_back=launch.is_held_back(places))
    recorder = _Recorder(places, settings, action_type, tally)
    with _signals(tally) as wake_fd, _progress(tally) as show:
        try:
            for found in stdin_lines.read(sys.stdin.fileno(), wake_fd):
                recorder.take(found)
                show()
            _flush(recorder.pipeline, tally, timeout)
        except _GiveUpError:
            tally.is_flushed = False
    recorder.pipeline.close(0)
    _report(places, tally, as_json=as_json)
    ctx.exit(_exit_code(tally))


def _settings(places: Places) -> Settings:
    """Return the settings of the pipeline that runs here, or those it is going to have."""
    create_runtime(places)
    published = launch.published_settings(places)
    reading = published or settings_table.read(
        {"log_dir": str(places.log_dir), "state_dir": str(places.state_dir)}
    )
    settings = reading.settings
    if not settings.enabled:
        raise SettingsError("the pipeline is switched off", where="enabled", remedy="Try: PIPELINE_ENABLED=1")
    if published is None:
        launch.publish_settings(places, reading)
    return settings


def _patient(settings: Settings) -> Settings:
    """Whatever the pipeline's policy is: this producer can wait, and so can whoever writes into its pipe."""
    return replace(
        settings,
        queue_full_strategy="block",
        block_timeout_sec=_PATIENCE_SEC,
        critical_timeout_sec=_PATIENCE_SEC,
    )


class _Recorder:
    """Brings lines into the pipeline and counts them."""

    def __init__(self, places: Places, settings: Settings, action_type: str, tally: Tally) -> None:
        self.pipeline = Pipeline(places, _patient(settings))
        self._places = places
        self._settings = settings
        self._action_type = action_type
        self._tally = tally
        self._parts = 0

    def take(self, found: stdin_lines.Lines) -> None:
        """Record lines as they came in one piece of input."""
        tally = self._tally
        tally.given_up += len(found.lines)
        for index, line in enumerate(found.lines):
            is_part = found.part > 0 and index == 0
            if found.part <= 1 or index > 0:
                tally.lines += 1
                self._parts = 0
            for name, fields in self._records_of(line, is_part=is_part):
                self._accept(name, fields)
            tally.bytes += len(line) + 1
            tally.given_up -= 1

    def _records_of(self, line: bytes, *, is_part: bool) -> list[tuple[str, dict[str, Any]]]:
        number, bytes_max = self._tally.lines, self._settings.max_record_bytes
        if not is_part:
            return stdin_lines.records_of(line, self._action_type, number, bytes_max)
        parts = stdin_lines.parts_of(line, self._action_type, number, bytes_max, self._parts + 1)
        self._parts += len(parts)
        return parts

    def _accept(self, action_type: str, fields: dict[str, Any]) -> None:
        """Emit until it is accepted. With no room emit() itself waits; 0 means that no lane can be made."""
        if not self.pipeline.wants(action_type):
            return
        while not self.pipeline.emit(action_type, **fields):
            if self.pipeline.was_left_out():
                return
            clock.sleep(_RETRY_SEC)
        self._tally.records += 1
        if self._tally.records == 1 and not self._tally.is_held_back:
            launch.start_supervisor(self._places, self._settings)


def _flush(pipeline: Pipeline, tally: Tally, timeout: float) -> None:
    """Wait until all is on the disk, unless nobody is meant to write now."""
    deadline = clock.Deadline(0 if tally.is_held_back else timeout)
    while not tally.is_flushed:
        tally.is_flushed = pipeline.flush(min(_FLUSH_SLICE_SEC, deadline.left), durable=True)
        if deadline.has_passed:
            return


@contextmanager
def _signals(tally: Tally) -> Iterator[int]:
    """Turn signals into the end of the reading; yields a descriptor that can be read once one came."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def note(number: int, _frame: object) -> None:
        if tally.signal or number == signal.SIGALRM:
            raise _GiveUpError
        tally.signal = number
        signal.alarm(_GRACE_SEC)

    before = {number: signal.signal(number, note) for number in (*_SIGNALS, signal.SIGALRM)}
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.alarm(0)
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            # Once asked to end we do, and say how; being asked again must not cut that short.
            signal.signal(number, signal.SIG_IGN if tally.signal else handler)


@contextmanager
def _progress(tally: Tally) -> Iterator[Any]:
    """Show a line on a terminal; yields what is called after each piece of input."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    # Here, since it takes longer to import than a small input takes to record.
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    shown_at = clock.monotonic()
    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:

        def show() -> None:
            nonlocal shown_at
            if clock.monotonic() - shown_at > _SHOW_SEC:
                shown_at = clock.monotonic()
                rate = tally.records / max(tally.seconds, 0.001)
                live.update(Text(f"recording: {tally.records:,} records, {rate:,.0f}/s"), refresh=True)

        yield show


def _report(places: Places, tally: Tally, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(tally.as_dict()))
        return
    counts = f"{tally.records:,} records of {tally.lines:,} lines"
    parts = [f"recorded {counts} in {tally.seconds:.1f} s: {shown(places.log_dir)}"]
    if tally.given_up:
        parts.append(f"{tally.given_up:,} lines were read and not accepted: the queue had no room")
    if tally.is_held_back:
        parts.append("an operator stopped the pipeline; the records wait in the queue. Next: pipeline run")
    elif not tally.is_flushed:
        parts.append("not all of them are on the disk yet; they are safe in the queue. Try: pipeline flush")
    try:
        click.echo("\n".join(parts), err=True)
    except OSError:
        return  # nobody reads it; the records are what matters


def _exit_code(tally: Tally) -> int:
    if tally.signal:
        return 128 + tally.signal
    return Exit.DONE if tally.is_flushed or tally.is_held_back else Exit.BAD_NEWS
