"""What is cleaned up, by age, number and size, in directories that real writers have left."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.days import DAYS, history

from pipeline.host import clock
from pipeline.keeping import inventory
from pipeline.keeping.cleaning import Cleaner, Done
from pipeline.keeping.plan import Limits
from pipeline.keeping.seals import Seals
from pipeline.paths import places_for
from pipeline.records import periods
from pipeline.settings import Settings
from pipeline.storage import holding, naming
from pipeline.verification import account, verify

DAY_SEC = 86_400.0
NOON_OF_LAST_NS = 1_764_158_400 * clock.NANO
"""2025-11-26T12:00:00Z."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a history once."""
    return history(tmp_path_factory.mktemp("made") / "logs")


@pytest.fixture
def logs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a copy of it, at noon of its last day."""
    shutil.copytree(made, tmp_path / "logs")
    monkeypatch.setattr(clock, "wall_ns", lambda: NOON_OF_LAST_NS)
    yield tmp_path / "logs"
    report = verify(tmp_path / "logs")
    assert not report.findings
    assert not account(tmp_path / "logs").faulty


def clean(logs: Path, **limits: float) -> list[Done]:
    """Keep these limits in a directory where no pipeline runs."""
    return list(cleaner(logs, **limits).run())


def cleaner(logs: Path, **limits: float) -> Cleaner:
    """Return what cleans by these limits."""
    return Cleaner(places_for(logs), Settings(), limits=Limits(**limits))


def names(logs: Path) -> list[str]:
    """Return the day files."""
    return sorted(name for name in os.listdir(logs) if name.startswith("2025-"))


def day_names(*days: str) -> list[str]:
    """Return what plain days are called."""
    return [f"{day}.jsonl" for day in days]


def test_old_days_leave_and_are_counted_as_expired(logs: Path) -> None:
    """By age; what they held is known for good, and the catalog and the report tell of it."""
    before = account(logs).sums
    done = clean(logs, retention_sec=3.4 * DAY_SEC)
    assert [(one.file, one.action, one.reason, one.trouble) for one in done] == [
        (f"{day}.jsonl", "deleted", "age", "") for day in DAYS[:2]
    ]
    assert names(logs) == day_names(*DAYS[2:])
    after = account(logs).sums
    assert after["emitted"] == before["emitted"]
    assert after["expired"] == sum(verify(logs).expired.values()) == before["stored"] - after["stored"] >= 60
    assert not clean(logs, retention_sec=3.4 * DAY_SEC)


def test_the_day_that_is_written_stays_whatever_the_limits_are(logs: Path) -> None:
    """All limits at once, each as small as can be."""
    clean(logs, retention_sec=1.0, max_total_bytes=1, max_files=1, min_free_bytes=1 << 60)
    assert names(logs) == day_names(DAYS[-1])


def test_the_oldest_leave_until_the_rest_fits(logs: Path) -> None:
    """By size; one byte less, and another one goes."""
    sizes = [(logs / name).stat().st_size for name in names(logs)]
    clean(logs, max_total_bytes=sum(sizes[2:]))
    assert names(logs) == day_names(*DAYS[2:])
    clean(logs, max_total_bytes=sum(sizes[2:]) - 1)
    assert names(logs) == day_names(*DAYS[3:])


def test_the_newest_files_are_kept(logs: Path) -> None:
    """By number, the file being written among them."""
    done = clean(logs, max_files=2)
    assert {one.reason for one in done} == {"max_files"}
    assert names(logs) == day_names(*DAYS[-2:])


def test_what_is_not_explained_to_its_end_is_not_sealed(logs: Path) -> None:
    """A day that no writer has sealed and that has bytes without an entry stays until one has seen to it."""
    (logs / ".pipeline" / "checkpoint.json").unlink()
    with (logs / f"{DAYS[1]}.jsonl").open("a") as file:
        file.write('{"somebody":"else"}\n')
    try:
        clean(logs, retention_sec=1.0)
        assert names(logs) == day_names(DAYS[1], DAYS[-1])
    finally:
        os.truncate(logs / f"{DAYS[1]}.jsonl", (logs / f"{DAYS[1]}.jsonl").stat().st_size - 20)


def is_sealed(logs: Path, name: str, over_sec: float) -> bool:
    """Tell whether a file is sealed whose period is over for so long, where no writer has noted it."""
    day = naming.parse(name)
    end_sec = periods.end_of(day.period, "UTC")
    return Seals(places_for(logs), end_sec + over_sec).is_sealed(day, end_sec)


@pytest.mark.parametrize("instance", ["", ".i1a2b3c4d"])
def test_what_no_writer_has_sealed_is_sealed_a_minute_later_and_of_others_a_day(
    made: Path, tmp_path: Path, instance: str
) -> None:
    """Somebody on another host may have records for it; and behind a cut somebody still has to look."""
    logs, name = tmp_path / "logs", f"{DAYS[1]}{instance}.jsonl"
    shutil.copytree(made, logs)
    (logs / ".pipeline" / "checkpoint.json").unlink()
    manifests = logs / ".pipeline" / "manifests"
    for place, end in ((logs, ""), (manifests, ".manifest")):
        (place / f"{DAYS[1]}.jsonl{end}").rename(place / f"{name}{end}")
    assert is_sealed(logs, name, 7200.0) is not bool(instance)
    assert is_sealed(logs, name, 90_000.0)
    assert not is_sealed(logs, name, 30.0)
    cut = {"serial": 99, "file": name, "kind": "cut", "offset": (logs / name).stat().st_size}
    with (manifests / f"{name}.manifest").open("a") as file:
        file.write(json.dumps(cut) + "\n")
    assert not is_sealed(logs, name, 90_000.0)


def test_a_file_that_somebody_appends_to_stays(logs: Path) -> None:
    """C1: whoever has it open shared; the others go, and the run ends."""
    with (logs / f"{DAYS[0]}.jsonl").open("a") as file:
        assert holding.share(file.fileno())
        done = clean(logs, retention_sec=1.0)
    assert [one.file for one in done if one.trouble] == [f"{DAYS[0]}.jsonl"]
    assert names(logs) == day_names(DAYS[0], DAYS[-1])


def test_a_file_of_an_instance_that_works_elsewhere_is_left_to_that_one(
    logs: Path, held: Callable[[Path], Callable[[], object]]
) -> None:
    """Its append lock is held on another host, say; once it is gone, its files are anybody's to keep."""
    other = logs / f"{DAYS[0]}.i1a2b3c4d.jsonl"
    other.write_bytes(b"")
    let_go = held(logs / ".pipeline" / "append.i1a2b3c4d.lock")
    (done,) = [one for one in clean(logs, retention_sec=4.4 * DAY_SEC) if one.trouble]
    assert (done.file, done.is_fault, other.exists()) == (other.name, False, True)
    let_go()
    assert [one.file for one in clean(logs, retention_sec=4.4 * DAY_SEC)] == [other.name]


