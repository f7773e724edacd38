"""An outage of a log directory under live producers: what it goes through, and how it is judged."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from support import commands
from support.obeying import emits, flushes, started
from support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from support.apps import App
    from support.obeying import StateSite

HEAL_SEC = 100.0
"""Recovery is seen within a minute; a hang is what takes much longer."""


def begun(site: StateSite, log_dir: Path, **options: object) -> App:
    """Return an application whose first records are in the files of a log directory."""
    site.log_dir = log_dir
    app = started(site, **options)
    assert emits(app, "before", 200, 300) == 200
    flushes(app)
    return app


def goes_on(app: App, name: str, count: int = 150, size: int = 300) -> None:
    """Let the application emit, and a child of it: nobody notices anything."""
    assert emits(app, name, count, size) == count
    app.tell(f"fork {name}-child {count} {size}")
    assert app.expect("forked") == "0"


def until_in_fallback(site: StateSite) -> None:
    """Wait until records are in the fallback store, which is also what health says."""
    site.until_reason("fallback_in_use")


def until_replayed(site: StateSite) -> None:
    """Wait until what the fallback store held is in the files."""
    site.until_reason("fallback_in_use", holds=False, timeout_sec=HEAL_SEC)


def ends_well(site: StateSite, app: App, *more: Path) -> None:
    """Let the application and our processes end, and judge."""
    ends(site, app)
    judge(site, *more)


def ends(site: StateSite, app: App) -> None:
    """Let the application and our processes end."""
    app.tell("end")
    assert app.wait() == 0, app.error_text()
    assert app.error_text() == ""
    until(lambda: not site.workers(), "the end of our processes", HEAL_SEC)


def judge(site: StateSite, *more: Path) -> None:
    """
    See that each accepted record is in the files once, and that verify and account say so.

    `more` are directories that somebody took away: what was not durable in them is there and in the files.
    """
    try:
        _judge(site, more)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{told(site, more)}") from None


def told(site: StateSite, more: tuple[Path, ...] = ()) -> str:
    """Return what helps to understand a failure: the files, and what the workers say."""
    sizes = {
        str(path): path.read_bytes().count(b"\n")
        for place in (site.log_dir, *more)
        for path in place.rglob("*")
        if path.is_file()
    }
    journals = [path.read_text() for place in (site.log_dir, *more) for path in place.rglob("workers.log")]
    return "\n".join([*(f"{path}: {lines} lines" for path, lines in sizes.items()), *journals])


def _stored_in(place: Path) -> Counter[tuple[str, int]]:
    lines = [line for path in place.glob("*.jsonl") for line in path.read_bytes().splitlines(keepends=True)]
    assert all(line.endswith(b"\n") for line in lines)
    records = map(json.loads, lines)
    return Counter((record["tag"], record["action_number"]) for record in records if "tag" in record)


def _judge(site: StateSite, more: tuple[Path, ...]) -> None:
    stored = _stored_in(site.log_dir)
    assert max(stored.values(), default=1) == 1, f"twice: {stored.most_common(10)}"
    for place in more:
        stored |= _stored_in(place)
    accepted = Counter(site.accepted())
    assert not accepted - stored, f"lost: {sorted((accepted - stored).elements())[:10]}"
    assert not stored - accepted, f"too many: {sorted((stored - accepted).elements())[:10]}"
    if not more:
        report = json.loads(commands.call(site, "verify", "--json").stdout)
        assert report["ok"], report
        balances = json.loads(commands.call(site, "account", "--json").stdout)
        assert balances["ok"], balances
