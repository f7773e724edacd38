"""The result of a verification."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.verification.findings import Finding, Kind
    from pipeline.verification.scan import Unproven


class End(StrEnum):
    """How a producer ends. The values are part of the JSON contract."""

    CLOSED = "closed"
    """A record says that it closed, or its last record is `pipeline_stopped`."""
    DIED = "died"
    """A record says that it died."""
    LIVE = "live"
    """Its lane is there and its process lives."""
    QUEUED = "queued"
    """Its process is gone and its lane waits to be drained."""
    OPEN = "open"
    """Nothing says that it ended; whether more was emitted cannot be proven."""


@dataclass(frozen=True, slots=True)
class Report:
    """
    What was read and what is wrong with it.

    `as_dict()` is a stable contract: fields are added, never renamed or removed, and readers ignore unknown
    ones.

        ok          true without findings
        exit_code   0 or 1, what `pipeline verify` exits with
        log_dir     the directory
        partial     true if only some of its days were read: gaps at their borders could not be judged then
        files       files read
        records     lines that are records of a known producer and number
        bytes       bytes read, unpacked
        unfinished  last lines that are still being written (no finding)
        producers   {"closed", "died", "live", "queued", "open"}: producers by how they end
        open        ids of producers whose end is not proven, at most 100
        counts      findings by kind, all of them
        findings    at most 1,000 of each kind, in the order of the files; each has kind, sentence, file,
                    line, offset, length, producer, first_action_number, last_action_number, check (which
                    check found it); null is "does not apply"
        proven_bytes  bytes that are by their digests what was appended
        unproven    [{"file", "offset", "length", "why"}]: other bytes; no finding
        expired     {file: records}: files that retention has deleted; no finding
        head        what stands for everything up to the last entry of the manifests, to be kept elsewhere
    """

    log_dir: str
    partial: bool
    files: int
    records: int
    bytes: int
    unfinished: int
    producers: Mapping[End, int]
    open: tuple[str, ...]
    counts: Mapping[Kind, int]
    findings: tuple[Finding, ...]
    proven_bytes: int
    unproven: tuple[Unproven, ...]
    expired: Mapping[str, int]
    head: str

    @property
    def ok(self) -> bool:
        """True without findings."""
        return not self.counts

    @property
    def exit_code(self) -> int:
        """0 or 1, for a command."""
        return 0 if self.ok else 1

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can say it."""
        return {
            "ok": self.ok,
            "exit_code": self.exit_code,
            "log_dir": self.log_dir,
            "partial": self.partial,
            "files": self.files,
            "records": self.records,
            "bytes": self.bytes,
            "unfinished": self.unfinished,
            "producers": {end.value: self.producers[end] for end in End},
            "open": list(self.open),
            "counts": {kind.value: count for kind, count in sorted(self.counts.items())},
            "proven_bytes": self.proven_bytes,
            "unproven": [part._asdict() for part in self.unproven],
            "expired": dict(self.expired),
            "head": self.head,
            "findings": [finding.as_dict() for finding in self.findings],
        }
