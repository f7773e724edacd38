"""A writer killed over half a batch on a full disk, and a successor that can only leave the file."""

import contextlib

from support.outage_rig import all_there, begun, held, run, take_away
from support.rig import Rig

from pipeline.verification import verify


def test_the_whole_lines_of_half_a_batch_are_stored_once_although_a_sync_covered_them(rig: Rig) -> None:
    """On a full disk, then a sync, a kill, and a successor that can only leave what was not durable."""
    emitter = begun(rig)
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    rig.step()
    for tag in range(20, 40):
        rig.emit(emitter, tag)
    rig.faults.room = 700
    rig.step()
    rig.writer.pump.sync()
    rig.kill_writer()
    put_back = take_away(rig)
    rig.start_writer()
    run(rig, 5)
    assert held(rig) >= 20
    put_back()
    rig.faults.room = None
    run(rig, 70)
    all_there(rig)
    assert verify(rig.places.log_dir).findings == ()


def test_a_successor_makes_no_batch_durable_that_it_has_not_synced(rig: Rig) -> None:
    """Over half a batch on a full disk it cannot finish its start: what the last one left is taken back."""
    emitter = begun(rig)
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    rig.step()
    for tag in range(20, 40):
        rig.emit(emitter, tag)
    rig.faults.room = 700
    rig.step()
    rig.kill_writer()
    rig.start_writer()
    with contextlib.suppress(OSError):
        rig.writer.pump.sync()
    rig.check_positions()
    rig.kill_writer()
    put_back = take_away(rig)
    rig.start_writer()
    run(rig, 5)
    put_back()
    rig.faults.room = None
    run(rig, 70)
    all_there(rig)
    assert verify(rig.places.log_dir).findings == ()
