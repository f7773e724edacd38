"""
`pipeline account`: emitted is what producers say, stored is what stands in the files, and both are the same.

Records are on their way all the time, so most of this looks while they are: in the queue, in the fallback
store, between two processes of which one was killed. What somebody takes away turns it red.
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
from support.accounts import balance
from support.apps import App
from support.dropped import stubs
from support.obeying import StateSite, emits, flushes, started
from support.outage_rig import Disk, begun, held, run
from support.rig import Killed, Rig
from support.waiting import until

from pipeline.delivery.register import line_of
from pipeline.storage.manifest import Chain
from pipeline.verification import Account, account, accounts
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
def site(tmp_path: Path) -> Iterator[StateSite]:
    """Give a site that ends with the test."""
    with StateSite(tmp_path / "site") as site:
        yield site


@pytest.fixture
def rig_of() -> Iterator[RigOf]:
    """Give a function that makes a rig."""
    made: list[Rig] = []

    def make(**settings: Any) -> Rig:
        made.append(Rig(**settings))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(rig_of: RigOf) -> Rig:
    """Give a rig whose producers and writer run in this process."""
    return rig_of()


def of(found: Account, **wanted: int) -> None:
    """See that an account balances, and what its sums are."""
    assert found.ok, [one.sentence for one in found.faulty]
    assert {name: found.sums[name] for name in wanted} == wanted


def sentence(rig: Rig) -> str:
    """Return what is wrong with the one account that does not balance."""
    [one] = account(rig.places.log_dir).faulty
    return one.sentence


def end(site: StateSite, app: App) -> None:
    """Let an application end, and our processes."""
    app.tell("end")
    assert app.wait() == 0
    until(lambda: not site.workers(), "the end of our processes")


# While it runs, and across its ends


def test_it_balances_by_its_register_until_a_line_is_deleted_and_that_is_accepted(site: StateSite) -> None:
    """Lanes are gone: the register says what was emitted, for the writer's own records too."""
    app = started(site)
    assert emits(app, "a", 300) == 300
    app.tell("fork child 20 10")
    assert app.expect("forked") == "0"
    end(site, app)
    found = commands.ask(site, "account")
    assert [one["source"] for one in found["producers"]] == ["register"] * 3
    assert sorted(one["stored"] for one in found["producers"])[1:] == [20, 300]
    assert found["emitted"] == found["stored"] == len(site.records())
    [path] = site.files()
    lines = path.read_bytes().splitlines(keepends=True)
    gone = next(index for index, line in enumerate(lines) if b'"tag":"a 9"' in line)
    path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
    found = commands.ask(site, "account", status=1)
    [one] = [one for one in found["producers"] if not one["ok"]]
    assert (one["difference"], one["missing"]) == (1, {"count": 1, "ranges": [[10, 10]]})
    commands.call(site, "repair", "--accept")
    until(lambda: not site.workers(), "the end of our processes")
    assert commands.ask(site, "account")["accepted"] == 1


