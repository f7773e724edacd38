"""What a pipeline does by itself about files that are too old or too many, and what it says of it before."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.apps import Site
from support.days import DAY_SEC, DAYS, end, history, site_over, write_days
from support.rig import Rig
from support.waiting import HANG_SEC, until

from pipeline import launch
from pipeline.verification import account, verify

NAMES = [f"{day}.jsonl" for day in DAYS]
APP = """
    import json, os
    from stage import emit, hear, say, start
    start(**json.loads(os.environ["OPTIONS"]))
    emit("first")
    say("ready")
    hear()
"""
QUIET = {"retention_days": 0.0, "max_total_size_mb": 0.0, "min_free_mb": 0.0, "compression": "none"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a history once."""
    return history(tmp_path_factory.mktemp("made") / "logs", records=400)


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Iterator[Site]:
    """Give a site over a copy of the history."""
    with site_over(made, tmp_path / "site") as found:
        yield found


def test_what_will_be_cut_is_announced_and_then_it_leaves_oldest_first(site: Site) -> None:
    """At the start of a pipeline, by size: health says so before and tells of it, and nothing is missing."""
    sizes = {name: (site.log_dir / name).stat().st_size for name in NAMES}
    room = sum(sizes[name] for name in NAMES[3:]) + 40_000
    app = site.app(APP, OPTIONS=json.dumps(QUIET | {"max_total_size_mb": room / (1 << 20)}))
    app.expect("ready")
    health = site.until_reason("files_will_leave")
    assert health["status"] == "ok"
    leaving = health["retention"]["leaving"]
    assert (leaving["first"], leaving["reason"]) == (NAMES[0], "size")
    until(lambda: not any((site.log_dir / name).exists() for name in NAMES[:3]), "room", HANG_SEC)
    os.kill(site.writer(), signal.SIGKILL)  # its successor looks at once and not in a minute
    health = site.until_reason("files_will_leave", holds=False)
    expired = health["keeper"]["expired"]
    assert (expired["files"], expired["reasons"]) == (3, {"size": 3})
    assert expired["bytes"] == sum(sizes[name] for name in NAMES[:3])
    assert health["retention"]["bytes"] <= health["retention"]["limit_bytes"]
    app.tell("end")
    assert app.wait() == 0
    site.until_ended(HANG_SEC)
    assert sorted(path.name for path in site.files() if path.name in NAMES) == NAMES[3:]
    assert [record["file"] for record in site.of_type("file_expired")] == NAMES[:3]
    assert not verify(site.log_dir).findings
    assert account(site.log_dir).ok


def wishes(rig: Rig) -> bool:
    """Whether a keeper is wanted, and want none any more."""
    mark = rig.places.runtime(launch.KEEPER_WANTED)
    is_wanted = mark.exists()
    mark.unlink(missing_ok=True)
    return is_wanted


@pytest.mark.parametrize("at_start", [True, False])
def test_a_keeper_is_wished_for_at_the_start_unless_that_is_off_and_a_day_later(at_start: bool) -> None:
    """And again a day later, if what it should have done is still to be done; not every minute."""
    rig = Rig(**QUIET | {"max_files": 2, "cleanup_on_startup": at_start})
    try:
        write_days(rig, 1)
        for _ in range(3):
            rig.pass_time(DAY_SEC)
            rig.emit(rig.emitters[0], 0)
            rig.drain()
        end(rig)
        wishes(rig)
        rig.start_writer()
        rig.step(2)
        rig.pass_time(61)
        rig.step(2)
        assert wishes(rig) is at_start
        rig.pass_time(3600)
        rig.step(2)
        assert not wishes(rig)
        rig.pass_time(DAY_SEC)
        rig.step(2)
        assert wishes(rig)
    finally:
        rig.close()


def test_what_a_writer_did_not_come_to_its_successor_seals(rig: Rig) -> None:
    """The days of a pipeline that ended each evening: a checkpoint that knows them all."""
    for day in range(3):
        write_days(rig, 1, records=3)
        end(rig)
        rig.pass_time(DAY_SEC)
        assert day < 3
    rig.start_writer()
    rig.pass_time(2)
    rig.step(2)
    noted = json.loads((rig.places.state_dir / "checkpoint.json").read_bytes())["sealed"]
    assert noted == NAMES[:3]
    (rig.places.log_dir / NAMES[0]).rename(rig.home / "gone")
    rig.pass_time(700)
    rig.step(2)
    assert json.loads((rig.places.state_dir / "checkpoint.json").read_bytes())["sealed"] == NAMES[1:3]
