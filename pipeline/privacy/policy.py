"""What counts as secret, without how it is shown: names, forms, exceptions, and the scan for all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.host.forks import made_once
from pipeline.privacy import names as name_lists
from pipeline.privacy.automata import Search, search_any
from pipeline.privacy.first_look import look_for
from pipeline.privacy.line_scan import scan_for
from pipeline.privacy.names import Names
from pipeline.privacy.needles import needles_of
from pipeline.privacy.value_rules import PERSONAL_RULES, VALUE_RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.privacy.line_scan import Scan

PRESETS: Final = ("standard", "strict")
_ANCHORS: Final = ("^", "$", r"\A", r"\z", r"\b", r"\B")
"""In a pattern of the user's: a text inside a line does not begin and end where the line does."""


class Policy:
    """See `Masker` for the parameters; ValueError for a preset that there is not."""

    def __init__(
        self,
        fields: Iterable[str] = (),
        *,
        patterns: Sequence[str] = (),
        allow: Iterable[str] = (),
        personal_data: bool = False,
        thinking: bool = False,
        tracebacks: bool = False,
        preset: str = "standard",
    ) -> None:
        if preset not in PRESETS:
            raise ValueError(f"preset is one of {', '.join(PRESETS)}, not {preset!r}")
        is_strict = preset == "strict"
        self.patterns = tuple(patterns)
        self.allowed = frozenset(allow)
        fields = tuple(fields)
        whole = (*name_lists.THINKING,) * (thinking or is_strict) + (*name_lists.TRACEBACKS,) * (
            tracebacks or is_strict
        )
        further = (*fields, *whole, *(name_lists.STRICT if is_strict else ()))
        self.names = Names((*name_lists.FIELDS, *further), self.allowed, anywhere=is_strict)
        """Names of fields."""
        self.names_in_text = Names((*name_lists.IN_TEXT, *fields), self.allowed, anywhere=is_strict)
        """Names that a text is believed when it uses them without quotes."""
        rules = (*VALUE_RULES, *(PERSONAL_RULES if personal_data or is_strict else ()))
        self.rules = tuple(rule for rule in rules if rule.name not in self.allowed)

    @made_once
    def gates(self) -> list[str]:
        """Return the gate of the names, then one for each rule."""
        return [self.names.gate(), *(rule.gate for rule in self.rules)]

    @made_once
    def first_look(self) -> Scan:
        """Tell the same as the scan more cheaply, and stop a record in vain now and then."""
        needles = None if self.patterns else needles_of(self.names, self.rules)
        return (look_for(needles) if needles else None) or self.scan

    @made_once
    def line_scan(self) -> Scan | None:
        """Tell the same of an encoded record and keep the interpreter's lock; None where nothing can."""
        return None if self.patterns else scan_for(self.gates)

    @made_once
    def scan(self) -> Search:
        """
        Tell of a record as it is encoded whether anything in it may have to be masked.

        0.9 µs for 300 bytes, whether it has URLs, paths and tokens of a model in it or not.
        """
        found = search_any(self.gates)
        if not self.patterns:
            return found
        if any(anchor in pattern for pattern in self.patterns for anchor in _ANCHORS):
            return lambda _line: [0]
        found_pattern = search_any(self.patterns, is_text=True)
        # What a pattern of the user's finds may have been escaped; without a backslash nothing has.
        return lambda line: found(line) or ([0] if b"\\" in line else found_pattern(line))
