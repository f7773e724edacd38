"""The day that is asked, and what is looked for in it: the same rule for made records and for real ones."""

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

from bench.query.generate import write_day
from bench.query.history import said, write_history


@dataclass(frozen=True)
class Needles:
    """
    What is looked for.

    The session in the middle by its number of records (of those with ten or more), the trace of its first
    record, and the longest word in the first of its texts that has one of five letters or more, but none
    that begins with b, f, n, r, t or u.
    """

    session: str
    trace: str
    word: str

    @classmethod
    def of(cls, log_dir: Path) -> Self:
        """Find them, with the engine: that its answers are right is what the peers are there for."""
        from pipeline import LogQueryEngine

        kept = log_dir.with_name(f"{log_dir.name}.needles.json")
        if kept.exists():
            return cls(**json.loads(kept.read_text()))
        engine = LogQueryEngine(log_dir)
        groups = engine.filter(where="exists(session_id)").group_by("session_id")
        counts = sorted((int(count), key) for key, count in groups.items() if count >= 10)
        session = counts[len(counts) // 2][1]
        records = engine.filter(session_id=session).limit(1000).execute()
        found = cls(session, records[0]["trace_id"], _word(records))
        kept.write_text(json.dumps(asdict(found)))
        return found


def _word(records: list[dict]) -> str:
    for record in records:
        for name in ("message", "content", "output"):
            words = [word for word in str(record.get(name, "")).split() if word.isalnum() and word.isascii()]
            # In the bytes, which grep searches, a new line and `ew` are `\new`.
            if long := [word for word in words if len(word) >= 5 and word[0] not in "bfnrtu"]:
                return max(long, key=len)
    raise ValueError("no word to look for in these records")


@dataclass(frozen=True)
class Data:
    """A log directory with one day, its manifest, and what is asked of it."""

    day: Path
    about: str
    needles: Needles

    @property
    def date(self) -> str:
        """The day, as files are named."""
        return self.day.name.partition(".")[0]

    @property
    def plain(self) -> Path:
        """The same file in a directory without a manifest: nothing is known of it before it is read."""
        place = self.day.parent.with_name(f"{self.day.parent.name}.without-manifest")
        place.mkdir(exist_ok=True)
        if not (place / self.day.name).exists():
            (place / self.day.name).hardlink_to(self.day)
        return place


def made(directory: Path, megabytes: int) -> Data:
    """Return the day of generate.py."""
    day = apart(write_day, directory / str(megabytes), megabytes)
    return Data(day, "made records (bench/query/generate.py)", apart(Needles.of, day.parent))


def real(directory: Path, repository: Path, limit: int = 0) -> Data:
    """Return the day of history.py."""
    place = repository.resolve()
    named = place.parent if place.name in (".git", "repo") else place
    log_dir = directory / f"git-{named.name}{f'-{limit}' if limit else ''}"
    day = apart(write_history, log_dir, place, limit)
    return Data(day, f"real records: {said(place, limit)}", apart(Needles.of, day.parent))


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call in a process of its own: what a child is said to have needed is at least what its parent has."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
