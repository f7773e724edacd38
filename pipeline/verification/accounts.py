"""
Where every emitted record is: `pipeline account`.

The two sides come from different places. What was emitted the producers say: their lanes, and the register
of those that have ended; only where both are silent, a `producer_closed` or `producer_died` record of the
stream, or a `pipeline_stopped` as the writer's last. What was stored is counted in the lines of the files,
whatever the manifests say. Records move on meanwhile, so the order of the looks matters.

Invariants, each with the test that would fail first
    A1  Lanes are read before stores, stores before the sizes of files. Records go from lanes to files, from
        lanes to stores and from stores to files, and leave the one place when they are in the other: what has
        left a place before it is read is found in the next one.    …it_never_cries_wolf_while_producers_emit
    A2  A lane excuses only what is behind its `durable` position, so a line that is deleted from a file is
        missing although its segment is still there.                …a_deleted_line_is_missing
    A3  Both sides are those of the first look. What was emitted later is left out, and a producer that began
        later as a whole; but nothing may be stored that was not emitted by the last look, unless the lane's
        producer is dead: a power loss may have taken the end of the lane, and what the files have of it is
        what the writer will note in the register.                  …a_line_that_was_never_emitted_is_found
    A4  Registers are read behind the lanes of the same look, so a lane that went in between is in them.
                                                                    …it_never_cries_wolf_while_producers_emit
    A5  What still moves against this order (a file being left, a lane being adopted, the end of a producer
        whose dropped range is told behind it) moves for a moment: while somebody lives, an account that does
        not balance is taken again, and only the last one counts.   …a_difference_that_passes_is_none
    A6  Numbers are ranges everywhere; an account needs memory for gaps, not for records.
                                                                    …it_remembers_ranges_and_no_records
    A7  A drop that is told twice, a record in a store and in a file, or behind a cut mark, counts once.
                                                                    …what_a_full_queue_has_dropped_is_named…
They are in integration/test_account.py and test_account_differences.py; property/test_delivery_model.py takes
the account after each of its steps.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from orjson import JSONDecodeError, loads

from pipeline.host import clock
from pipeline.verification.balance import Balance, Held, balance
from pipeline.verification.chain import read_chains
from pipeline.verification.coverage import coverages
from pipeline.verification.emitted import Emitted, look
from pipeline.verification.fallback import Stored, find_stores, read_stores, without_cut
from pipeline.verification.files import take_snapshot
from pipeline.verification.findings import Findings, Kind
from pipeline.verification.lines import Place
from pipeline.verification.sequence import UNBOUNDED
from pipeline.verification.survey import Sheet, survey
from pipeline.verification.testimony import DROPPED, QUARANTINED, TELLING, Testimony

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from pipeline.verification.coverage import Coverage
    from pipeline.verification.files import LogFile

DROP_OLDEST: Final = "drop_oldest"
"""What a stub stands for."""
TRIES: Final = 3
_PAUSE_SEC: Final = 1.0
"""Longer than the writer needs to bring what moves to its place."""
_NOWHERE: Final = Place(0, 1, 0, 0)


@dataclass(frozen=True)
class Account:
    """
    The balance of every producer.

    `as_dict()` is a stable contract: fields are added, never renamed or removed.

        ok          true when every producer's account balances
        exit_code   0 or 1, what `pipeline account` exits with
        log_dir     the directory
        emitted … accepted   sums over all producers; dropped by reason
        refused     {reason: records} that got no number, and so are no part of the balance
        unknown     ids of producers of whom nothing says how much they have emitted
        unreadable  why something could not be read, which may be the reason of a difference
        producers   one object for each: producer, ok, emitted, source (lane, register, stream, null), stored,
                    expired, queued, fallback, dropped, quarantined, accepted, difference (emitted minus all
                    others, null if unknown), missing, repeated, extra, each {"count", "ranges"} with at most
                    20 ranges [first, last]
    """

    log_dir: str
    balances: tuple[Balance, ...]
    refused: Mapping[str, int] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True when every account balances."""
        return all(one.ok for one in self.balances)

    @property
    def exit_code(self) -> int:
        """0 or 1, for a command."""
        return 0 if self.ok else 1

    @property
    def faulty(self) -> list[Balance]:
        """The balances that are none."""
        return [one for one in self.balances if not one.ok]

    @property
    def sums(self) -> dict[str, Any]:
        """The equation, summed over all producers."""
        names = ("stored", "expired", "queued", "fallback", "quarantined", "accepted")
        dropped: Counter[str] = Counter()
        for one in self.balances:
            dropped.update(one.dropped)
        sums: dict[str, Any] = {"emitted": sum(one.emitted or 0 for one in self.balances)}
        sums |= {name: sum(getattr(one, name) for one in self.balances) for name in names}
        return sums | {"dropped": dict(sorted(dropped.items()))}

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can say it."""
        return {
            "ok": self.ok,
            "exit_code": self.exit_code,
            "log_dir": self.log_dir,
            **self.sums,
            "refused": dict(sorted(self.refused.items())),
            "unknown": [one.producer for one in self.balances if one.emitted is None],
            "unreadable": list(self.unreadable),
            "producers": [one.as_dict() for one in self.balances],
        }


def account(
    log_dir: Path,
    *,
    state_dirs: Iterable[Path] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Account:
    """
    Find every emitted record, while the pipeline runs or not. Nothing is written or locked.

    `state_dirs` are asked for a register beside those that are found. A directory that is not there has no
    files: what producers have emitted may wait in the queue all the same. OSError if one that is there cannot
    be listed.
    """
    state_dirs = [*state_dirs]
    for attempt in range(TRIES):
        found, is_live = _take(log_dir, state_dirs, progress)
        if found.ok or not is_live or attempt == TRIES - 1:
            break
        clock.sleep(_PAUSE_SEC)
    return found


def _take(
    log_dir: Path, state_dirs: Iterable[Path], progress: Callable[[int, int], None] | None
) -> tuple[Account, bool]:
    findings = Findings()
    before = look(log_dir, state_dirs)
    chains = read_chains(log_dir, findings)
    files, stored = _files_and_stores(log_dir, findings)
    known = coverages(chains.values(), findings)
    total = sum(file.size for file in files)

    def told(done: int) -> None:
        if progress is not None:
            progress(min(done, total), total)

    sheets = survey(files, {}, told, is_full=True)
    books = _Books()
    books.testimony.accept(chains.values())
    books.take_files(sheets)
    books.take_store(stored)
    books.take_lanes(before)
    books.take_expired(known, {sheet.file.stem for sheet in sheets})
    after = look(log_dir, state_dirs)
    balances = books.closed(before, after)
    troubles = [f"{found.file}: {found.sentence}" for found in findings.kept if found.kind is Kind.UNREADABLE]
    return (
        Account(str(log_dir), balances, books.testimony.refused, (*troubles, *books.unreadable)),
        bool(before.live or after.live),
    )


def _files_and_stores(log_dir: Path, findings: Findings) -> tuple[list[LogFile], Stored]:
    """Return the files up to their cut marks; none of a directory that is not made yet, or is gone."""
    stores: list[Stored] = []

    def read() -> None:
        stores.append(read_stores(find_stores(log_dir), findings))

    try:
        files = take_snapshot(log_dir, between=read).files
    except (FileNotFoundError, NotADirectoryError):
        read()
        return [], stores[-1]
    return without_cut(files, stores[0]), stores[0]


class _Books:
    """What is where, producer by producer, and what the stream says of it."""

    def __init__(self) -> None:
        self.testimony = Testimony()
        self.unreadable: list[str] = []
        self._held: dict[str, Held] = {}

    def take_files(self, sheets: Iterable[Sheet]) -> None:
        for sheet in sheets:
            for reading in (part.reading for part in sheet.parts if part.reading is not None):
                for producer, first, last, _, _ in reading.stretches:
                    self._of(producer).stored.append((first, last))
                for telling in reading.told:
                    self.testimony.hear(telling.record, _NOWHERE, is_settled=True)
                if reading.trouble is not None:
                    self.unreadable.append(f"{sheet.file.name}: {reading.trouble.sentence}")

    def take_store(self, stored: Stored) -> None:
        for producer, first, last in stored.ranges:
            self._of(producer).fallback.append((first, last))
        for producer, first, last in stored.quarantined:
            self._of(producer).quarantined.append((first, last))
        for _, _, line in stored.lines:
            self._hear(line)

    def take_lanes(self, emitted: Emitted) -> None:
        for producer, lane in emitted.lanes.items():
            held = self._of(producer)
            held.queued += lane.queued
            if lane.dropped:
                held.drop(DROP_OLDEST, lane.dropped)
            for line in lane.telling:
                self._hear(line, of=(DROPPED, QUARANTINED))

    def take_expired(self, known: Mapping[str, Coverage], there: set[str]) -> None:
        for coverage in (known[name] for name in known.keys() - there):
            for producer, pair in coverage.stretches() if coverage.expired is not None else ():
                self._of(producer).expired.append(pair)
            for record in coverage.told():
                self.testimony.hear(record, _NOWHERE, is_settled=True)

    def closed(self, before: Emitted, after: Emitted) -> tuple[Balance, ...]:
        """Return the balance of every producer that anything is known of."""
        self._take_testimony()
        known = {*self._held, *before.register, *self.testimony.ends}
        balances = (self._balance(producer, before, after) for producer in sorted(known))
        return tuple(one for one in balances if one is not None)

    def _balance(self, producer: str, before: Emitted, after: Emitted) -> Balance | None:
        held = self._held.get(producer, Held())
        first, last = before.last(producer), after.last(producer)
        if first is None and last is not None:
            return None  # it began while we were reading
        if held == Held() and (first[0] == 0 if first else producer in before.lanes):
            return None  # it has a lane, and has emitted nothing yet
        told = self._told_end(producer, held)
        first, last = first or told, last or told
        if first is None:
            return balance(producer, held, None, None)
        limit = UNBOUNDED if before.is_cut_off(producer) else last[0] if last else 0
        return balance(producer, held, *first, limit=limit)

    def _told_end(self, producer: str, held: Held) -> tuple[int, str] | None:
        end = self.testimony.ends.get(producer)
        if end is not None:
            return end.last, "stream"
        stopped = self.testimony.stopped.get(producer)
        there = max((last for _, last in [*held.stored, *held.expired, *held.fallback]), default=0)
        return (stopped, "stream") if stopped is not None and stopped == there else None

    def _take_testimony(self) -> None:
        testimony = self.testimony
        for producer, by_reason in testimony.drops.items():
            for reason, ranges in by_reason.items():
                self._of(producer).drop(reason, ranges)
        for producer, ranges in testimony.quarantined.items():
            self._of(producer).quarantined += ranges
        for producer, ranges in testimony.accepted.items():
            self._of(producer).accepted += ranges

    def _hear(self, line: bytes, of: Iterable[str] = TELLING) -> None:
        try:
            record = loads(line)
            if record["action_type"] in of:
                self.testimony.hear(record, _NOWHERE, is_settled=False)
        except (JSONDecodeError, KeyError, TypeError):
            return  # a line of somebody who has such a text in it

    def _of(self, producer: str) -> Held:
        return self._held.setdefault(producer, Held())
