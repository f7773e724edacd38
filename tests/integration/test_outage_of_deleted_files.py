"""A person deletes a day file, then its directory fails: what was not durable goes to the fallback first."""

import json
from collections import Counter

from support.outage_rig import begun, held, run
from support.rig import Rig


def test_what_a_deleted_file_held_goes_to_the_fallback_first(rig: Rig) -> None:
    """A person deletes the day's file, then the directory goes: nothing is durable past what it held."""
    emitter = begun(rig)
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    rig.step(2)
    [path] = rig.day_files()
    before = path.read_bytes().splitlines(keepends=True)[: rig.writer.pump.durable_records]
    path.unlink()
    rig.writer.pump.sync()
    away = rig.places.log_dir.with_name("away")
    rig.places.log_dir.rename(away)
    rig.places.log_dir.write_text("not a directory")
    rig.emit(emitter, 20)
    run(rig, 10, is_file_gone=True)
    assert held(rig) >= 11
    rig.places.log_dir.unlink()
    away.rename(rig.places.log_dir)
    run(rig, 70, is_file_gone=True)
    rig.drain()
    deleted = Counter(record["tag"] for record in map(json.loads, before) if "tag" in record)
    assert rig.tags() + deleted == Counter(rig.tags_emitted)


def test_a_deleted_file_that_is_noticed_on_leaving_the_files_loses_nothing(rig: Rig) -> None:
    """The breaker opens over a file that somebody has just deleted: what it held is delivered again first."""
    emitter = begun(rig)
    for tag in range(10, 60):
        rig.emit(emitter, tag, 100)
    rig.step(2)
    [path] = rig.day_files()
    before = path.read_bytes().splitlines(keepends=True)[: rig.writer.pump.durable_records]
    path.unlink()
    rig.writer.delivery.leave("somebody says so")
    rig.emit(emitter, 60)
    run(rig, 3, is_file_gone=True)
    rig.writer.delivery.hurry()
    run(rig, 10, is_file_gone=True)
    rig.drain()
    deleted = Counter(record["tag"] for record in map(json.loads, before) if "tag" in record)
    assert rig.tags() + deleted == Counter(rig.tags_emitted)
