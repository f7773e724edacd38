"""
What a writer does before it delivers: find out how far the last one came.

With a control page (every process died, the memory lives) positions follow from it, to the byte. Without one
(power loss, the end of a container, a removed runtime directory) the files are asked which (producer,
action_number) they hold: by sets and not by a maximum, as what survives a power loss need not be a prefix.

Invariants
    R1  A page whose last batch is not where it says is not believed.      crash/test_files_changed.py
    R2  A record that is in a file already is never appended again.        integration/test_recovery.py
        A day that is packed counts as any other.                   integration/test_packed_days.py
        So does one that has left.                                  integration/test_leaving.py
    R3  A torn line at the end of a file is completed when a lane holds the rest, else kept in quarantine.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.delivery import holes
from pipeline.errors import FallbackError
from pipeline.host import failpoint, files
from pipeline.storage import departed, naming, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from pipeline.delivery.control import Intent
    from pipeline.delivery.pump import Pump
    from pipeline.queue.tailer import Tailer


def recover(pump: Pump, beat: Callable[[], None]) -> str:
    """Bring positions and files in line; returns what it went by: "page" or "files"."""
    page = pump.page
    pump.lanes.durable_of = pump.retreat.durable_of
    pump.retreat.load()
    pump.days.grip.check()
    if page.is_retreating:
        pump.retreat.take_back()
        return "page"
    pump.retreat.cut_marked()
    last = page.last_intent()
    if last is not None:
        pump.records = last.records
        pump.advance(last.settled())
    elif page.is_trusted:
        pump.retreat.rewind()  # who took back may not have reached all places of a lane
    if (
        page.is_trusted
        and not _has_copies(pump)
        and (last is None or _is_intact(pump, last))
        and pump.resume()
    ):
        with page.syncing():
            _sync_files(pump, beat)
            for file in pump.days.open.values():
                file.sync()  # by itself, for its size: published with the positions, it is cut there one day
        pump.publish()
        return "page"
    by_files(pump, beat)
    return "files"


def without_files(pump: Pump, *, is_first: bool) -> str:
    """
    Bring positions in line without the files, which this writer must not touch: "page", or "nothing".

    What is not durable is taken back, files unseen. Where the page does not say what is durable, nothing
    moves until the files can be asked; the first writer of all has nothing to ask them for.
    """
    pump.lanes.durable_of = pump.retreat.durable_of
    try:
        pump.retreat.load()
    except FallbackError:
        pump.needs_files = True
        return "nothing"
    is_fresh = is_first and not any(lane.tailer.written for lane in pump.lanes.all())
    if is_fresh and not _has_copies(pump):
        pump.page.trust()
        return "page"
    if pump.page.is_unknown or _has_copies(pump):
        pump.needs_files = True
        return "nothing"
    pump.is_retreating = True
    return "page"


def by_files(pump: Pump, beat: Callable[[], None]) -> None:
    """
    Find out from the files which records of the lanes they hold, and go on behind what was durable.

    The page says so until all of it is settled: a kill in the middle comes here again.
    """
    pump.days.grip.check()
    may_have_failed, pump.needs_files = pump.needs_files, True
    pump.lanes.scan(everywhere=True)  # the volume that is back may have lanes that nobody has seen
    pump.retreat.load()
    pump.forget_unsynced()
    failpoint.reach("writer.recover.files")
    pump.retreat.mark_unsure()
    named = pump.page.named_files | {intent.file for intent in pump.page.intents.values()}
    pump.page.distrust()
    failpoint.reach("writer.recover.distrusted")
    lanes = pump.lanes.all()
    for lane in lanes:
        lane.tailer.written = lane.tailer.durable
        lane.tailer.open_all()
        lane.tailer.start_at_first()
        beat()
    pump.retreat.cut_elsewhere()
    holes.mend(pump.days, beat)
    found = _stored(pump, beat)
    for producer, numbers in pump.retreat.held(found).items():
        found[producer] |= numbers
    names = (
        named
        | holes.torn(pump.days)
        | {name for period in _periods(pump) for name in pump.days.names_of(period)}
    )
    for name in sorted(name for name in names - pump.days.marked if (pump.days.directory / name).is_file()):
        mend_tail(pump, name, found)
    released = pump.checkpoint.load().get("lanes", {})
    for lane in lanes:
        lane.tailer.note_stored(
            found[lane.producer],
            released.get(lane.producer, 0),
            is_after_power_loss=all(
                path.parent != pump.lanes.places.lanes_dir for path in lane.tailer.directories
            ),
        )
    if may_have_failed:
        _write_again(pump, beat)
    _sync_files(pump, beat)
    pump.durable_records = pump.records
    pump.needs_files = False
    failpoint.reach("writer.recover.looked")


def settle_manifests(pump: Pump, beat: Callable[[], None]) -> None:
    """
    Bring the manifests up to the files that a dead writer left, once: as soon as nothing of them is in doubt.

    Not before: what is cut off yet, or taken back, must never have an entry.
    """
    is_in_doubt = pump.is_unsettled or pump.page.open_intent() is not None or pump.retreat.cuts
    if pump.days.manifests.is_behind and pump.retreat.may_touch_files and not is_in_doubt:
        pump.days.manifests.recover(beat)


def _stored(pump: Pump, beat: Callable[[], None]) -> dict[str, set[int]]:
    """Return the numbers that the files hold, of each lane's producer; up to their cut marks."""
    found: dict[str, set[int]] = {lane.producer: set() for lane in pump.lanes.all()}
    periods = _periods(pump) | {naming.period_of(name) for name in pump.days.unsealed()}
    for period in sorted(periods):
        looked: set[Path] = set()
        # Again, until nothing is new: what is packed between two looks has another name in the second.
        while paths := set(pump.days.all_of(period)) - looked:
            looked |= paths
            for path in sorted(paths):
                for producer, numbers in _numbers_in(path, found, pump, beat).items():
                    found[producer] |= numbers
    # Behind the files: what leaves between the two looks has its entry before it is gone.
    for producer, numbers in departed.numbers_of(pump.days.manifests.directory, periods, found, beat).items():
        found[producer] |= numbers
    return found


