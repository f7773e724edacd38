"""The catalog: which files there are, in what form, and what is in those that are finished."""

import hashlib
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.days import DAYS, end, history, write_days
from support.rig import Rig

from pipeline.keeping import counts
from pipeline.keeping.cleaning import Cleaner
from pipeline.keeping.plan import Limits
from pipeline.paths import places_for
from pipeline.settings import Settings
from pipeline.storage import catalog
from pipeline.storage.manifest import Chain

NAMES = [f"{day}.jsonl" for day in DAYS]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a history once."""
    return history(tmp_path_factory.mktemp("made") / "logs")


@pytest.fixture
def logs(made: Path, tmp_path: Path) -> Iterator[Path]:
    """Give a copy of it."""
    shutil.copytree(made, tmp_path / "logs")
    return tmp_path / "logs"


def rows(logs: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of the catalog by name."""
    return {row["name"]: row for row in json.loads((logs / "metadata.json").read_bytes())["files"]}


def write(logs: Path) -> dict[str, dict[str, Any]]:
    """Write the catalog as its writer does, and return its rows."""
    chain = Chain(logs / ".pipeline", "", catalog.load(logs, "")["head"])
    catalog.store(logs, chain)
    return rows(logs)


def test_a_finished_file_is_counted_once_in_whatever_form(logs: Path) -> None:
    """Records by type and status, first and last, digest: as jq or anybody else would count them."""
    cleaner = Cleaner(places_for(logs), Settings(retention_days=0))
    expected = {}
    for name in NAMES:
        data = (logs / name).read_bytes()
        records = [json.loads(line) for line in data.splitlines()]
        times = [record["timestamp"] for record in records]
        expected[name] = {
            "records": len(records),
            "other_lines": 0,
            "first": min(times),
            "last": max(times),
            "types": dict(sorted(Counter(record["action_type"] for record in records).items())),
            "statuses": {"success": len(records)},
            "unpacked_bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    assert [one.action for one in Cleaner(places_for(logs), Settings(retention_days=0)).run()] == [
        "packed"
    ] * 6
    assert list(cleaner.finish()) == NAMES
    assert list(cleaner.finish()) == []
    found = write(logs)
    assert {name: {key: row[key] for key in expected[name]} for name, row in found.items()} == expected
    assert {row["packing"] for row in found.values()} == {"zst"}
    assert all(row["bytes"] == (logs / f"{name}.zst").stat().st_size for name, row in found.items())
    assert all(row["proven_records"] == row["records"] for row in found.values())


def test_a_row_outlives_its_file_and_its_counts(logs: Path) -> None:
    """What has left is in the catalog with what it held; rows that nothing has changed are taken over."""
    before = write(logs)
    places, settings = places_for(logs), Settings(retention_days=0, compression="none")
    assert before[NAMES[0]]["types"] is None
    assert len(list(Cleaner(places, settings).finish())) == len(NAMES)
    counted = write(logs)
    assert counted[NAMES[0]]["types"]["work"] == 30
    done = list(Cleaner(places, settings, limits=Limits(max_files=5)).run())
    assert [one.file for one in done] == NAMES[:1]
    assert not counts.is_counted(places, NAMES[0])
    after = rows(logs)
    assert after[NAMES[0]] | {"expired": None, "last_entry": "", "bytes": 0} == (
        counted[NAMES[0]] | {"last_entry": "", "bytes": 0}
    )
    assert (after[NAMES[0]]["expired"], after[NAMES[0]]["bytes"]) == ("max_files", None)
    assert {name: after[name] for name in NAMES[1:]} == {name: counted[name] for name in NAMES[1:]}


def test_lines_that_are_no_records_are_counted_apart(logs: Path) -> None:
    """Somebody's line, half a line, an error without a status."""
    with (logs / NAMES[2]).open("ab") as file:
        file.write(b'{"timestamp":"2025-11-23T00:00:00.5Z","action_type":"tool_error"}\nhello\n{"half')
    counts.count(places_for(logs), NAMES[2], NAMES[2], lambda: None)
    row = write(logs)[NAMES[2]]
    assert (row["records"], row["other_lines"]) == (31, 1)
    assert row["statuses"] == {"error": 1, "success": 30}


def test_the_file_being_written_says_up_to_where_it_is_described(rig: Rig) -> None:
    """Its proven bytes and records; the catalog may lag, and is whole when the writer has ended."""
    write_days(rig, 2)
    row = rows(rig.places.log_dir)[NAMES[1]]
    assert row["types"] is None
    assert row["proven_bytes"] <= (rig.places.log_dir / NAMES[1]).stat().st_size
    end(rig)
    row = rows(rig.places.log_dir)[NAMES[1]]
    data = (rig.places.log_dir / NAMES[1]).read_bytes()
    assert (row["proven_bytes"], row["proven_records"], row["bytes"]) == (
        len(data),
        data.count(b"\n"),
        len(data),
    )


def test_a_catalog_that_takes_long_is_written_seldom_but_at_the_end(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory of many files that change every second: a twentieth of the writer's time at most."""
    stored: list[float] = []
    store = catalog.store

    def slow(*arguments: Any) -> None:
        stored.append(rig.clock.monotonic)
        rig.clock.monotonic += 1.0
        store(*arguments)

    monkeypatch.setattr(catalog, "store", slow)
    write_days(rig, 1, records=3)
    for tag in range(100, 140):
        rig.emit(rig.emitters[0], tag)
        rig.writer.days.manifests.store_catalog()
        rig.pass_time(1.0)
    assert 0 < len(stored) < 6
    assert min(b - a for a, b in itertools.pairwise(stored)) > 15
    end(rig)
    assert rig.clock.monotonic - stored[-1] < 5
