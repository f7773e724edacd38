"""
The register of ended producers: the last number of each, kept on the disk when its lane goes.

A lane says how much its producer has emitted, and is removed once all of that is durable in files. What it
said has to outlive it, or nobody could tell any more that a file has lost its last lines. `pipeline account`
compares the register with a scan of the files.

Format: text, only ever appended to, a line for each producer:

    PRODUCER LAST_NUMBER CRC32      CRC32 as 8 hex digits, of "PRODUCER LAST_NUMBER"

About 30 bytes a producer. A line with a wrong sum is none; of several lines of one producer the highest
number counts; other text is skipped.

Invariants, each with the test that would fail first
    E1  A lane is removed only after its last number was noted and synced, or that was refused (E4).
                                            integration/test_account.py, …lane_that_is_gone…
    E2  A number is noted only when everything up to it is durable, so a power cut leaves none that was lost.
                                            property/test_power_model.py
    E3  A kill between the line and the removal gives the line once more, and no other number.
                                            crash/test_fail_points.py, writer.register.*
    E4  A register that cannot be written stops nobody: the lines wait for the next time, and a writer that
        ends meanwhile leaves the stream's `producer_closed` and `producer_died` to tell the last number.
                                            unit/test_register.py
    E5  Half a line, of a full disk or a power cut, spoils no other: what is appended behind it begins with a
        newline.                            unit/test_register.py
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

from pipeline.host import failpoint, files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pipeline.delivery.checkpoint import Checkpoint


class Register:
    """The register of one instance; it lies beside the checkpoint."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.error = ""
        """Why the last lines could not be written."""
        self._checkpoint = checkpoint
        self._noted: dict[str, int] = {}
        """What stands there already, of lanes that are about to be removed."""
        self._late: dict[str, int] = {}
        """What could not be written."""

    @property
    def path(self) -> Path:
        """Where it is, `ended_producers` or `ended_producers.INSTANCE`."""
        instance = self._checkpoint.instance
        return self._checkpoint.path.with_name(f"ended_producers.{instance}".rstrip("."))

    def note(self, ended: Mapping[str, int], *, may_write: bool = True) -> bool:
        """
        Note the last numbers of producers whose lanes are going to be removed; whether they stand there.

        Without `may_write` they are only remembered: who may not touch the volume may hang on it.
        """
        new = {name: last for name, last in ended.items() if last and self._noted.get(name) != last}
        wanted = self._late | new
        if not may_write:
            self._late, self._noted = wanted, dict(ended)
            return not wanted
        try:
            if wanted:
                failpoint.reach("writer.register.before")
                _append(self.path, [line_of(*one) for one in wanted.items()])
                failpoint.reach("writer.register.after")
        except OSError as error:
            self._late, self.error = wanted, str(error)
            return False
        self._noted, self._late, self.error = dict(ended), {}, ""
        return True


def line_of(producer: str, last: int) -> bytes:
    """Return the line of one producer."""
    text = f"{producer} {last}".encode()
    return b"%s %08x\n" % (text, zlib.crc32(text))


def _append(path: Path, lines: Iterable[bytes]) -> None:
    """Append lines durably. No directory is made: where it is gone, a volume may be unmounted."""
    is_new = not path.exists()
    fd = os.open(path, files.APPEND | os.O_NOFOLLOW, 0o600)
    try:
        size = os.fstat(fd).st_size
        is_cut = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        files.write_all(fd, (b"\n" if is_cut else b"") + b"".join(lines))
        os.fsync(fd)
    finally:
        os.close(fd)
    if is_new:
        files.sync_directory(path.parent)
