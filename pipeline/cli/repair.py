"""`pipeline repair`: bring manifests, catalog and torn tails in order, and say what cannot be proven."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import click

from pipeline import app
from pipeline.cli.bars import progress_bar
from pipeline.cli.exit_codes import Exit
from pipeline.cli.options import dir_option, json_option, places_of, shown
from pipeline.errors import AlreadyRunningError, PipelineError
from pipeline.host import files
from pipeline.host.locks import RecordLock
from pipeline.storage import catalog, manifest_repair
from pipeline.storage.fence import KEEPER_LOCK
from pipeline.storage.manifest import Chain
from pipeline.verification.remedy import remedies
from pipeline.verification.verdict import examine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.paths import Places
    from pipeline.verification.remedy import Remedy
    from pipeline.verification.verdict import Examination

EPILOG: Final = """\b
Examples:
  $ pipeline verify || pipeline repair         new manifests for what is damaged or has none
  $ pipeline repair --dry-run                  only say what would be done
  $ pipeline repair --accept                   repair, and take what is there, and what is lost, for good
  $ pipeline repair --dir /var/log/app --json  of another directory, for a script

\b
Records are never changed. A torn last line is moved to .pipeline/quarantine; entries of manifests that are
not true are taken out of force, and stay. What gets a new entry is "not proven" for `pipeline verify` until
it is accepted: nobody can say any more that it is what was appended.
"""


@click.command(name="repair", epilog=EPILOG)
@dir_option
@click.option("--accept", is_flag=True, help="Take what cannot be proven, and what is lost, for good.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")
@json_option("what was done")
@click.pass_context
def command(ctx: click.Context, directory: str | None, *, accept: bool, dry_run: bool, as_json: bool) -> None:
    """
    Rebuild manifests and catalog from the files, and cut torn tails into quarantine.

    No pipeline may run over the directory meanwhile: stop it first. Producers may go on; their records wait.
    """
    places = places_of(directory)
    if not places.log_dir.is_dir():
        raise PipelineError(
            "no log directory", where=shown(places.log_dir), remedy="Try: pipeline repair --dir DIR"
        )
    with ExitStack() as stack:
        if not dry_run:
            _hold_append_locks(places, stack)
        answer = _repair(places, accept=accept, dry_run=dry_run)
    if answer["repaired"] and not dry_run:
        _record(places, answer)
    click.echo(json.dumps(answer) if as_json else _for_people(places, answer, dry_run=dry_run))
    ctx.exit(Exit.DONE)


def _hold_append_locks(places: Places, stack: ExitStack) -> None:
    """Take the append lock of every instance and the keeper's, so that nobody works on files; else say so."""
    places.belongings_dir.mkdir(mode=0o700, exist_ok=True)
    names = {"append.lock", KEEPER_LOCK} | {
        n for n in files.names_in(places.belongings_dir) if _is_append_lock(n)
    }
    for name in sorted(names):
        lock = RecordLock(places.belongings_dir / name)
        stack.callback(lock.close)
        if not lock.try_acquire():
            raise AlreadyRunningError(
                "a pipeline runs over this directory",
                where=shown(places.log_dir),
                remedy="Try: pipeline stop, then pipeline repair, then pipeline run",
            )


def _is_append_lock(name: str) -> bool:
    return name.startswith("append.") and name.endswith(".lock")


def _repair(places: Places, *, accept: bool, dry_run: bool) -> dict[str, Any]:
    with progress_bar("examining") as progress:
        examination = examine(places.log_dir, progress=progress)
    found = remedies(examination)
    answer: dict[str, Any] = {
        "repaired": any(remedy.is_needed for remedy in found.values()) or accept,
        "entries_out_of_force": _count(pair for remedy in found.values() for pair in remedy.void),
        "rebuilt_bytes": 0,
        "torn_bytes": 0,
        "accepted": accept,
        "findings": sum(examination.report.counts.values()),
    }
    ranges = [pair for remedy in found.values() for part in remedy.rebuild.values() for pair in part]
    if dry_run:
        answer["rebuilt_bytes"] = sum(end - start for start, end in ranges)
        answer["torn_bytes"] = _torn_bytes(examination)
        return answer
    total = sum(end - start for start, end in ranges)
    with progress_bar("rebuilding") as progress:
        done = 0

        def tell(count: int) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress(done, total)

        for instance, remedy in found.items():
            _apply(places, instance, remedy, answer, tell, accept=accept)
    return answer


def _apply(
    places: Places,
    instance: str,
    remedy: Remedy,
    answer: dict[str, Any],
    tell: Callable[[int], None],
    *,
    accept: bool,
) -> None:
    for name, offset in remedy.torn.items():
        answer["torn_bytes"] += manifest_repair.cut_tail(places.belongings_dir, places.log_dir / name, offset)
    for manifest, lines in remedy.unusable_lines.items():
        manifest_repair.drop_lines(places.belongings_dir, places.log_dir / manifest, lines)
    chain = Chain(places.belongings_dir, instance, remedy.head)
    if remedy.void:
        manifest_repair.take_out_of_force(chain, _joined(remedy.void))
    for name, size in remedy.shortened.items():
        manifest_repair.note_shorter(chain, name, size)
    for name, ranges in remedy.rebuild.items():
        answer["rebuilt_bytes"] += manifest_repair.rebuild(chain, places.log_dir, name, ranges, tell)
    if accept and chain.serial:
        manifest_repair.accept(chain, remedy.missing)
    if chain.serial and (accept or remedy.is_needed):
        catalog.store(places.log_dir, chain)


def _record(places: Places, answer: dict[str, Any]) -> None:
    """Leave a record of it in the stream. It is queued when the pipeline is held back."""
    with app.attach(places.log_dir, state_dir=str(places.state_dir)) as pipeline:
        fields = {name: value for name, value in answer.items() if name != "repaired"}
        pipeline.emit("repaired", level="WARNING", **fields)


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ranges in order, those that touch joined."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def _count(ranges: Iterable[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in _joined(ranges))


def _torn_bytes(examination: Examination) -> int:
    return sum(f.length or 0 for f in examination.report.findings if f.kind == "torn")


def _for_people(places: Places, answer: dict[str, Any], *, dry_run: bool) -> str:
    if not answer["repaired"]:
        return f"nothing to repair: {shown(places.log_dir)}"
    lines = [
        *(["dry run    nothing was changed; this is what would be"] if dry_run else []),
        f"rebuilt    {answer['rebuilt_bytes']:,} bytes have new entries",
        f"void       {answer['entries_out_of_force']:,} entries are out of force",
        f"torn       {answer['torn_bytes']:,} bytes are in quarantine",
    ]
    if answer["accepted"]:
        lines.append("accepted   what cannot be proven, and what is lost, is taken for good")
    elif not dry_run:
        lines.append("Look at it with: pipeline verify. Then take it for good with: pipeline repair --accept")
    return "\n".join(lines)
