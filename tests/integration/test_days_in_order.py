"""A lane goes on in the file of another day: a power cut in between may take only what came last."""

from pathlib import Path

import pytest
from support.outage_rig import begun
from support.rig import Rig

DAY_NS = 86_400 * 1_000_000_000


def _is_synced(rig: Rig, path: Path) -> bool:
    about = path.stat()
    return rig.synced.get(about.st_ino, 0) == about.st_size


@pytest.mark.parametrize("days", [1, -1])
def test_nothing_is_in_the_next_file_before_the_last_one_is_synced(rig: Rig, days: int) -> None:
    """Whichever way the clock went; what another producer has there is not waited for."""
    emitter = begun(rig)
    rig.emit(emitter, 10)
    rig.step()
    (first,) = rig.day_files()
    assert not _is_synced(rig, first)
    rig.clock.wall_ns += days * DAY_NS
    rig.emit(emitter, 11)
    for _ in range(3):
        rig.step()
    (second,) = set(rig.day_files()) - {first}
    assert 11 in rig.tags()
    assert _is_synced(rig, first)
    assert not _is_synced(rig, second)
