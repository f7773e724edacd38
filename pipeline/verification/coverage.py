"""What the entries say of each file, once the chain is read: its blocks, and how it should end."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from pipeline.verification.entries import Block, block_of, is_count, producers_of
from pipeline.verification.files import NAME
from pipeline.verification.findings import Finding, Kind
from pipeline.verification.testimony import heard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.verification.chain import Chain
    from pipeline.verification.entries import Entry
    from pipeline.verification.findings import Findings


_offset: Final = attrgetter("offset")


@dataclass
class Coverage:
    """What the manifest of one file says. `blocks` are in the order of their offsets and don't overlap."""

    blocks: list[Block] = field(default_factory=list)
    end: int = 0
    """The size that the file has at least."""
    begin: int = 0
    """Where the manifest began; what is before that was there already."""
    expired: dict[str, Any] | None = None
    """What the record of its deletion says, when retention has deleted the file."""
    unusable: list[int] = field(default_factory=list)
    """Serials of entries that cannot be used."""

    @property
    def records(self) -> int:
        """How many records it tells of."""
        return sum(last - first + 1 for _, (first, last) in self.stretches())

    def stretches(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield (producer, [first, last]) of all numbers: those in blocks, and others of a file that left."""
        rest = producers_of((self.expired or {}).get("producers")) or {}
        for producers in (*(block.producers for block in self.blocks), rest):
            for producer, ranges in producers.items():
                yield from ((producer, pair) for pair in ranges)

    def told(self) -> Iterator[dict[str, Any]]:
        """Yield what records in a file that left have said of producers, as such records."""
        return heard((self.expired or {}).get("told"))


def coverages(chains: Iterable[Chain], findings: Findings) -> dict[str, Coverage]:
    """Return what the manifests say of each day file, by its plain name."""
    found: dict[str, Coverage] = {}
    for chain in chains:
        for entry in chain.entries:
            if NAME.fullmatch(entry.file) and not chain.is_void(entry.serial):
                _take(found.setdefault(entry.file, Coverage()), entry, chain.accepted, findings)
    return found


def _take(coverage: Coverage, entry: Entry, accepted: int, findings: Findings) -> None:
    offset = entry.fields.get("offset")
    if entry.kind == "block":
        _take_block(coverage, entry, accepted, findings)
    elif entry.kind == "begin" and is_count(offset):
        coverage.begin = coverage.begin or entry.fields["offset"]
        coverage.end = max(coverage.end, entry.fields["offset"])
    elif entry.kind == "cut" and is_count(offset):
        _take_cut(coverage, entry, findings, is_accepted=entry.serial <= accepted)
    elif entry.kind == "expired":
        coverage.expired = entry.fields


def _take_block(coverage: Coverage, entry: Entry, accepted: int, findings: Findings) -> None:
    block = block_of(entry)
    place = bisect_left(coverage.blocks, block.offset, key=_offset) if block else 0
    if block is None or _overlaps(coverage.blocks, place, block):
        what = "cannot be used" if block is None else "claims bytes that an earlier one has"
        findings.add(entry.finding(Kind.BROKEN_CHAIN, f"entry {entry.serial} {what}"))
        coverage.unusable.append(entry.serial)
        return
    if block.serial <= accepted:
        block = block._replace(unproven="")
    coverage.blocks.insert(place, block)
    coverage.end = max(coverage.end, block.end)
    coverage.expired = None


def _overlaps(blocks: list[Block], place: int, block: Block) -> bool:
    is_early = place > 0 and blocks[place - 1].end > block.offset
    return is_early or (place < len(blocks) and blocks[place].offset < block.end)


def _take_cut(coverage: Coverage, entry: Entry, findings: Findings, *, is_accepted: bool) -> None:
    """Take note that the writer found a file shorter than its entries: somebody did that."""
    size = entry.fields["offset"]
    gone = max(0, coverage.end - size)
    if gone and not is_accepted:
        sentence = f"the writer found {gone:,} bytes cut off at the end, or the file replaced"
        findings.add(Finding(Kind.CUT, sentence, entry.file, None, size, gone, check="chain"))
    coverage.blocks = [block for block in coverage.blocks if block.end <= size]
    coverage.end = size
