"""
The chain of entries: each follows the one before it, and the heads that were noted elsewhere are in it.

A chain without a break proves that no entry was changed, removed or added in the middle. It cannot prove it
of its end: there the heads help that were noted elsewhere, in the catalog, in the health document of a
running writer, and by whoever kept what `pipeline verify --head` printed. Only the last of them helps against
somebody who computes the whole chain anew, catalog included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orjson import JSONDecodeError, loads

from pipeline.host.terminal import visible
from pipeline.verification.entries import Entry, is_count, producers_of, range_of, read_entries
from pipeline.verification.findings import Finding, Findings, Kind
from pipeline.verification.live import find_homes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

NO_HEAD: Final = "0" * 64
CATALOG: Final = re.compile(r"metadata(?:\.(i[0-9a-f]{8}))?\.json", re.ASCII)
HEAD: Final = re.compile(r"(?:(i[0-9a-f]{8})/)?(\d{1,15}):([0-9a-f]{64})", re.ASCII)


class Head(NamedTuple):
    """A head that somebody noted, and where."""

    instance: str
    serial: int
    digest: str
    source: str
    check: str
    file: str | None = None

    @property
    def text(self) -> str:
        """As `--head` prints it."""
        return (f"{self.instance}/" if self.instance else "") + f"{self.serial}:{self.digest}"


@dataclass
class Chain:
    """The entries of one instance, in the order of their serials."""

    instance: str
    entries: list[Entry]
    void: list[tuple[int, int]] = field(default_factory=list)
    """Serials that a repair has taken out of force."""
    broken: list[tuple[int, int]] = field(default_factory=list)
    """Serials at which the chain breaks: gone, or of two that don't follow each other."""
    missing: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Numbers by producer whose loss somebody has accepted."""
    accepted: int = 0
    """The serial up to which somebody has accepted what cannot be proven."""

    @property
    def head(self) -> Head:
        """The last entry, as a head."""
        last = self.entries[-1]
        return Head(self.instance, last.serial, last.digest, "", "")

    def is_void(self, serial: int) -> bool:
        """Tell whether a repair has taken an entry out of force."""
        return any(first <= serial <= last for first, last in self.void)


def parse_heads(text: str) -> list[Head] | None:
    """Return the heads in what `--head` has printed, None when it is something else."""
    matches = [HEAD.fullmatch(part.strip()) for part in text.split(",")]
    if not all(matches):
        return None
    return [Head(m[1] or "", int(m[2]), m[3], "the head that was kept", "head") for m in matches if m]


def noted_heads(log_dir: Path, findings: Findings) -> list[Head]:
    """Return the heads in catalogs and in what running writers say. Read them before the entries."""
    heads = []
    for home in find_homes(log_dir):
        said = _object(home.runtime_dir / "writer.json") or {}
        heads += _noted(said.get("head"), "the running writer's health", "health", None)
    for path in sorted(log_dir.iterdir()):
        match = CATALOG.fullmatch(path.name)
        if match is not None:
            catalog = _object(path)
            if catalog is None:
                findings.add(Finding(Kind.UNREADABLE, "cannot be read as JSON", path.name, check="catalog"))
                continue
            text = f"{match[1]}/{catalog.get('head')}" if match[1] else catalog.get("head")
            heads += _noted(text, "the catalog", "catalog", path.name)
    return heads


def read_chains(log_dir: Path, findings: Findings) -> dict[str, Chain]:
    """Return the chain of each instance; what breaks one is a finding."""
    chains: dict[str, Chain] = {}
    for entry in read_entries(log_dir, findings):
        chains.setdefault(entry.instance, Chain(entry.instance, [])).entries.append(entry)
    for chain in chains.values():
        chain.entries.sort(key=lambda entry: entry.serial)
        _hear_repairs(chain)
        _judge_links(chain, findings)
    return chains


def current_head(log_dir: Path) -> str:
    """Return the head of all instances' manifests, "" when there is no entry. OSError as for `verify`."""
    chains = read_chains(log_dir, Findings())
    return ",".join(chains[instance].head.text for instance in sorted(chains))


def judge_heads(chains: dict[str, Chain], heads: Iterable[Head], findings: Findings) -> None:
    """Look for each head that was noted; one that is not in its chain is a finding."""
    known = {(c.instance, e.serial): e.digest for c in chains.values() for e in c.entries}
    for head in heads:
        chain = chains.get(head.instance)
        digest = known.get((head.instance, head.serial))
        if digest == head.digest or (chain is not None and chain.is_void(head.serial)):
            continue
        what = "is gone" if digest is None else "is another one now"
        sentence = f"entry {head.serial} of the manifests, which {head.source} names, {what}"
        findings.add(Finding(Kind.BROKEN_CHAIN, sentence, head.file, check=head.check))


def _hear_repairs(chain: Chain) -> None:
    for entry in chain.entries:
        if entry.kind == "repaired":
            void = entry.fields.get("void")
            ranges = [range_of(pair) for pair in void] if isinstance(void, list) else []
            chain.void += [pair for pair in ranges if pair and pair[1] < entry.serial]
        elif entry.kind == "accepted" and is_count(entry.fields.get("until")):
            chain.accepted = max(chain.accepted, min(entry.fields["until"], entry.serial))
            for producer, lost in (producers_of(entry.fields.get("missing")) or {}).items():
                chain.missing.setdefault(producer, []).extend(lost)


def _judge_links(chain: Chain, findings: Findings) -> None:
    first = chain.entries[0]
    _judge_absent(chain, 1, first.serial - 1, first, findings)
    if first.serial == 1 and first.previous != NO_HEAD and not chain.is_void(1):
        chain.broken.append((1, 1))
        findings.add(first.finding(Kind.BROKEN_CHAIN, "the first entry names one before it"))
    for before, entry in pairwise(chain.entries):
        if entry.serial == before.serial:
            if not chain.is_void(entry.serial):
                chain.broken.append((entry.serial, entry.serial))
                findings.add(entry.finding(Kind.BROKEN_CHAIN, f"a second entry {entry.serial}"))
        elif entry.serial > before.serial + 1:
            _judge_absent(chain, before.serial + 1, entry.serial - 1, entry, findings)
        elif entry.previous != before.digest and not _is_mended(chain, before, entry):
            sentence = (
                f"entry {entry.serial} does not follow entry {before.serial} of "
                f"{before.manifest}:{before.line}: one of them is forged"
            )
            chain.broken.append((before.serial, entry.serial))
            findings.add(entry.finding(Kind.BROKEN_CHAIN, sentence))


def _is_mended(chain: Chain, before: Entry, entry: Entry) -> bool:
    return chain.is_void(before.serial) or chain.is_void(entry.serial)


def _judge_absent(chain: Chain, first: int, last: int, entry: Entry, findings: Findings) -> None:
    absent = [serial for serial in _bounded(first, last) if not chain.is_void(serial)]
    if absent:
        chain.broken.append((first, last))
        which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
        findings.add(entry.finding(Kind.BROKEN_CHAIN, f"{which} gone, before entry {entry.serial}"))


def _bounded(first: int, last: int) -> Sequence[int]:
    return range(first, min(last, first + 100_000) + 1)


def _noted(text: object, source: str, check: str, file: str | None) -> list[Head]:
    match = HEAD.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return []
    return [Head(match[1] or "", int(match[2]), match[3], visible(source), check, file)]


def _object(path: Path) -> dict[str, Any] | None:
    try:
        found = loads(path.read_bytes())
    except (OSError, JSONDecodeError):
        return None
    return found if isinstance(found, dict) else None