@pytest.mark.parametrize("limit", ["max_files", "max_total_bytes"])
def test_no_newer_file_leaves_in_the_place_of_one_that_has_to_stay(logs: Path, limit: str) -> None:
    """C3: it goes next time, when nobody has it in hand any more."""
    sizes = [(logs / name).stat().st_size for name in names(logs)]
    limits = {limit: len(sizes) - 2 if limit == "max_files" else sum(sizes[2:])}
    with (logs / f"{DAYS[0]}.jsonl").open("a") as file:
        assert holding.share(file.fileno())
        done = clean(logs, **limits)
        assert [(one.file, bool(one.trouble)) for one in done] == [
            (f"{DAYS[0]}.jsonl", True),
            (f"{DAYS[1]}.jsonl", False),
        ]
    assert [one.file for one in clean(logs, **limits)] == day_names(DAYS[0])
    assert names(logs) == day_names(*DAYS[2:])


def test_for_room_on_the_volume_others_go_in_its_place(logs: Path) -> None:
    """C3: what stays gives none."""
    with (logs / f"{DAYS[0]}.jsonl").open("a") as file:
        assert holding.share(file.fileno())
        clean(logs, min_free_bytes=1 << 60)
    assert names(logs) == day_names(DAYS[0], DAYS[-1])


