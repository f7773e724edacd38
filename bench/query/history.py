"""
A day of real records: the history of a git repository, through the public API into files.

    python -m bench.query --git PATH            a clone, bare or not; of HEAD, the oldest commit first
    python -m bench.query.history PATH LOG_DIR [COMMITS]            only write it; of so many newest commits

What is real: the texts (messages of commits, and patches), the ids (of commits and of files' contents), who
did how much (a session is an author: few have most of it), which paths come again and again, how records come
in heaps and with gaps, and how they are out of order (by the clocks of those who committed). What is made:

    timestamp      when it was committed, with the years from the first to the last commit drawn together to
                   today, so that it is one file; times that go back go back
    records        one a commit: `commit`, `merge` (two parents or more) or `revert` (a subject that begins
                   with Revert); and one a changed file (merges: none): `file_added`, `file_modified`,
                   `file_deleted`, `file_other`
    session_id     the author's address;  trace_id  the first 32 digits of the commit's id, in all its records
    status         `error` in a revert, `success` in other commits, left out in those of files
    duration_ms    in those of commits: from writing to committing, in real time; left out if below 0

Masking and truncation are on, as they are for everybody; the writer makes the manifest, and says a few things
itself (`pipeline_started` and so on).
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.ours import end_workers

_COMMIT, _FIELD = "\x1e<commit>\x1f", "\x1f"
_FIELDS = 8
_FORMAT = "%x1e<commit>%x1f%H%x1f%P%x1f%ae%x1f%an%x1f%at%x1f%ct%x1f%B%x1f"
_PATCH = "diff --git "
_CHUNK_BYTES = 1 << 20
_FILES = {"A": "file_added", "M": "file_modified", "D": "file_deleted"}
_AT_ONCE = 50_000
"""Records between two flushes: at no moment more than the lanes hold."""

Event = tuple[int, str, dict[str, Any]]
"""Seconds since 1970, action type, fields."""


def write_history(log_dir: Path, repository: Path, limit: int = 0) -> Path:
    """Emit the history, or its newest `limit` commits; return the day's file. One that is there is kept."""
    if not log_dir.exists():
        made = log_dir.with_name(f"{log_dir.name}.new")
        shutil.rmtree(made, ignore_errors=True)
        emit_history(made, repository, limit)
        made.rename(log_dir)
    [day] = log_dir.glob("*.jsonl")
    return day


def emit_history(log_dir: Path, repository: Path, limit: int) -> None:
    """Let a pipeline of our own write the history, and end; RuntimeError if it is not all there."""
    from pipeline import start_pipeline
    from pipeline.testing import FakeClock

    begin, end = span_of(repository, limit)
    # A day that is over would be closed at each pause, and be in many parts.
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    scale = 86_399 / max(1, end - begin)
    pipeline = start_pipeline(str(log_dir), lanes="memory", compression="none", retention_days=0)
    count = 0
    with FakeClock(midnight) as clock:
        for count, (second, kind, fields) in enumerate(events(repository, limit), 1):
            clock.set(midnight + timedelta(seconds=(second - begin) * scale))
            pipeline.emit(kind, **fields)
            if count % _AT_ONCE == 0:
                pipeline.flush(timeout=120)
    pipeline.flush(timeout=120)
    pipeline.close()
    end_workers(log_dir)
    [day] = log_dir.glob("*.jsonl")  # two: it was midnight
    with day.open("rb") as file:
        lines = sum(b'"commit":' in line or b'"blob":' in line for line in file)
    if lines != count:
        raise RuntimeError(f"{lines} records of {count} are in {day}")


def span_of(repository: Path, limit: int = 0) -> tuple[int, int]:
    """Return when its first and its last commit were made, in seconds since 1970."""
    times = [int(one) for one in _git(repository, ["--format=%ct"], limit).split()]
    return min(times), max(times)


def events(repository: Path, limit: int = 0) -> Iterator[Event]:
    """Yield what its records say, the oldest commit first."""
    how = ["--reverse", "--raw", "--patch", "--no-renames", "--no-abbrev", "-z", f"--format={_FORMAT}"]
    for text in _commits(repository, how, limit):
        commit, parents, address, name, written, committed, message, files = text.split(_FIELD, _FIELDS - 1)
        common = {"session_id": address, "trace_id": commit[:32]}
        kind = "merge" if " " in parents else "revert" if message.startswith("Revert ") else "commit"
        took = (int(committed) - int(written)) * 1000
        fields = common | {
            "status": "error" if kind == "revert" else "success",
            "commit": commit,
            "parents": parents.split(),
            "author": name,
            "message": message.rstrip("\n"),
        }
        yield int(committed), kind, fields | ({"duration_ms": took} if took >= 0 else {})
        for fields in _changes(files):
            yield int(committed), fields.pop("kind"), common | fields


def _changes(files: str) -> Iterator[dict[str, Any]]:
    """Yield the fields of each changed file: `:MODE MODE BLOB BLOB LETTER`, NUL, path, NUL; then patches."""
    listed, _, text = files.strip("\n\0").partition("\0\0")
    parts = [part for part in listed.split("\0") if part]
    patches = ("\n" + text).split(f"\n{_PATCH}")[1:]
    if 2 * len(patches) != len(parts):  # a link that has become a file has two
        patches = [""] * (len(parts) // 2)
    for about, path, patch in zip(parts[::2], parts[1::2], patches, strict=True):
        _, mode, before, after, letter = about.split()
        yield {
            "kind": _FILES.get(letter[0], "file_other"),
            "path": path,
            "mode": mode,
            "blob": {"before": before, "after": after},
            "patch": patch.partition("\n")[2],
        }


def _commits(repository: Path, how: list[str], limit: int) -> Iterator[str]:
    """Yield what git says of each commit."""
    command = _command(repository, how, limit)
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace") as process:
        rest = ""
        while chunk := process.stdout.read(_CHUNK_BYTES):
            *whole, rest = (rest + chunk).split(_COMMIT)
            yield from (text for text in whole if text.strip("\0\n"))
        yield rest
    if process.returncode:
        raise RuntimeError(f"git log ended with exit status {process.returncode}")


def _git(repository: Path, how: list[str], limit: int) -> str:
    return subprocess.run(
        _command(repository, how, limit), stdout=subprocess.PIPE, check=True, text=True
    ).stdout


def _command(repository: Path, how: list[str], limit: int) -> list[str]:
    newest = [f"--max-count={limit}"] if limit else []
    # A snapshot that was brought along by somebody else is ours to read.
    trusted = ["-c", f"safe.directory={repository.resolve()}"]
    return ["git", *trusted, "-C", str(repository), "log", *newest, *how]


def said(repository: Path, limit: int = 0) -> str:
    """Say which history it is: its newest commit, and from when to when."""
    begin, end = (datetime.fromtimestamp(second, UTC).date() for second in span_of(repository, limit))
    head = _git(repository, ["--format=%h"], 1).strip()
    return f"the history of a repository up to {head}, {begin} to {end} (bench/query/history.py)"


if __name__ == "__main__":
    write_history(Path(sys.argv[2]), Path(sys.argv[1]), int(sys.argv[3]) if sys.argv[3:] else 0)
