"""
The first look at a record: whether any of some hundred fixed texts stands in it. Hyperscan does that.

It compares with all of them at once by vector instructions and takes 0.4 µs of emit(), where an automaton
that goes from byte to byte, as all others are, takes 0.9 to 1.4 (decision 15). This is the only module that
imports it. Where it cannot be had, or not for this processor, the scan is all there is, and nothing else
changes.

How to look, written out in the two places that do (a function would cost emit() another 0.1 µs)::

    try:
        del look.is_free
        try:
            look.scan(line, found)
        finally:
            look.is_free = True
    except (AttributeError, look.stopped):
        ...  # there may be something

A scan needs a piece of memory of its own, and lets go of the interpreter's lock. So one thread looks at a
time, by one instruction that works or raises (see `queue.turn`); another one that comes in the middle of it,
and a signal handler, take it that there may be something. A fork may come there too: a child has looks of its
own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline.host import handlers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_compiled: Final[dict[tuple[str, ...], bytes]] = {}
"""Compiled expressions as they are loaded: compiling takes 20 ms, loading 0.05."""


class Suspicion(Exception):
    """What a look raises that is not Hyperscan's."""


class FirstLook:
    """One way to look. `scan(line, found)` raises `stopped` where there may be something in a line."""

    __slots__ = ("is_free", "scan", "stopped")

    def __init__(self, scan: Callable[[bytes, Any], object], stopped: type[Exception] = Suspicion) -> None:
        self.scan = scan
        self.stopped = stopped
        self.is_free = True

    def may_hold(self, line: bytes) -> bool:
        """Tell whether there may be anything to mask in a line."""
        try:
            del self.is_free
            try:
                self.scan(line, found)
            finally:
                self.is_free = True
        except (AttributeError, self.stopped):
            return True
        return False


def found(*_match: object) -> bool:
    """End the scan, at the first thing it finds."""
    return True


def look_for(needles: Sequence[str]) -> FirstLook | None:
    """Return the look for expressions, case aside; None where Hyperscan cannot be used."""
    try:
        import hyperscan
    except ImportError:
        return None
    try:
        database = hyperscan.loadb(_compiled_of(hyperscan, tuple(needles)), hyperscan.HS_MODE_BLOCK)
        database.scratch = hyperscan.Scratch(database)
    except hyperscan.error as error:  # a processor that it was not built for
        handlers.let_through(error)
        return None
    return FirstLook(database.scan, hyperscan.error)


def look_by(search: Callable[[bytes], object]) -> FirstLook:
    """Return the look that a search is."""

    def scan(line: bytes, _found: object) -> None:
        if search(line):
            raise Suspicion

    return FirstLook(scan)


BEFORE_ANY: Final = look_by(lambda _line: True)
"""Stops every record: nothing is compiled yet."""


def _compiled_of(hyperscan: Any, needles: tuple[str, ...]) -> bytes:
    if needles not in _compiled:
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(
            expressions=[needle.encode() for needle in needles],
            ids=list(range(len(needles))),
            elements=len(needles),
            flags=[hyperscan.HS_FLAG_CASELESS] * len(needles),
        )
        _compiled[needles] = hyperscan.dumpb(database)
    return _compiled[needles]
