"""
How much looking one value may ask for: a bound on what a record made against the rules can cost emit().

A scan reads a byte in two nanoseconds, whatever the text is. What costs is each place that looks like a
secret, 3 to 8 µs to judge and to replace it, and what Python has to do for each small value of a list. A
record may have one in every few bytes, which would be seconds for 1 MiB. So each byte pays for a part of a
look, and where more looks are asked for than were paid for, what the scan finds suspicious is masked whole,
which takes none. Logs, listings and dumps ask for a third of it.

Invariants, and the test in test_masking_linear that fails first:

1.  The steps that a record takes grow with its length, by less than `STEPS_PER_BYTE` of that test.
    (test_a_record_made_against_the_rules_takes_no_more_steps_than_its_length_pays_for)
2.  However soon the effort ends, no secret stays. (test_no_secret_leaks_however_soon_the_effort_is_spent)
"""

from __future__ import annotations

from typing import Final

FREE_LOOKS: Final = 1000
BYTES_PER_LOOK: Final = 32
CROWDED_RULE: Final = "crowded"
"""The rule, in counts and findings, of what is masked whole since it asks for too much."""


class TooMuchError(Exception):
    """More looks were asked for than were paid for."""


class Effort:
    """The looks that are left for one value of some bytes."""

    __slots__ = ("_left", "is_spent")

    def __init__(self, size: float) -> None:
        self._left = FREE_LOOKS + size / BYTES_PER_LOOK
        self.is_spent = False
        """Whether more was asked for than there was."""

    def earn(self, size: int) -> None:
        """Take further bytes."""
        self._left += size / BYTES_PER_LOOK
        self.is_spent = self._left < 0

    def pay(self, looks: float) -> None:
        """Pay for work that takes as long as some looks, or a part of one."""
        self._left -= looks
        if self._left < 0:
            self.is_spent = True

    def spend(self) -> None:
        """Pay for a look. TooMuchError where there is none left."""
        self._left -= 1
        if self._left < 0:
            self.is_spent = True
            raise TooMuchError