def test_it_never_cries_wolf_while_producers_emit(
    site: StateSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy producer, and children that come and go: each look balances at once, without a second try."""
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(site.root))
    monkeypatch.setattr(accounts, "TRIES", 1)
    app = site.app(BUSY, str(tmp_path / "stop"))
    app.expect("ready")
    seen = [account(site.log_dir)]
    until(lambda: seen.append(account(site.log_dir)) or seen[-1].sums["emitted"] > 10_000, "10,000 records")
    (tmp_path / "stop").touch()
    assert int(app.expect("emitted")) > 40
    assert app.wait() == 0
    assert [one.sentence for found in seen for one in found.faulty] == []
    assert sum(found.sums["queued"] > 0 for found in seen) > 0
    assert len({found.sums["emitted"] for found in seen}) > 10
    until(lambda: not site.workers(), "the end of our processes")
    of(account(site.log_dir), queued=0)


def test_what_everybody_left_behind_waits_in_the_queue(site: StateSite) -> None:
    """Kill -9 of all: it balances over the dead, over the living, and at the end."""
    app = started(site, fsync_interval_sec=30)
    assert emits(app, "a", 500) == 500
    site.supervisor()
    os.kill(site.writer(), signal.SIGSTOP)
    assert emits(app, "late", 50) == 50
    for pid in (*site.workers(), app.pid):
        os.kill(pid, signal.SIGKILL)
    app.wait()
    found = commands.ask(site, "account")
    assert found["queued"] >= 50
    app = started(site)
    assert emits(app, "b", 10) == 10
    flushes(app)
    assert commands.ask(site, "account")["emitted"] >= 560
    end(site, app)
    found = commands.ask(site, "account")
    assert found["emitted"] == found["stored"] == len(site.records())


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


# What turns it red


def quiet(rig: Rig) -> Path:
    """Return the file of a producer that lives, and whose 20 records are durable in it."""
    begun(rig, 20)
    run(rig, 3)
    of(balance(rig), queued=0)
    [path] = rig.day_files()
    return path


@pytest.mark.parametrize("is_live", [True, False])
def test_a_deleted_line_is_missing(rig: Rig, is_live: bool) -> None:
    """Also while its segment is still in the queue: behind the durable position a lane excuses nothing."""
    path = quiet(rig)
    if not is_live:
        rig.close_producer(rig.emitters[0])
        rig.drain()
    lines = path.read_bytes().splitlines(keepends=True)
    gone = next(index for index, line in enumerate(lines) if b'"tag":7' in line)
    path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
    assert "emitted 20, accounted for 19: 1 missing (number 8); `pipeline verify`" in sentence(rig)


def test_a_deleted_last_line_is_missing(rig: Rig) -> None:
    """The register knows the end, whatever the files say."""
    path = quiet(rig)
    rig.close_producer(rig.emitters[0])
    rig.drain()
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if b"producer_closed" not in line]
    path.write_bytes(b"".join(line for line in lines if b'"tag":19' not in line))
    assert any("1 missing (number 20)" in one.sentence for one in account(rig.places.log_dir).faulty)


def test_a_duplicated_line_is_stored_again(rig: Rig) -> None:
    """And does not make up for one that is missing."""
    path = quiet(rig)
    lines = path.read_bytes().splitlines(keepends=True)
    ours = [index for index, line in enumerate(lines) if b'"tag"' in line]
    path.write_bytes(b"".join([*lines, lines[ours[4]]]))
    assert "emitted 20, accounted for 21: 1 stored again (number 5)" in sentence(rig)
    del lines[ours[9]]
    path.write_bytes(b"".join([*lines, lines[ours[4]]]))
    assert "accounted for 20: 1 missing (number 10), 1 stored again (number 5)" in sentence(rig)


def test_a_line_that_was_never_emitted_is_found(rig: Rig) -> None:
    """Its number is above the producer's last."""
    path = quiet(rig)
    last = next(line for line in path.read_bytes().splitlines(keepends=True) if b'"tag":19' in line)
    with path.open("ab") as file:
        file.write(last.replace(b'"action_number":20', b'"action_number":21'))
    assert "1 stored and never emitted (number 21)" in sentence(rig)


def test_a_deleted_day_is_missing_unless_it_is_recorded_as_expired(rig: Rig) -> None:
    """With all its producers; a record of its removal in the manifests makes it legal."""
    path = quiet(rig)
    rig.close_producer(rig.emitters[0])
    rig.drain()
    rig.writer.stop_own_lane("idle")
    rig.writer = None
    count = len(path.read_bytes().splitlines())
    size = path.stat().st_size
    path.unlink()
    found = account(rig.places.log_dir)
    assert sum(one.emitted or 0 for one in found.faulty) == count
    chain = Chain(rig.places.belongings_dir, "")
    chain.extend(path.name, [{"kind": "expired", "offset": 0, "length": size, "cause": "age"}])
    of(account(rig.places.log_dir), expired=count, stored=0)


def test_a_producer_of_whom_nothing_tells_the_end_is_unknown(rig: Rig) -> None:
    """Without register the stream tells it, without the stream nobody."""
    path = quiet(rig)
    rig.close_producer(rig.emitters[0])
    rig.drain()
    register = rig.writer.finisher.register.path
    register.unlink()
    [one] = [one for one in balance(rig).balances if one.emitted == 20]
    assert one.source == "stream"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b"producer_closed" not in line))
    assert any("unknown: 20 records, and nothing says" in one.sentence for one in account(path.parent).faulty)
