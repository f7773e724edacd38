"""
How a file takes its leave: it is deleted, moved to a directory, or given to a command.

Whoever calls this has the file alone (`storage/holding`), and its entry is on the disk. Each way can be
killed at any step and begun again: what was copied already is found by its bytes, a command is run again.

Invariants                                                                  crash/test_leaving_killed.py
    L1  A moved file is at its new place, once, whole and durable, before it goes from the old one.
    L2  A file given to a command goes only when the command has ended with status 0.
    L3  No file that stands at the new place is ever replaced.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.errors import LeavingError
from pipeline.host import clock, failpoint, files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

DELETE: Final = "delete"
MOVE: Final = "move"
COMMAND: Final = "command"
PATH: Final = "{path}"
"""What stands for the file in the words of a command."""
_POLL_SEC: Final = 0.05
_CHUNK_BYTES: Final = 1 << 20
_SAID_CHARS_MAX: Final = 400
_NAMES_MAX: Final = 1000


class Way(NamedTuple):
    """What is done with files that leave."""

    action: str = DELETE
    directory: Path | None = None
    """Where they are moved; made when it is missing."""
    argv: tuple[str, ...] = ()
    """The command, `{path}` standing for the file; never given to a shell."""
    timeout_sec: float = 600.0

    @property
    def verb(self) -> str:
        """What a report says was done."""
        return {DELETE: "deleted", MOVE: "moved", COMMAND: "given to the command"}[self.action]


def leave(paths: Sequence[Path], way: Way, beat: Callable[[], None] = lambda: None) -> None:
    """
    Let a file go. `paths` are its forms, the one that counts first.

    OSError or LeavingError when it stays. `beat` is called while it takes long.
    """
    path, *copies = paths
    for copy in copies:
        files.remove(copy)  # before the other: alone it would count as the file
    if way.action == MOVE and way.directory is not None:
        _move(path, way.directory, beat)
    elif way.action == COMMAND:
        _give(path, way, beat)
    failpoint.reach("leave.done")
    files.remove(path)
    failpoint.reach("leave.removed")
    files.sync_directory(path.parent)


def _move(path: Path, directory: Path, beat: Callable[[], None]) -> None:
    """Put a durable copy into the directory, or a second name of the file where that is possible."""
    if os.path.realpath(directory) == os.path.realpath(path.parent):
        raise LeavingError("files cannot be moved to where they are", where=str(directory))
    files.make_private(directory)
    place = _free_place(path, directory, beat)
    if place is None:
        return  # a move that was killed had come so far
    try:
        os.link(path, place)
        _sync_to(place)
    except OSError:  # another file system, or one without links
        _copy(path, place, beat)


def _free_place(path: Path, directory: Path, beat: Callable[[], None]) -> Path | None:
    """Return a name that nothing has in the directory, None when the file is there already."""
    for number in range(_NAMES_MAX):
        place = directory / (f"{path.name}.{number}" if number else path.name)
        if not os.path.lexists(place):
            return place
        if place.is_file() and _are_same(path, place, beat):
            _sync_to(place)
            return None
    raise LeavingError("no name is left for it", where=str(directory / path.name))


def _copy(path: Path, place: Path, beat: Callable[[], None]) -> None:
    # Named after where it comes from: two log directories may move to one place.
    draft = place.with_name(f".{path.name}.{zlib.crc32(os.fsencode(os.path.realpath(path.parent))):08x}.new")
    about = path.stat()
    with path.open("rb") as source, draft.open("wb", buffering=0) as target:
        while piece := source.read(_CHUNK_BYTES):
            files.write_all(target.fileno(), piece)
            failpoint.reach("leave.move.partial")
            beat()
        os.fchmod(target.fileno(), about.st_mode & 0o777)
        os.utime(target.fileno(), ns=(about.st_atime_ns, about.st_mtime_ns))
        os.fsync(target.fileno())
    failpoint.reach("leave.move.copied")
    try:
        os.link(draft, place)  # unlike a rename it replaces nothing
    except FileExistsError as error:
        raise LeavingError("somebody took its name just now", where=str(place)) from error
    except OSError:
        draft.replace(place)
    files.remove(draft)
    files.sync_directory(place.parent)


def _sync_to(place: Path) -> None:
    files.sync_file(place)
    files.sync_directory(place.parent)


def _are_same(one: Path, other: Path, beat: Callable[[], None]) -> bool:
    if os.path.samefile(one, other):
        return True
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while piece := left.read(_CHUNK_BYTES):
            beat()
            if piece != right.read(_CHUNK_BYTES):
                return False
    return True


def _give(path: Path, way: Way, beat: Callable[[], None]) -> None:
    """Run the command on the file and wait for it. LeavingError unless it ends with status 0."""
    # Ours may lead through a descriptor, which the command does not have.
    real = os.path.join(os.path.realpath(path.parent), path.name)
    argv = [word.replace(PATH, real) for word in way.argv]
    try:
        status, said = _run(argv, way.timeout_sec, beat)
    except OSError as error:
        raise LeavingError("the command cannot be run", where=argv[0], cause=error) from error
    if status != 0:
        ended = f"ended with {status}" if status is not None else f"ran for more than {way.timeout_sec:g} s"
        raise LeavingError(
            f"the command for {path.name} {ended}", where=shutil.which(argv[0]) or argv[0], cause=said
        )


def _run(argv: Sequence[str], timeout_sec: float, beat: Callable[[], None]) -> tuple[int | None, str]:
    """Return the exit status, None when it took too long, and the end of what it said."""
    import tempfile

    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        give_up_at = clock.monotonic() + timeout_sec
        try:
            while process.poll() is None and clock.monotonic() < give_up_at:
                beat()
                clock.sleep(_POLL_SEC)
        finally:
            status = process.poll()
            if status is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - _SAID_CHARS_MAX))
        return status, output.read().decode("utf-8", "replace").strip()
