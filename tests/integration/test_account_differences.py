"""
What turns `pipeline account` red: lines, files and registers that somebody took away, copied or invented.

And what does not: a difference that passes.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.accounts import balance, of
from support.outage_rig import begun, run
from support.rig import Rig

from pipeline.storage.manifest import Chain
from pipeline.verification import account, accounts, balance as balancing


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Give a rig whose producers and writer run in this process."""
    made = Rig()
    yield made
    made.close()


def sentence(rig: Rig) -> str:
    """Return what is wrong with the one account that does not balance."""
    [one] = account(rig.places.log_dir).faulty
    return one.sentence


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


def test_a_difference_that_passes_is_none(rig: Rig) -> None:
    """While somebody lives it is looked at again; over the dead there is nothing to wait for."""
    path = quiet(rig)
    whole = path.read_bytes()
    path.write_bytes(b"")
    rig.while_sleeping = lambda: path.write_bytes(whole)
    of(account(path.parent))
    rig.close_producer(rig.emitters[0])
    rig.drain()
    rig.kill_writer()
    rig.writer = None
    whole = path.read_bytes()
    path.write_bytes(b"")
    assert not account(path.parent).ok


def test_it_remembers_ranges_and_no_records(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two producers by turns, in many batches: a range or two of each, however many records there are."""
    sizes: list[int] = []
    monkeypatch.setattr(accounts, "balance", lambda *a, **k: sizes.append(len(a[1].stored)) or plain(*a, **k))
    plain = balancing.balance
    first, second = begun(rig), rig.producer()
    for tag in range(10, 300):
        rig.emit(first if tag % 2 else second, tag)
        rig.step()
    rig.drain()
    of(balance(rig), stored=len(rig.records()))
    assert max(sizes) <= 2


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