def test_the_parts_of_a_day_leave_in_the_order_of_their_last_change(tmp_path: Path) -> None:
    """Two instances have parts of their own, numbered by themselves; neither's go before the other's."""
    days = ["2025-11-21", "2025-11-21.i1a2b3c4d", "2025-11-21.i1a2b3c4d.1", "2025-11-21.1", "2025-11-21.r1"]
    for second, day in enumerate([*days, "2025-11-20.i1a2b3c4d"]):
        path = tmp_path / f"{day}.jsonl{'.zst' * (second % 2)}"
        path.write_bytes(b"")
        os.utime(path, (second, second))
    found = inventory.take(tmp_path, is_sealed=lambda *_: True)
    assert [kept.name for kept in found] == day_names("2025-11-20.i1a2b3c4d", *days)


def test_what_was_told_and_not_removed_goes_next_time(logs: Path) -> None:
    """A run that was killed behind the entry: whatever the limits are by now, for the reason that is told."""
    found = cleaner(logs)
    assert not found.due()
    assert found._goodbyes.say({f"{DAYS[3]}.jsonl": "size"}, "") == {f"{DAYS[3]}.jsonl"}
    assert not verify(logs).findings
    assert not account(logs).faulty
    assert [(one.file, one.reason) for one in clean(logs)] == [(f"{DAYS[3]}.jsonl", "size")]


def test_a_dry_run_says_the_same_and_changes_nothing(logs: Path) -> None:
    """The steps, in order."""
    limits = {"retention_sec": 3.4 * DAY_SEC, "max_files": 3}
    foreseen = cleaner(logs, **limits).foresee()
    assert names(logs) == day_names(*DAYS)
    assert [(step.file.name, step.reason) for step in foreseen] == [
        (one.file, one.reason) for one in clean(logs, **limits)
    ]


def test_fallback_quarantine_manifests_and_foreign_files_are_never_touched(logs: Path) -> None:
    """Whatever stands beside the days, old as it may be."""
    others = ["notes.txt", "2025-11-21.json", "2025-13-01.jsonl", "2020-01-01.jsonl.bak", "fallback.db"]
    for name in others:
        (logs / name).write_text("{}")
        os.utime(logs / name, (0, 0))
    (logs / "2020-01-02.jsonl").symlink_to(logs / "notes.txt")
    kept = logs / ".pipeline" / "quarantine" / "2020-01-01.jsonl.5"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("half")
    manifests = sorted(os.listdir(logs / ".pipeline" / "manifests"))
    clean(logs, retention_sec=1.0, max_total_bytes=1)
    assert set(others) <= set(os.listdir(logs))
    assert (logs / "2020-01-02.jsonl").is_symlink()
    assert kept.read_text() == "half"
    assert sorted(os.listdir(logs / ".pipeline" / "manifests")) == manifests
    for name in ("2020-01-02.jsonl", "2025-13-01.jsonl"):
        (logs / name).unlink()


def test_the_catalog_tells_which_files_have_left(logs: Path) -> None:
    """With the head that the last entry has."""
    clean(logs, max_files=5)
    catalog = json.loads((logs / "metadata.json").read_bytes())
    gone = {one["name"]: one["expired"] for one in catalog["files"] if one["bytes"] is None}
    assert gone == {f"{DAYS[0]}.jsonl": "max_files"}
    assert catalog["head"] == verify(logs).head
