"""
The equation of one producer: emitted = stored + expired + in queue + in fallback + dropped + quarantined.

It is an equation of sets, not of sums: a record that is missing and another one that is there twice do not
make up for each other. A record that is in two places, on its way from one to the other, counts at one of
them. What `pipeline repair --accept` has taken for lost is on the right side as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pipeline.host.terminal import visible
from pipeline.verification.ranges import Range, count, joined, layers, minus, up_to

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMED_MAX: Final = 20
"""Ranges of numbers that a balance lists; it counts all."""


@dataclass
class Held:
    """Where the records of one producer were found; ranges in any order, that may overlap."""

    stored: list[Range] = field(default_factory=list)
    """As the lines stand in the files: a line that is there twice is twice in here."""
    expired: list[Range] = field(default_factory=list)
    queued: list[Range] = field(default_factory=list)
    fallback: list[Range] = field(default_factory=list)
    dropped: dict[str, list[Range]] = field(default_factory=dict)
    """By reason."""
    quarantined: list[Range] = field(default_factory=list)
    accepted: list[Range] = field(default_factory=list)

    def drop(self, reason: str, ranges: list[Range]) -> None:
        """Add what was dropped for a reason."""
        self.dropped.setdefault(reason, []).extend(ranges)


@dataclass(frozen=True)
class Balance:
    """
    The equation of one producer, in numbers of records. `source` is who says what was emitted.

    `emitted` and `source` are None where nobody says it: the producer is not provable.
    """

    producer: str
    emitted: int | None
    source: str | None
    stored: int
    expired: int
    queued: int
    fallback: int
    dropped: Mapping[str, int]
    quarantined: int
    accepted: int
    missing: tuple[Range, ...]
    """Emitted, and nowhere."""
    repeated: tuple[Range, ...]
    """Stored again."""
    extra: tuple[Range, ...]
    """Stored, and never emitted."""

    @property
    def ok(self) -> bool:
        """Whether both sides are the same."""
        return self.emitted is not None and not (self.missing or self.repeated or self.extra)

    @property
    def accounted(self) -> int:
        """The right side of the equation."""
        places = (self.stored, self.expired, self.queued, self.fallback, self.quarantined, self.accepted)
        return sum(places) + sum(self.dropped.values())

    @property
    def sentence(self) -> str:
        """What is wrong, and what to do; empty when nothing is."""
        if self.ok:
            return ""
        which = visible(self.producer)
        if self.emitted is None:
            what = f"{which}: unknown: {self.accounted:,} records, and nothing says how many were emitted"
            return f"{what}; its lane is gone and neither the register nor the stream tells its end"
        parts = [_part(self.missing, "missing"), _part(self.repeated, "stored again")]
        parts.append(_part(self.extra, "stored and never emitted"))
        difference = f"{which}: emitted {self.emitted:,}, accounted for {self.accounted:,}"
        return f"{difference}: {', '.join(filter(None, parts))}; `pipeline verify` shows where"

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can say it."""
        return {
            "producer": self.producer,
            "ok": self.ok,
            "emitted": self.emitted,
            "source": self.source,
            "stored": self.stored,
            "expired": self.expired,
            "queued": self.queued,
            "fallback": self.fallback,
            "dropped": dict(self.dropped),
            "quarantined": self.quarantined,
            "accepted": self.accepted,
            "difference": None if self.emitted is None else self.emitted - self.accounted,
            "missing": _named(self.missing),
            "repeated": _named(self.repeated),
            "extra": _named(self.extra),
        }


def balance(producer: str, held: Held, emitted: int | None, source: str | None, *, limit: int = 0) -> Balance:
    """
    Balance one producer's account.

    `emitted` is its last number when the first look was taken, and what it has emitted since is left out of
    both sides. `limit` is its last number when all was read: nothing above that can be stored.
    """
    once, again = layers(held.stored)
    last = once[-1][1] if once else 0
    bound = last if emitted is None else emitted
    extra = [] if emitted is None else minus(up_to(once, last), [(1, max(bound, limit))])
    left = [(1, bound)] if bound else []
    counts: dict[str, int] = {}
    places = {"stored": once, "expired": held.expired, "fallback": held.fallback}
    places |= {f"dropped {reason}": ranges for reason, ranges in held.dropped.items()}
    places |= {"quarantined": held.quarantined, "accepted": held.accepted, "queued": held.queued}
    for name, ranges in places.items():
        rest = minus(left, joined(ranges))
        counts[name] = count(left) - count(rest)
        left = rest
    repeated = up_to(again, bound)
    return Balance(
        producer=producer,
        emitted=emitted,
        source=source,
        stored=counts["stored"] + count(repeated) + count(extra),
        expired=counts["expired"],
        queued=counts["queued"],
        fallback=counts["fallback"],
        dropped={reason: counts[f"dropped {reason}"] for reason in sorted(held.dropped)},
        quarantined=counts["quarantined"],
        accepted=counts["accepted"],
        missing=tuple(left) if emitted is not None else (),
        repeated=tuple(repeated),
        extra=tuple(extra),
    )


def _named(ranges: tuple[Range, ...]) -> dict[str, Any]:
    return {"count": count(ranges), "ranges": [list(one) for one in ranges[:NAMED_MAX]]}


def _part(ranges: tuple[Range, ...], what: str) -> str:
    if not ranges:
        return ""
    named = ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in ranges[:3])
    more = ", …" if len(ranges) > 3 else ""  # noqa: PLR2004 - as many as are shown
    return f"{count(ranges):,} {what} (number {named}{more})"
