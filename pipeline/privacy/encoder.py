"""
What emit() calls to encode the fields of a record when masking or truncation is on.

The way of a record that has nothing to hide: encoded, scanned once, returned. The scan answers for the whole
line, keys and numbers included, so nothing but it stands between a clean record and the queue.

Invariants, and the test that fails first:

1.  What the scan does not stop has nothing that the slow way would mask.
    (test_masking_corpus: test_the_scan_stops_every_line_that_the_slow_way_would_change)
2.  An error of ours lets no value through: each is replaced, the record stays, and the error is counted.
    (test_masking_encoder: test_an_error_of_a_rule_lets_no_value_through)
3.  Masking comes before every cut: half a secret is not recognised.
    (test_masking_encoder: test_a_secret_at_the_cut_is_masked_before_it_is_cut)
4.  An action_type is masked like any text. (test_masking_encoder: test_an_action_type_is_masked_too)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pipeline.host import handlers
from pipeline.host.forks import kept_out

if TYPE_CHECKING:
    from pipeline.privacy.line_scan import Scan
    from pipeline.privacy.masker import Masker
    from pipeline.privacy.policy import Policy
    from pipeline.settings import Settings

Encode = Callable[[dict[str, Any]], bytes]
Cut = Callable[[bytes], bytes]
Count = Callable[[str], object]
FAILED: Final = "[MASKING FAILED]"
"""Stands in place of each value of a record that could not be masked; also the name of its counter."""
_SAFE_NAME: Final = re.compile(r"[a-z_]{0,32}")
"""A name that is certainly no secret."""
_NOTHING_SAFE: Final = b'{"":"' + FAILED.encode() + b'"}'


class MaskingEncoder:
    """
    Masking and cutting of what a function makes of fields.

    With `is_on` false it leaves it as it is. `count` is called with the rule of each masked value.
    """

    def __init__(self, settings: Settings, cut: Cut | None, *, count: Count, is_on: bool = True) -> None:
        self._count = count
        self.masks = is_on and settings.mask_sensitive_data
        """Whether bodies have to be looked at."""
        self.may_hold: Scan = _everything
        """Whether there may be something to mask in a body: then it goes through `masked`."""
        self._keeps_lock = False
        """Whether that is the scan that keeps the interpreter's lock."""
        self.cut = cut if is_on else None
        """What cuts a body of more than `max_output_chars` bytes: shorter ones hold no longer text."""
        self._settings = settings
        self._policy: Policy | None = None
        self._masker: Masker | None = None
        self._of_parents: list[tuple[Policy | None, Masker | None]] = []

    def prepare(self) -> None:
        """Compile what looks at each record: the first one would have to wait for it otherwise."""
        if self._policy is None and self.masks:
            with kept_out:
                from pipeline.privacy.from_settings import policy_of

                self._policy = policy_of(self._settings)
            if self.may_hold is _everything:
                self.look_around()

    def look_around(self) -> None:
        """Leave the first look out for as long as there are other threads: it lets go of their lock."""
        if self._policy is not None:
            # threading.active_count() takes a lock, which who is interrupted by a signal handler may have
            is_alone = len(sys._current_frames()) == 1  # noqa: SLF001
            locked = None if is_alone else self._policy.line_scan
            self._keeps_lock = False  # first, and true only behind it: a fork may come in between
            self.may_hold = locked or self._policy.first_look
            self._keeps_lock = locked is not None

    def become_child(self) -> None:
        """
        After a fork: compile the rules again when they are needed.

        An automaton of RE2 adds states while it searches, under a lock that another thread of the parent may
        have held at that moment. The old ones are kept, since to end them takes these locks too. The scan
        that keeps the interpreter's lock goes on: no fork comes into the middle of it.
        """
        self._of_parents.append((self._policy, self._masker))
        self._policy = self._masker = None
        if not self._keeps_lock:
            self.may_hold = _everything

    def around(self, encode: Encode) -> Encode:
        """Return a function from fields to a body with masking and cutting around it."""

        def encode_masked(fields: dict[str, Any]) -> bytes:
            body = encode(fields)
            if self.masks and self.may_hold(body):
                body = self.masked(body, fields, encode)
            return self.shortened(body)

        return encode_masked

    def shortened(self, body: bytes) -> bytes:
        """Return a body, which is masked already, with its long outputs cut."""
        return body if self.cut is None else self.cut(body)

    def masked(self, body: bytes, fields: dict[str, Any], encode: Encode) -> bytes:
        """Return a body masked that may hold something, or the fields' names if that fails."""
        try:
            self.prepare()
            return self._masked(body)
        except Exception as error:  # noqa: BLE001 - whatever it was, no value may pass
            handlers.let_through(error)
            return self._failed(encode, fields)

    def _masked(self, body: bytes) -> bytes:
        if self._policy is None or not (self._keeps_lock or self._policy.scan(body)):
            return body  # what the other scan has stopped need not be asked about again
        if self._masker is None:  # the slow way is loaded by the first record that takes it
            with kept_out:
                from pipeline.privacy.from_settings import masker_of

                self._masker = masker_of(self._settings, self._policy)
        masked, rules = self._masker.line(body)
        for rule in rules:
            self._count(rule)
        return masked

    def _failed(self, encode: Encode, fields: dict[str, Any]) -> bytes:
        try:
            self._count(FAILED)
            named = (
                name if _SAFE_NAME.fullmatch(name) else f"field_{place}" for place, name in enumerate(fields)
            )
            return encode(dict.fromkeys(named, FAILED))
        except Exception as error:  # noqa: BLE001 - no memory, or no stack left
            handlers.let_through(error)
            return _NOTHING_SAFE


def _everything(_body: bytes) -> bool:
    """Stop each body: nothing is compiled yet."""
    return True
