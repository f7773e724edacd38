"""Counting by manifests: the same number as reading gives, without reading."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from support import archive
from support.rig import Rig

from pipeline import LogQueryEngine
from pipeline.errors import QueryError
from pipeline.query import Report, counting

QUESTIONS: list[dict[str, Any]] = [
    {},
    {"date_range": ("2025-11-22", "2025-11-22")},
    {"date_range": (None, "2025-11-22")},
    {"since": "2025-11-21T04:40:00.000040Z"},
    {"since": "2025-11-22T04:40:00.000050Z", "until": "2025-11-23T04:40:00.000030Z"},
    {"until": "2025-11-22"},
    {"since": "2030-01-01"},
    {"since": "2025-11-21", "keyword": "work"},
]


@pytest.fixture
def log_dir(rig: Rig, tmp_path: Path) -> Path:
    """Give three days of many small blocks that the real writer has written."""
    archive.write_days(rig, records=80)
    return archive.copy_of(rig, tmp_path)


def check(log_dir: Path) -> None:
    """Compare every count with what reading gives, with and without an index that stands already."""
    stamps = [record["timestamp"] for record in LogQueryEngine(log_dir).iter(Report())]
    moments = [stamps[len(stamps) * part // 4] for part in range(4)]
    spans = [{"since": moments[1], "until": moments[3]}, *({"until": moment} for moment in moments)]
    spans.append({"date_range": (moments[1], moments[2])})  # of which both ends are included
    for question in (QUESTIONS + spans) * 2:
        engine = LogQueryEngine(log_dir).filter(**question)
        report = Report()
        expected = len(list(engine.iter(Report())))
        assert engine.count(report) == expected, question
        assert engine.tail(7).count(Report()) == min(7, expected)


def test_count_is_what_reading_gives(log_dir: Path) -> None:
    """Of days, moments, and with a filter; the first and the last ones."""
    check(log_dir)
    assert LogQueryEngine(log_dir).count() > 300


def test_count_of_packed_days_is_the_same(log_dir: Path) -> None:
    """In frames, in one frame without a seek table, and in gzip."""
    whole, framed, gz = (log_dir / name for name in archive.DAYS)
    data = framed.read_bytes()
    cut = data.index(b"\n", len(data) // 2) + 1
    pack = zstandard.ZstdCompressor().compress
    framed.with_name(framed.name + ".zst").write_bytes(pack(data[:cut]) + pack(data[cut:]))
    whole.with_name(whole.name + ".zst").write_bytes(pack(whole.read_bytes()))
    gz.with_name(gz.name + ".gz").write_bytes(gzip.compress(gz.read_bytes()))
    for path in (whole, framed, gz):
        path.unlink()
    check(log_dir)


def test_what_somebody_has_done_to_a_file_is_seen(log_dir: Path) -> None:
    """A half line, a foreign one, a file that is shorter than its manifest, one without a manifest."""
    first, second, third = (log_dir / name for name in archive.DAYS)
    with first.open("ab") as file:
        file.write(b"hello\n" + first.read_bytes().splitlines()[3] + b'\n{"timestamp":"2025')
    second.write_bytes(second.read_bytes()[:-5000])
    (log_dir / ".pipeline" / "manifests" / f"{third.name}.manifest").unlink()
    check(log_dir)


def test_block_that_was_not_digested_as_it_was_written_is_read(log_dir: Path) -> None:
    """What `pipeline repair` has found in a file may be anything."""
    path = log_dir / ".pipeline" / "manifests" / f"{archive.DAYS[0]}.manifest"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    for entry in entries:
        if entry["kind"] == "block":
            entry |= {"lines": entry["lines"] + 5, "rebuilt": True}
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    check(log_dir)


def test_blocks_that_the_manifest_has_are_not_read(log_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a day at rest nothing is read; of a span the blocks at its ends."""
    read: list[int] = []
    forwards = counting.forwards

    def watched(source: Any, **how: Any) -> Any:
        for chunk in forwards(source, **how):
            read.append(chunk.end)
            yield chunk

    size = sum((log_dir / name).stat().st_size for name in archive.DAYS)
    monkeypatch.setattr(counting, "forwards", watched)
    assert LogQueryEngine(log_dir).count() > 300
    assert sum(read) < size / 10
    read.clear()
    assert LogQueryEngine(log_dir).filter(since="2025-11-21T04:40:00.000040Z").count() > 200
    assert sum(read) < size / 4


def test_file_that_cannot_be_read_is_no_zero(log_dir: Path) -> None:
    """Without a report it is an error, with one it stands there."""
    (log_dir / "2025-11-24.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(QueryError, match=r"2025-11-24\.jsonl\.gz"):
        LogQueryEngine(log_dir).count()
    report = Report()
    assert LogQueryEngine(log_dir).count(report) > 300
    assert [name for name, _ in report.unreadable] == ["2025-11-24.jsonl.gz"]
