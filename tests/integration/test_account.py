"""
`pipeline account`: emitted is what producers say, stored is what stands in the files, and both are the same.

Records are on their way all the time, so most of this looks while they are: in the queue, in the fallback
store, between two processes of which one was killed. What turns it red is in test_account_differences.py.
"""

import errno
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import commands
from support.accounts import balance, of
from support.apps import App
from support.dropped import stubs
from support.obeying import StateSite, emits, flushes, started
from support.outage_rig import Disk, begun, held, run
from support.rig import Killed, Rig
from support.waiting import until

from pipeline.delivery.register import line_of
from pipeline.verification import account, accounts
from pipeline.verification.register import read_registers

RigOf = Callable[..., Rig]

BUSY = """
    import os, sys, time
    from stage import hear, say, start

    pl = start(fsync_interval_sec=0.05)
    say("ready")
    count = 0
    while not os.path.exists(sys.argv[1]):
        for _ in range(200):
            pl.emit("work", fill="x" * 300)
        time.sleep(0.02)
        if count % 20 == 0 and (pid := os.fork()) == 0:
            for _ in range(50):
                pl.emit("child", fill="x" * 300)
            os._exit(0)
        count += 1
    say("emitted", count)
"""


@pytest.fixture
def rig_of() -> Iterator[RigOf]:
    """Give a function that makes a rig."""
    made: list[Rig] = []

    def make(**settings: Any) -> Rig:
        made.append(Rig(**settings))
        return made[-1]

    yield make
    for rig in reversed(made):
        rig.close()


@pytest.fixture
def rig(rig_of: RigOf) -> Rig:
    """Give a rig whose producers and writer run in this process."""
    return rig_of()


def end(state_site: StateSite, app: App) -> None:
    """Let an application end, and our processes."""
    app.tell("end")
    assert app.wait() == 0
    until(lambda: not state_site.workers(), "the end of our processes")


# While it runs, and across its ends


def test_it_balances_by_its_register_until_a_line_is_deleted_and_that_is_accepted(
    state_site: StateSite,
) -> None:
    """Lanes are gone: the register says what was emitted, for the writer's own records too."""
    app = started(state_site)
    assert emits(app, "a", 300) == 300
    app.tell("fork child 20 10")
    assert app.expect("forked") == "0"
    end(state_site, app)
    found = commands.ask(state_site, "account")
    assert [one["source"] for one in found["producers"]] == ["register"] * 3
    assert sorted(one["stored"] for one in found["producers"])[1:] == [20, 300]
    assert found["emitted"] == found["stored"] == len(state_site.records())
    [path] = state_site.files()
    lines = path.read_bytes().splitlines(keepends=True)
    gone = next(index for index, line in enumerate(lines) if b'"tag":"a 9"' in line)
    path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
    found = commands.ask(state_site, "account", status=1)
    [one] = [one for one in found["producers"] if not one["ok"]]
    assert (one["difference"], one["missing"]) == (1, {"count": 1, "ranges": [[10, 10]]})
    commands.call(state_site, "repair", "--accept")
    until(lambda: not state_site.workers(), "the end of our processes")
    assert commands.ask(state_site, "account")["accepted"] == 1


