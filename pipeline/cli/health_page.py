"""The health document as a page for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from pipeline.health.reasons import DEGRADED, FAILING, OK, REASONS
from pipeline.host.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLORS: Final = {OK: "green", DEGRADED: "yellow", FAILING: "red"}
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_WORKER_HEAD: Final = ("role", "pid", "state", "heartbeat", "restarts", "memory")


def lines(document: dict[str, Any], log_dir: str) -> Iterator[str]:
    """Yield the lines of the page. Fields that a newer or older supervisor has otherwise are passed over."""
    status = str(document.get("status", ""))
    headline = "not running" if document.get("is_running") is False else status
    yield f"{click.style(headline, fg=_COLORS.get(status), bold=True)}  {log_dir}"
    yield from _reasons(document)
    yield ""
    yield from _workers(document)
    yield from _queue(document)
    yield from _counts(document)
    yield from _fallback(document.get("fallback", {}))
    yield from _files(document)
    yield from _keeper(document.get("keeper", {}))
    if document.get("last_error"):
        yield _row("last error", visible(str(document["last_error"])))


def _reasons(document: dict[str, Any]) -> Iterator[str]:
    for code in document.get("reasons", []):
        reason = REASONS.get(code)
        color = _COLORS.get(reason.status) if reason else None
        meaning = (
            reason.meaning if reason else "A newer supervisor gives a reason that this command does not know."
        )
        yield f"  {click.style(visible(str(code)), fg=color)}: {meaning}"
        if reason:
            yield f"      {reason.remedy}"
    for complaint in document.get("settings_rejected", []):
        yield f"      {visible(str(complaint))}"
    if document.get("settings_need_restart"):
        names = visible(", ".join(document["settings_need_restart"]))
        yield f"  settings that have changed and need a new start: {names}"
    if document.get("held_back"):
        yield "  An operator stopped it: producers start nothing. Next: pipeline run"


def _workers(document: dict[str, Any]) -> Iterator[str]:
    workers = document.get("workers", [])
    if not workers:
        return
    table = [_WORKER_HEAD, *(_worker(view) for view in workers)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_WORKER_HEAD))]
    for number, row in enumerate(table):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        yield click.style(text, dim=True) if number == 0 else text
    pool = document.get("pool")
    mode = "a service" if document.get("service") else "started by an application"
    shares = ", ".join(f"{visible(str(role))} = {count}" for role, count in pool.items()) if pool else ""
    yield _row("mode", mode + (f"; pool: {shares}" if shares else ""))
    if document.get("address"):
        yield _row("health", f"http://{visible(str(document['address']))}/health")
    yield ""


def _worker(view: dict[str, Any]) -> tuple[str, ...]:
    is_there = bool(view.get("pid"))
    beats = is_there and view.get("role") != "supervisor"
    return (
        visible(str(view.get("role", ""))),
        str(view["pid"]) if is_there else "-",
        _worker_state(view),
        f"{age(view.get('heartbeat_age_sec', 0))} ago" if beats else "-",
        str(view.get("restarts", 0)),
        size(view.get("rss_bytes", 0)) if is_there else "-",
    )


def _worker_state(view: dict[str, Any]) -> str:
    state = visible(str(view.get("state", "")))
    where = " ".join(visible(str(view[key])) for key in ("kernel_state", "waits_in") if view.get(key))
    return f"{state} ({where})" if state == "stuck" and where else state


def _queue(document: dict[str, Any]) -> Iterator[str]:
    queue = document.get("queue", {})
    oldest = queue.get("oldest_age_sec", 0)
    waiting = f"{queue.get('records', 0):,.0f} records, {size(queue.get('bytes', 0))}"
    yield _row("queue", waiting + (f", the oldest {age(oldest)} old" if queue.get("records") else ""))
    yield _row(
        "lanes",
        f"{queue.get('lanes', 0):,.0f} ({_place(queue)})"
        if queue.get("place")
        else f"{queue.get('lanes', 0):,.0f}",
    )
    quota = queue.get("quota_bytes")
    if quota:
        used = queue.get("memory_bytes", 0) + queue.get("disk_bytes", 0)
        yield _row("room", f"{size(used)} of {size(quota)} used ({used / quota:.1%})")


def _place(queue: dict[str, Any]) -> str:
    why = visible(str(queue.get("place_reason", "")))
    return f"in {visible(str(queue['place']))}, {why}" if why else f"in {visible(str(queue['place']))}"


def _counts(document: dict[str, Any]) -> Iterator[str]:
    counts = document.get("counts", {})
    known = [f"{counts[name]:,} {name}" for name in ("emitted", "written", "durable") if name in counts]
    if known:
        yield _row("records", ", ".join(known))
    if document.get("dropped"):
        yield click.style(_row("dropped", _by_name(document["dropped"])), fg="red")
    for name, field in (("left out", "left_out"), ("masked", "masked"), ("truncated", "truncated")):
        if document.get(field):
            yield _row(name, _by_name(document[field]))
    for fault, count in document.get("wrong_fields", {}).items():
        yield _row("wrong", f"{count:,} times {visible(str(fault))}")
    if counts.get("append_failures"):
        retried = f", {counts['retried']:,} tried again" if counts.get("retried") else ""
        yield _row("failures", f"{counts['append_failures']:,} appends{retried}")
    yield from _breaker(document.get("breaker", {}))


def _by_name(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {visible(str(name))}" for name, count in counts.items())


def _breaker(breaker: dict[str, Any]) -> Iterator[str]:
    """Yield how the breaker is, unless it is closed and nothing fails."""
    failures, state = breaker.get("failures", 0), str(breaker.get("state", ""))
    if not failures and state in ("", "closed"):
        return
    since = f"for {age(breaker.get('state_age_sec', 0))}"
    text = f"{visible(state)} {since}, {failures:,} failed attempts in a row"
    if breaker.get("probe_in_sec") is not None:
        text += f", the next probe in {age(breaker['probe_in_sec'])}"
    yield click.style(_row("breaker", text), fg="yellow")


def _fallback(fallback: dict[str, Any]) -> Iterator[str]:
    """Yield what is in the fallback store, where that is anything."""
    rows = fallback.get("rows")
    if rows:
        amount = f"{fallback.get('records', 0):,} records in {rows:,} rows, {size(fallback.get('bytes', 0))}"
        since = visible(str(fallback.get("oldest_at", "")))
        yield click.style(_row("fallback", f"{amount}, the oldest of {since}"), fg="yellow")
        for reason, count in fallback.get("reasons", {}).items():
            yield f"{'':<10} {count:,} by {visible(str(reason))}"
    if fallback.get("error"):
        yield _row("fallback", visible(str(fallback["error"])))
    if rows and fallback.get("path"):
        yield f"{'':<10} in {visible(str(fallback['path']))}"


def _files(document: dict[str, Any]) -> Iterator[str]:
    names = document.get("files", [])
    free = document.get("disk_free_bytes")
    if names:
        yield _row("files", ", ".join(visible(str(name)) for name in names))
    if free is not None:
        yield _row("disk free", size(free))


def _keeper(keeper: dict[str, Any]) -> Iterator[str]:
    """Yield what the last keeper did, and which files it left as they were."""
    packed = keeper.get("packed", {})
    if keeper.get("state"):
        count, before, after = (packed.get(key, 0) for key in ("files", "bytes_before", "bytes_after"))
        amount = f", {size(before)} to {size(after)}" if count else ""
        when = f"{visible(str(keeper['state']))} {visible(str(keeper.get('at', '')))}"
        yield _row("keeper", f"{when}, packed {count:,} files{amount}")
    for stayed in keeper.get("stayed", []):
        yield f"{'':<10} {visible(str(stayed['file']))} stays as it is: {visible(str(stayed['why']))}"
    if keeper.get("error"):
        yield _row("keeper", visible(str(keeper["error"])))


def _row(name: str, text: str) -> str:
    return f"{name:<10} {text}"


def size(count: float) -> str:
    """Return bytes as people read them."""
    for unit in _UNITS[:-1]:
        if count < 1024:  # noqa: PLR2004 - what a KiB is
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def age(seconds: float) -> str:
    """Return a time span as people read it."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
