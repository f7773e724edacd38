"""What is wrong, where, and in words; bounded, so that a ruined directory cannot fill the memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from pipeline.host.terminal import visible

KEPT_PER_KIND: Final = 1000
"""Findings of one kind that are kept in full; the others are only counted."""

EXCERPT_BYTES: Final = 60


class Kind(StrEnum):
    """The kinds of finding. The values are part of the JSON contract."""

    UNPARSABLE = "unparsable"
    """A line that is not a JSON object."""
    WRONG_FIELD = "wrong_field"
    """A JSON object, but no record as the library writes it, or one that contradicts the stored numbers."""
    TORN = "torn"
    """A last line without its newline that nobody is going to finish."""
    MISSING = "missing"
    """Numbers of a producer that are in no file and that no `records_dropped` record names."""
    REPEATED = "repeated"
    """Numbers of a producer that are stored a second time."""
    OUT_OF_ORDER = "out_of_order"
    """Numbers that stand behind a higher number of the same producer in the same file."""
    UNREADABLE = "unreadable"
    """A file, or its rest, that could not be read."""
    CHANGED = "changed"
    """Bytes that are not those that the manifest has the digest of."""
    CUT = "cut"
    """Bytes that the manifest has, and that are gone from the end of a file."""
    REMOVED = "removed"
    """A file that the manifest has and that is gone, though no record says that retention deleted it."""
    BROKEN_CHAIN = "broken_chain"
    """Entries of the manifests that are forged or gone, or a head that was noted and is not among them."""


CHECKS: Final = {
    Kind.UNPARSABLE: "lines",
    Kind.WRONG_FIELD: "lines",
    Kind.TORN: "lines",
    Kind.MISSING: "numbers",
    Kind.REPEATED: "numbers",
    Kind.OUT_OF_ORDER: "numbers",
    Kind.UNREADABLE: "lines",
    Kind.CHANGED: "digests",
    Kind.CUT: "digests",
    Kind.REMOVED: "chain",
    Kind.BROKEN_CHAIN: "chain",
}
"""Which check finds what, where the finding itself says nothing else."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. A field that does not apply is None."""

    kind: Kind
    sentence: str
    file: str | None = None
    line: int | None = None
    """Counted from 1."""
    offset: int | None = None
    """Of the line's first byte, in the unpacked file."""
    length: int | None = None
    producer: str | None = None
    first_action_number: int | None = None
    last_action_number: int | None = None
    check: str = ""
    """Which check found it: lines, numbers, testimony, digests, chain, catalog, health, fallback, or head."""

    def __post_init__(self) -> None:
        """Name the check by the kind where nobody named another one."""
        if not self.check:
            object.__setattr__(self, "check", CHECKS[self.kind])

    @property
    def place(self) -> str:
        """FILE:LINE as editors and terminals understand it, as far as known."""
        if self.file is None:
            return ""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, for JSON."""
        return {**asdict(self), "kind": self.kind.value}


@dataclass(slots=True)
class Findings:
    """All findings of a run: each is counted, the first ones of each kind are kept."""

    kept: list[Finding] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        """Count the finding, and keep it if its kind has room."""
        self.counts[finding.kind] += 1
        if self.counts[finding.kind] <= KEPT_PER_KIND:
            self.kept.append(finding)

    def in_order(self) -> tuple[Finding, ...]:
        """Return what was kept in the order of the files; what has no place comes first."""
        return tuple(sorted(self.kept, key=lambda found: (found.file or "", found.line or 0)))


def excerpt(line: bytes) -> str:
    """Return the beginning of a line, quoted and safe to show."""
    more = "…" if len(line) > EXCERPT_BYTES else ""
    return f"'{visible(line[:EXCERPT_BYTES])}{more}'"


def numbers(first: int, last: int) -> str:
    """Return 'number 7' or 'numbers 7 to 9'."""
    return f"number {first}" if first == last else f"numbers {first} to {last}"