def _numbers_in(
    path: Path,
    producers: Collection[str],
    pump: Pump,
    beat: Callable[[], None],
) -> dict[str, set[int]]:
    """Return the numbers that a file holds, up to its cut mark; none when it is gone by now."""
    try:
        about = path.stat()
        marks = [one.size for one in pump.retreat.cuts if pump.days.grip.is_it(about, one.volume, one.inode)]
        return stored.stored_numbers(path, producers, beat, end=min(marks, default=None))
    except FileNotFoundError:
        return {}


def mend_tail(pump: Pump, name: str, found: dict[str, set[int]]) -> None:
    """
    Complete the half line at the end of a file from the lane that holds it, or cut it into quarantine.

    Only a record that no file holds can be the one; it is added to `found` then.
    """
    path = pump.days.directory / name
    offset, torn = stored.torn_tail(path)
    if not torn:
        return
    failpoint.reach("writer.recover.mend")
    rest = _rest_of(torn, pump, found)
    file = pump.days.open_by_name(name)
    if rest:
        file.append([rest])
        file.size = file.actual_size()
    else:
        pump.days.quarantine(name, offset, torn)
        file.cut_to(offset)
    file.sync()
    failpoint.reach("writer.recover.mended")
    pump.days.let_go(file)


def _rest_of(torn: bytes, pump: Pump, found: dict[str, set[int]]) -> bytes:
    """
    Return what is missing behind a half line, empty when no lane holds its record.

    Only the first record of a lane that no file holds can be the one: a later one would overtake it.
    """
    for lane in pump.lanes.all():
        line = _first_unstored(lane.tailer, found[lane.producer])
        number = stored.number_of(line)
        if number is not None and line.startswith(torn):
            found[lane.producer].add(number)
            return line[len(torn) :]
    return b""


def _first_unstored(tailer: Tailer, known: set[int]) -> bytes:
    """Return the first line, from the position on, whose number is not known; empty when there is none."""
    serial, offset = tailer.place()
    for number in sorted(number for number in tailer.segments if number >= serial):
        segment = tailer.segments[number]
        segment.refresh()
        start = max(offset, segment.start) if number == serial else segment.start
        if start >= segment.end:
            continue  # a power loss may leave a segment that ends before its position
        for line in segment.read(start, segment.end).splitlines(keepends=True):
            if stored.number_of(line) not in known:
                return line
    return b""


def _periods(pump: Pump) -> set[str]:
    """Return the periods of everything that is not released."""
    for lane in pump.lanes.all():
        lane.tailer.open_all()
    return {period for lane in pump.lanes.all() for period in lane.tailer.periods()}


def _has_copies(pump: Pump) -> bool:
    """Whether a producer handed in what an earlier writer may have stored already."""
    for lane in pump.lanes.all():
        lane.tailer.open_all()
    return any(lane.tailer.has_copy for lane in pump.lanes.all())


def _sync_files(pump: Pump, beat: Callable[[], None]) -> None:
    """Sync every file that lanes may have records in: a killed writer may not have come to it."""
    periods = _periods(pump)
    for path in {path for period in periods for path in pump.days.all_of(period)}:
        beat()
        with suppress(FileNotFoundError):  # packed since it was listed, from what was synced
            files.sync_file(path)
    if periods:
        files.sync_directory(pump.days.directory)


def _write_again(pump: Pump, beat: Callable[[], None]) -> None:
    """
    Write what is not known to be synced once more, as it stands there.

    A sync of the try before may have failed and lost its pages, which a second one says nothing of.
    """
    periods = _periods(pump)
    for name, synced in pump.days.unsealed().items():
        if naming.period_of(name) in periods:
            beat()
            files.write_again(pump.days.directory / name, synced)


def _is_intact(pump: Pump, last: Intent) -> bool:
    """
    Tell whether the file of the last batch is there and as long as it was, wherever its name is now.

    What stands behind that is the open intent's, or foreign: then the next append finds the file longer than
    ours.
    """
    file = pump.days.find(last.file, last.volume, last.inode)
    if file is None or file.actual_size() < last.offset + last.length:
        return False
    file.size = last.offset + last.length
    return True
