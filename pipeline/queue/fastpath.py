"""
The append of one record to the current segment: the few lines that every `emit()` runs under the lane's lock.

They are a closure and not a method because reading an attribute costs five times a cell here, and there would
be fifteen of them: 30 % of the whole. What changes with the segment is changed by `switch`, in one go.

All state of a lane is the head word, `records << 32 | end`: the next number and the next place are both
derived from it, and one store changes both. A signal handler that raises between any two instructions leaves
nothing half done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from pipeline.host.clock import NANO, wall_ns
from pipeline.limits import OFFSET_BITS
from pipeline.queue.layout import HEAD_WORD, HEADER_BYTES, OFFSET_MASK, ONE_RECORD

if TYPE_CHECKING:
    import threading

    from pipeline.queue.armed import ArmedView, ArmedWords

BUSY: Final = -1
NO_WORDS: Final = memoryview(bytearray(HEADER_BYTES)).cast("Q")
NO_VIEW: Final = memoryview(b"")
_THREE_DIGITS: Final = tuple(b"%03d" % number for number in range(1000))

OnSecond = Callable[[int], "tuple[int, bytes]"]
AppendSlowly = Callable[[bytes, bytes, bytes, bool], int]
"""(the line up to its number, what follows the number, the rest, reserve) -> number, 0 without room"""


class Append(Protocol):
    """Add a record and return its action_number; 0 (no room) or BUSY (nested) when it was not accepted."""

    def __call__(self, opening: bytes, rest: bytes, *, reserve: bool = False) -> int:
        """Take `opening` from behind the microseconds, `rest` from behind the brace (empty: no fields)."""


Switch = Callable[["memoryview | ArmedWords", "memoryview | ArmedView", int, int], None]
"""Go on in another segment: (words, view, its first number, room). Room 0 sends records the slow way."""


def build(
    lock: threading.RLock, producer: str, on_second: OnSecond, append_slowly: AppendSlowly
) -> tuple[Append, Switch]:
    """Return the append of a lane, and what moves it to another segment."""
    join = b"".join
    closing = b',"producer":"%b",' % producer.encode()
    ending = b',"producer":"%b"}' % producer.encode()
    words: memoryview | ArmedWords = NO_WORDS
    view: memoryview | ArmedView = NO_VIEW
    base, room_end = 1, 0
    second_ns, stamp = 0, b""
    is_busy = False

    def append(opening: bytes, rest: bytes, *, reserve: bool = False) -> int:
        nonlocal is_busy, second_ns, stamp
        with lock:
            if is_busy:
                return BUSY
            is_busy = True
            try:
                now = wall_ns()
                since = now - second_ns
                if not 0 <= since < NANO:
                    second_ns, stamp = on_second(now)
                    since = now - second_ns
                micros = since // 1000
                millis, digits = _THREE_DIGITS[micros // 1000], _THREE_DIGITS[micros % 1000]
                word = words[HEAD_WORD]
                number = base + (word >> OFFSET_BITS)
                behind = closing if rest else ending
                line = join((stamp, millis, digits, opening, b"%d" % number, behind, rest, b"\n"))
                start = word & OFFSET_MASK
                end = start + len(line)
                if end > room_end:
                    return append_slowly(join((stamp, millis, digits, opening)), behind, rest, reserve)
                view[start:end] = line
                words[HEAD_WORD] = word + len(line) + ONE_RECORD
                return number
            finally:
                is_busy = False

    def switch(
        new_words: memoryview | ArmedWords, new_view: memoryview | ArmedView, new_base: int, new_room_end: int
    ) -> None:
        nonlocal words, view, base, room_end
        words, view, base, room_end = new_words, new_view, new_base, new_room_end

    return append, switch
