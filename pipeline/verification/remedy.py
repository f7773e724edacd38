"""
What `pipeline repair` has to do about a directory, worked out from an examination of it.

Nothing that was stored is changed but for a torn tail. Entries that are not true, or that break the chain,
are taken out of force by their serials; what they covered, and what never had an entry, gets new ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.verification.entries import instance_of
from pipeline.verification.findings import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.verification.ranges import Range
    from pipeline.verification.survey import Sheet
    from pipeline.verification.verdict import Examination


@dataclass
class Remedy:
    """What to do for one instance."""

    head: str
    """The highest head that is known of: new entries follow it."""
    void: list[Range] = field(default_factory=list)
    """Serials to take out of force."""
    rebuild: dict[str, list[Range]] = field(default_factory=dict)
    """Ranges of bytes, by file, that get new entries."""
    shortened: dict[str, int] = field(default_factory=dict)
    """Sizes of files that are shorter than their entries."""
    torn: dict[str, int] = field(default_factory=dict)
    """Where the torn tails begin that are to be cut off."""
    unusable_lines: dict[str, list[int]] = field(default_factory=dict)
    """Lines, counted from 1, of manifests (named by their path in the log directory) that hold no entry."""
    missing: dict[str, list[Range]] = field(default_factory=dict)
    """Numbers by producer that are nowhere."""

    is_catalog_wrong: bool = False

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to repair. Losses cannot be."""
        parts = (self.void, self.rebuild, self.shortened, self.torn, self.unusable_lines)
        return self.is_catalog_wrong or any(parts)


def remedies(examination: Examination) -> dict[str, Remedy]:
    """Return what to do for each instance that has files or manifests."""
    found = {instance: Remedy("") for instance in ("", *examination.chains)}
    for sheet in examination.sheets:
        found.setdefault(instance_of(sheet.file.name), Remedy(""))
    for instance, remedy in found.items():
        _mend_chain(examination, instance, remedy)
    for finding in examination.report.findings:
        name = finding.file or ""
        remedy = found.get(instance_of(name), found[""])
        remedy.is_catalog_wrong |= finding.check == "catalog"
        if finding.kind is Kind.TORN and name.endswith(".jsonl"):
            remedy.torn[name] = finding.offset or 0
        elif finding.kind is Kind.MISSING and finding.producer is not None:
            numbers = (finding.first_action_number or 0, finding.last_action_number or 0)
            found[""].missing.setdefault(finding.producer, []).append(numbers)
    for sheet in examination.sheets:
        _mend_file(sheet, found[instance_of(sheet.file.name)])
    _mend_absent(examination, found)
    return found


def _mend_chain(examination: Examination, instance: str, remedy: Remedy) -> None:
    chain = examination.chains.get(instance)
    known = [head for head in examination.heads if head.instance == instance]
    last = 0
    if chain is not None:
        known.append(chain.head)
        last = chain.head.serial
        remedy.void += chain.broken
    if known:
        best = max(known, key=lambda head: head.serial)
        remedy.head = f"{best.serial}:{best.digest}"
        if best.serial > last:
            remedy.void.append((last + 1, best.serial))
    entries = {(entry.manifest, entry.line) for entry in chain.entries} if chain else set()
    for finding in examination.report.findings:
        manifest, line = finding.file or "", finding.line
        is_ours = manifest.endswith(".manifest") and instance_of(manifest) == instance
        if is_ours and line is not None and (manifest, line) not in entries:
            remedy.unusable_lines.setdefault(manifest, []).append(line)


def _mend_file(sheet: Sheet, remedy: Remedy) -> None:
    coverage, file = sheet.coverage, sheet.file
    if file.packing or file.trouble:
        return  # what is packed has its entries from before, or none
    proofs = zip(sheet.blocks, sheet.proofs, strict=False)
    serials = [block.serial for block, proof in proofs if not proof.is_same]
    if coverage is not None:
        serials += coverage.unusable
        serials += [block.serial for block in coverage.blocks if block.end > file.size]
        if coverage.end > file.size:
            remedy.shortened[file.name] = file.size
    remedy.void += [(serial, serial) for serial in serials]
    end = remedy.torn.get(file.name, file.size)
    ranges = [*_uncovered(sheet, end, remedy)]
    if ranges:
        remedy.rebuild[file.name] = ranges


def _uncovered(sheet: Sheet, end: int, remedy: Remedy) -> Iterator[Range]:
    """Yield the ranges that have no entry in force."""
    place = 0
    for part in sheet.parts:
        is_in_force = part.block is not None and not any(
            first <= part.block.serial <= last for first, last in remedy.void
        )
        if is_in_force:
            if part.start > place:
                yield place, part.start
            place = part.end
    if place < end:
        yield place, end


def _mend_absent(examination: Examination, found: dict[str, Remedy]) -> None:
    there = {sheet.file.stem for sheet in examination.sheets}
    for name, coverage in examination.known.items():
        if name not in there and coverage.expired is None and coverage.end:
            remedy = found[instance_of(name)]
            remedy.void += [(block.serial, block.serial) for block in coverage.blocks]
            remedy.shortened[name] = 0
