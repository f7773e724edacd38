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
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pipeline.host import handlers

if TYPE_CHECKING:
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
    Masking and cutting around the functions from fields to a body.

    With `is_on` false it leaves them as they are. `count` is called with the rule of each masked value.
    """

    def __init__(self, settings: Settings, cut: Cut | None, *, count: Count, is_on: bool = True) -> None:
        self._count = count
        self._settings = settings
        self._cut = cut if is_on else None
        self._masks = is_on and settings.mask_sensitive_data
        self._policy: Policy | None = None
        self._masker: Masker | None = None
        self._of_parents: list[tuple[Policy | None, Masker | None]] = []
        self._forget_scans: list[Callable[[], None]] = []

    def prepare(self) -> None:
        """Build the scan, which the first record would have to wait for otherwise."""
        if self._policy is None and self._masks:
            from pipeline.privacy.from_settings import policy_of

            policy = policy_of(self._settings)
            policy.scan(b"{}")
            self._policy = policy

    def become_child(self) -> None:
        """
        After a fork: compile the rules again when they are needed.

        An automaton of RE2 adds states while it searches, under a lock that another thread of the parent may
        have held at that moment. The old ones are kept, since to end them takes these locks too.
        """
        self._of_parents.append((self._policy, self._masker))
        self._policy = self._masker = None
        for forget_scan in self._forget_scans:
            forget_scan()

    def around(self, encode: Encode) -> Encode:
        """Return a function from fields to a body with masking and cutting around it."""
        if not self._masks:
            return _with_cut(encode, self._cut)
        cut, masked_slowly, uncut_max = self._cut, self._masked, self._settings.max_output_chars
        scan: Callable[[bytes], object] | None = None

        def encode_masked(fields: dict[str, Any]) -> bytes:
            nonlocal scan
            body = encode(fields)
            try:
                if scan is None:
                    self.prepare()
                    scan = self._policy.scan  # type: ignore[union-attr] # prepare() made it or raised
                if scan(body):
                    body = masked_slowly(body)
            except Exception as error:  # noqa: BLE001 - whatever it was, no value may pass
                handlers.let_through(error)
                body = self._failed(encode, fields)
            # A body has no fewer bytes than any text in it has characters: most records end here.
            return body if len(body) <= uncut_max or cut is None else cut(body)

        def forget_scan() -> None:
            nonlocal scan
            scan = None

        self._forget_scans.append(forget_scan)
        return encode_masked

    def _masked(self, body: bytes) -> bytes:
        if self._masker is None:  # the slow way is loaded by the first record that takes it
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


def _with_cut(encode: Encode, cut: Cut | None) -> Encode:
    return encode if cut is None else lambda fields: cut(encode(fields))