def test_it_never_cries_wolf_while_producers_emit(
    state_site: StateSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy producer, and children that come and go: each look balances at once, without a second try."""
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(state_site.root))
    monkeypatch.setattr(accounts, "TRIES", 1)
    app = state_site.app(BUSY, str(tmp_path / "stop"))
    app.expect("ready")
    seen = [account(state_site.log_dir)]
    until(
        lambda: seen.append(account(state_site.log_dir)) or seen[-1].sums["emitted"] > 10_000,
        "10,000 records",
    )
    (tmp_path / "stop").touch()
    assert int(app.expect("emitted")) > 40
    assert app.wait() == 0
    assert [one.sentence for found in seen for one in found.faulty] == []
    assert sum(found.sums["queued"] > 0 for found in seen) > 0
    assert len({found.sums["emitted"] for found in seen}) > 10
    until(lambda: not state_site.workers(), "the end of our processes")
    of(account(state_site.log_dir), queued=0)


def test_what_everybody_left_behind_waits_in_the_queue(state_site: StateSite) -> None:
    """Kill -9 of all: it balances over the dead, over the living, and at the end."""
    app = started(state_site, fsync_interval_sec=30)
    assert emits(app, "a", 500) == 500
    state_site.supervisor()
    os.kill(state_site.writer(), signal.SIGSTOP)
    assert emits(app, "late", 50) == 50
    for pid in (*state_site.workers(), app.pid):
        os.kill(pid, signal.SIGKILL)
    app.wait()
    found = commands.ask(state_site, "account")
    assert found["queued"] >= 50
    app = started(state_site)
    assert emits(app, "b", 10) == 10
    flushes(app)
    assert commands.ask(state_site, "account")["emitted"] >= 560
    end(state_site, app)
    found = commands.ask(state_site, "account")
    assert found["emitted"] == found["stored"] == len(state_site.records())


@pytest.mark.parametrize(
    "point",
    [
        "writer.register.after",
        "writer.lane.before_announce",
        "writer.lane.before_remove",
        "writer.lane.directory_removed",
        "writer.lane.removed",
    ],
)
def test_a_lane_that_is_gone_is_in_the_register(rig: Rig, point: str) -> None:
    """Whoever is killed when: the producers' own side says the end, without the stream, and says it once."""
    emitter = begun(rig, 20)
    rig.close_producer(emitter)
    assert rig.run_until_killed(point)
    [one] = [one for one in balance(rig).balances if one.emitted == 20]
    assert one.source in ("lane", "register")
    rig.drain()
    register = rig.writer.finisher.register.path.read_bytes()
    assert set(register.splitlines()) >= {line_of(one.producer, 20).strip()}
    assert read_registers([rig.places.state_dir])[one.producer] == 20


# Places on the way


def test_records_in_the_fallback_store_are_there_and_then_in_the_files(rig: Rig) -> None:
    """Each counts once in an outage, in the middle of the replay, and behind it."""
    disk = Disk(rig.patch)
    emitter = begun(rig)
    disk.refuses["write"] = errno.EROFS
    for tag in range(10, 40):
        rig.emit(emitter, tag, 300)
    run(rig, 4)
    of(balance(rig), fallback=held(rig))
    assert held(rig) >= 30
    disk.refuses.clear()
    for point in ("replay.claimed", "replay.synced"):
        assert rig.run_until_killed(point, turns=80)
        balance(rig)
    run(rig, 90)
    of(balance(rig), fallback=0)


def test_an_end_in_an_outage_that_the_register_shares_is_told_by_the_stream(rig: Rig) -> None:
    """The volume takes neither records nor the register: all of it is in the store, the ends too."""
    disk = Disk(rig.patch)
    emitter = begun(rig)
    disk.refuses["write"] = errno.EROFS
    register = rig.writer.finisher.register
    register.path.mkdir()
    rig.emit(emitter, 10)
    rig.close_producer(emitter)
    run(rig, 4)
    assert "directory" in register.error
    rig.writer.stop_own_lane("idle")
    rig.kill_writer()
    assert {one.source for one in balance(rig).balances} == {"stream"}


def test_a_row_that_is_set_aside_is_quarantined(rig: Rig) -> None:
    """Before its record is told, and behind that."""
    disk = Disk(rig.patch)
    emitter = begun(rig)
    disk.refuses["write"] = errno.EROFS
    rig.emit(emitter, 10)
    rig.emit(emitter, 11)
    run(rig, 4)
    path = rig.writer.fallback.path
    with sqlite3.connect(path) as connection:
        producer = emitter.appenders()[0].lane.producer
        connection.execute("UPDATE slices SET sha256 = 'none' WHERE producer = ?", (producer,))
    connection.close()
    disk.refuses.clear()
    run(rig, 90)
    of(balance(rig), quarantined=2, fallback=0)
    rig.drain()
    of(balance(rig), quarantined=2, queued=0)


def test_an_untold_quarantine_is_known_by_the_store(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that dies before it tells of the row leaves the store to say so."""
    monkeypatch.setattr("workers.announcer.Announcer.replayed", lambda *_: None)
    test_a_row_that_is_set_aside_is_quarantined(rig)
    assert not [one for one in rig.records() if one["action_type"] == "quarantined"]


def test_what_a_full_queue_has_dropped_is_named_by_reason(rig_of: RigOf) -> None:
    """By stubs in the queue first, then by records of the stream; critical records among them are queued."""
    rig = rig_of(queue_max_mb=0.125)
    emitter = rig.producer()
    for tag in range(1500):
        rig.emit(emitter, tag, 200, **({"level": "ERROR"} if tag % 100 == 7 else {}))
    assert stubs(rig)
    before = balance(rig)
    dropped = before.sums["dropped"]["drop_oldest"]
    of(before, stored=0, queued=1500 - dropped)
    assert dropped > 500
    assert rig.run_until_killed("writer.drop.told")
    of(balance(rig), dropped={"drop_oldest": dropped})
    rig.drain()
    of(balance(rig), dropped={"drop_oldest": dropped}, queued=0)


def test_refused_records_are_shown_and_no_part_of_it(rig_of: RigOf) -> None:
    """They got no number; the stream says how many they were."""
    rig = rig_of(queue_max_mb=0.125, queue_full_strategy="drop_newest")
    emitter = rig.producer()
    refused = sum(not rig.emit(emitter, tag, 200) for tag in range(1500))
    rig.drain()
    found = balance(rig)
    assert found.refused == {"queue_full": refused}
    assert refused > 100


def test_a_lane_that_has_emitted_nothing_is_no_account(rig: Rig) -> None:
    """A producer killed while it made its first segment, and one that only attached."""
    rig.start_writer()
    rig.producer().open_lane()
    emitter = rig.producer()
    rig.aim = ("emit.segment.drafted", 0)
    with pytest.raises(Killed):
        rig.emit(emitter, 1)
    rig.aim = ("", 0)
    rig.abandon(emitter)
    of(balance(rig), emitted=balance(rig).sums["stored"] + balance(rig).sums["queued"])
