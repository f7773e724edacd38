"""
The append of one record to the current segment: the few lines that every `emit()` runs, one thread at a time.

They are a closure and not a method because reading an attribute costs five times a cell here, and there would
be fifteen of them: 30 % of the whole. What changes with the segment is changed by `switch`, in one go.

All state of a lane is the head word, `records << 32 | end`: the next number and the next place are both
derived from it, and one store changes both. A signal handler that raises between any two instructions leaves
nothing half done.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Final, Protocol

from pipeline.host.clock import NANO, wall_ns
from pipeline.limits import OFFSET_BITS
from pipeline.queue.layout import HEAD_WORD, HEADER_BYTES, OFFSET_MASK, ONE_RECORD

if TYPE_CHECKING:
    from pipeline.queue.armed import ArmedView, ArmedWords
    from pipeline.queue.turn import Turn

BUSY: Final = -1
NO_WORDS: Final = memoryview(bytearray(HEADER_BYTES)).cast("Q")
NO_VIEW: Final = memoryview(b"")
_THREE_DIGITS: Final = tuple(b"%03d" % number for number in range(1000))
_THOUSAND: Final = 1000
_DIGITS: Final = tuple(b"%d" % number for number in range(1000))

OnSecond = Callable[[int], "tuple[int, bytes]"]
AppendSlowly = Callable[[bytes, bytes, bytes, bool], int]
"""(the line up to its number, what follows the number, the rest, reserve) -> number, 0 without room"""


class Append(Protocol):
    """Add a record and return its action_number; 0 (no room) or BUSY (nested) when it was not accepted."""

    def __call__(self, opening: bytes, rest: bytes, reserve: bool, /) -> int:  # noqa: FBT001
        """
        Take `opening` from behind the microseconds, `rest` from behind the brace (empty: no fields).

        Three plain arguments: one with a default that goes by its name would cost 0.03 µs on every record.
        """


Switch = Callable[["memoryview | ArmedWords", "memoryview | ArmedView", int, int], None]
"""Go on in another segment: (words, view, its first number, room). Room 0 sends records the slow way."""


def build(
    turn: Turn, producer: str, on_second: OnSecond, append_slowly: AppendSlowly
) -> tuple[Append, Switch]:
    """Return the append of a lane, and what moves it to another segment."""
    join = b"".join
    closing = b',"producer":"%b",' % producer.encode()
    ending = b',"producer":"%b"}' % producer.encode()
    words: memoryview | ArmedWords = NO_WORDS
    view: memoryview | ArmedView = NO_VIEW
    base, room_end = 1, 0
    second_ns, stamp = -NANO, b""  # no second yet, nor the one that the epoch begins with
    # Texts before the last three digits of time and number, which most records share with the one before.
    milli, to_milli, thousand, to_thousand, digits = 0, b"", 0, b"", _DIGITS

    def append(opening: bytes, rest: bytes, reserve: bool) -> int:  # noqa: FBT001 - see Append
        nonlocal second_ns, stamp, milli, to_milli, thousand, to_thousand, digits
        me = get_ident()
        while True:
            try:
                del turn.is_free
                break
            except AttributeError:
                if turn.holder == me:
                    return BUSY
                turn.wait()
        turn.holder = me
        try:
            now = wall_ns()
            since = now - second_ns
            if not 0 <= since < NANO:
                second_ns, stamp = on_second(now)
                since, milli = now - second_ns, -1000
            micros = since // 1000
            if not 0 <= (last := micros - milli) < _THOUSAND:
                to_milli, milli = stamp + _THREE_DIGITS[micros // 1000], micros // 1000 * 1000
                last = micros - milli
            micro = _THREE_DIGITS[last]
            word = words[HEAD_WORD]
            number = base + (word >> OFFSET_BITS)
            if not 0 <= (last := number - thousand) < _THOUSAND:
                to_thousand, thousand, digits = _to_thousand(number)
                last = number - thousand
            behind = closing if rest else ending
            line = join((to_milli, micro, opening, to_thousand, digits[last], behind, rest, b"\n"))
            start, size = word & OFFSET_MASK, len(line)
            if start + size > room_end:
                return append_slowly(join((to_milli, micro, opening)), behind, rest, reserve)
            view[start : start + size] = line
            words[HEAD_WORD] = word + size + ONE_RECORD
            return number
        finally:
            turn.is_free = True

    def switch(
        new_words: memoryview | ArmedWords, new_view: memoryview | ArmedView, new_base: int, new_room_end: int
    ) -> None:
        nonlocal words, view, base, room_end
        words, view, base, room_end = new_words, new_view, new_base, new_room_end

    return append, switch


def _to_thousand(number: int) -> tuple[bytes, int, tuple[bytes, ...]]:
    """Return what stands before the last three digits of a number, its value, and texts for these digits."""
    thousands = number // 1000
    return (b"%d" % thousands, thousands * 1000, _THREE_DIGITS) if thousands else (b"", 0, _DIGITS)
