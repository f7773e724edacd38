"""Files of other lengths than a day: hours, minutes and seconds, and parts of a size; each record once."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.days import end
from support.rig import Rig

from pipeline.records.periods import LENGTHS_SEC, period_of
from pipeline.storage.manifest import SUFFIX
from pipeline.verification import account, verify

FINE = ("hour", "minute", "second")
FORMS = {
    "hour": r"2025-11-21T\d\d",
    "minute": r"2025-11-21T\d\d-\d\d",
    "second": r"2025-11-21T\d\d-\d\d-\d\d",
}


def emit_over(rig: Rig, periods: int, every: str, start: int = 0) -> None:
    """Let two producers emit in so many periods, a few records in each."""
    while len(rig.emitters) < 2:
        rig.producer()
    for period in range(start, start + periods):
        for index in range(6):
            rig.emit(rig.emitters[index % 2], period * 100 + index, size=60)
        rig.step()
        rig.pass_time(LENGTHS_SEC[every] / (1 + period % 2))


def is_whole(rig: Rig) -> None:
    """See that each record is there once, in a file of its own moment, and nobody has a complaint."""
    assert rig.tags() == dict.fromkeys(rig.tags_emitted, 1)
    assert not verify(rig.places.log_dir).findings
    assert not verify(rig.places.log_dir, is_full=True).findings
    assert account(rig.places.log_dir).ok


@pytest.mark.parametrize("every", FINE)
def test_each_period_has_its_file_with_its_records_and_its_manifest(every: str) -> None:
    """Whatever the writer was at when a period ended: the producer's clock decides."""
    rig = Rig(rotate_every=every)
    try:
        emit_over(rig, 12, every)
        end(rig)
        names = [path.name for path in rig.day_files()]
        assert len(names) >= 8
        assert all(re.fullmatch(FORMS[every] + r"\.jsonl", name) for name in names)
        for name, lines in rig.lines().items():
            for line in lines:
                moment = datetime.fromisoformat(line.split(b'"')[3].decode()).astimezone(UTC)
                assert f"{period_of(int(moment.timestamp()), 'UTC', every).name}.jsonl" == name
            assert (rig.places.belongings_dir / "manifests" / (name + SUFFIX)).exists()
        is_whole(rig)
    finally:
        rig.close()


@pytest.mark.parametrize("every", FINE)
@pytest.mark.parametrize("point", ["writer.rotate.created", "writer.rotate.seal", "writer.append.partial"])
def test_a_kill_at_a_change_of_files_loses_and_repeats_nothing(every: str, point: str) -> None:
    """Once with the control page, and once without: then the files of all these periods are asked."""
    rig = Rig(rotate_every=every)
    try:
        emit_over(rig, 3, every)
        killed = 0
        for turn in range(1, 5):
            emit_over(rig, 2, every, start=turn * 10)
            rig.drain()
            rig.pass_time(LENGTHS_SEC[every] + 61)
            rig.emit(rig.emitters[0], 90_000 + turn)
            killed += rig.run_until_killed(point, turns=3)
            if turn == 2 and rig.writer is None:
                rig.page.unlink()
        assert killed > 1
        end(rig)
        is_whole(rig)
    finally:
        rig.close()


def test_verify_takes_an_hour_or_a_day_of_finer_periods() -> None:
    """A date means all of its hours, minutes and seconds."""
    rig = Rig(rotate_every="second")
    try:
        emit_over(rig, 5, "second")
        end(rig)
        all_of = len(rig.day_files())
        first = rig.day_files()[0].name.removesuffix(".jsonl")
        assert verify(rig.places.log_dir, dates=[first[:10]]).files == all_of
        assert verify(rig.places.log_dir, dates=[first[:13]]).files == all_of
        assert verify(rig.places.log_dir, dates=[first]).files == 1
    finally:
        rig.close()


@pytest.fixture
def parts() -> Rig:
    """Give a rig whose day goes on in parts of 8 KiB."""
    rig = Rig(rotate_max_mb=8 / 1024)
    yield rig
    rig.close()


def sizes(rig: Rig) -> dict[str, int]:
    """Return the length of each file."""
    return {path.name: path.stat().st_size for path in rig.day_files()}


def in_order(paths: list[Path]) -> list[str]:
    """Return names of parts in their order."""
    return sorted(
        (path.name for path in paths), key=lambda name: int(name.split(".")[1].replace("jsonl", "0"))
    )


def test_a_day_goes_on_in_parts_of_a_size(parts: Rig) -> None:
    """None is longer than it may be, but for a record that is; full ones are sealed, for good."""
    producer = parts.producer()
    for tag in range(200):
        parts.emit(producer, tag, size=200)
        if tag % 60 == 0:
            parts.step(2)
            parts.check_positions()
    parts.emit(producer, 999, size=20_000)
    parts.emit(producer, 1000)
    parts.drain()
    names = in_order(parts.day_files())
    assert names[:3] == ["2025-11-21.jsonl", "2025-11-21.1.jsonl", "2025-11-21.2.jsonl"]
    long = [name for name, size in sizes(parts).items() if size > 8192]
    assert len(long) == 1
    assert any(b'"tag":999' in line for line in parts.lines()[long[0]])
    assert set(names[:-1]) <= parts.writer.days.sealed
    assert all(size > 3000 for name, size in sizes(parts).items() if name not in (names[-1], long[0]))
    end(parts)
    is_whole(parts)


@pytest.mark.parametrize("without_page", [True, False])
def test_a_kill_between_two_parts_loses_and_repeats_nothing(parts: Rig, without_page: bool) -> None:
    """When the full one is synced, and when the next one is made."""
    producer = parts.producer()
    killed = 0
    for turn in range(6):
        for tag in range(40):
            parts.emit(producer, turn * 100 + tag, size=200)
        killed += parts.run_until_killed(("writer.rotate.full", "writer.rotate.created")[turn % 2], turns=2)
        if without_page and parts.writer is None:
            parts.page.unlink()
    assert killed > 3
    end(parts)
    is_whole(parts)
