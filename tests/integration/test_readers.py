"""
What zstd, gzip, jq, DuckDB and lnav make of our files, plain and packed, as they are on the disk.

The days are written by the real writer and packed by the real code (tests/support/packing.py).
"""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from support.archive import DAYS
from support.packing import SUFFIXES, day_files, pack
from support.rig import Rig

FORMAT = Path(__file__).parents[2] / "docs" / "lnav.json"

NeedTool = Callable[[str], str]


def printed(*command: str | Path) -> bytes:
    """Return what a program prints; it has to end well, within a minute."""
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def numbers(lines: bytes) -> list[tuple[str, int]]:
    """Return producer and number of each record."""
    return [(one["producer"], one["action_number"]) for one in map(json.loads, lines.splitlines())]


@pytest.mark.parametrize("compression", SUFFIXES)
def test_the_usual_tools_read_a_packed_day(
    rig: Rig, logs: Path, compression: str, need_tool: NeedTool
) -> None:
    """`zstd -t` and `gzip -t` find it whole, `zstdcat` and `zcat` print the day, jq reads it."""
    tester, printer = {"zstd": ("zstd", "zstdcat"), "gzip": ("gzip", "zcat")}[compression]
    data = (logs / DAYS[0]).read_bytes()
    pack(rig, DAYS[0], compression)
    packed = str(logs / f"{DAYS[0]}.{SUFFIXES[compression]}")
    printed(need_tool(tester), "-t", "-q", packed)
    day = printed(need_tool(printer), packed)
    assert day == data
    jq = need_tool("jq")
    found = subprocess.run([jq, "-c", "."], input=day, check=True, capture_output=True).stdout
    assert numbers(found) == numbers(data)


def test_jq_reads_plain_days(logs: Path, need_tool: NeedTool) -> None:
    """Each line is a record to it, in the order of the file."""
    for day in DAYS:
        assert numbers(printed(need_tool("jq"), "-c", ".", logs / day)) == numbers((logs / day).read_bytes())


def test_duckdb_reads_packed_and_plain_days_together(rig: Rig, logs: Path) -> None:
    """By one glob, as `pipeline log` is not the only one to ask."""
    duckdb = pytest.importorskip("duckdb", reason="the extra `query` is not installed")
    wanted = sum((logs / day).read_bytes().count(b"\n") for day in DAYS)
    pack(rig, DAYS[0])
    pack(rig, DAYS[1], "gzip")
    files = [str(logs / name) for name in day_files(logs)]
    query = f"select count(*), count(distinct (producer, action_number)) from read_json_auto({files})"
    assert duckdb.sql(query).fetchall() == [(wanted, wanted)]


@pytest.fixture
def lnav(need_tool: NeedTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the program, with a home and a cache of its own."""
    for name in ("HOME", "TMPDIR"):
        place = tmp_path / name
        place.mkdir()
        monkeypatch.setenv(name, str(place))
    return need_tool("lnav")


@pytest.mark.parametrize("compression", ["none", *SUFFIXES])
def test_lnav_shows_a_day_as_it_was_written(rig: Rig, logs: Path, compression: str, lnav: str) -> None:
    """Byte for byte, whatever form the day is in, without a word about its format."""
    data, day = (logs / DAYS[0]).read_bytes(), logs / DAYS[0]
    if compression != "none":
        pack(rig, DAYS[0], compression)
        day = logs / f"{DAYS[0]}.{SUFFIXES[compression]}"
    assert printed(lnav, "-n", day) == data


def test_lnav_knows_times_and_fields_with_our_format(rig: Rig, logs: Path, lnav: str) -> None:
    """Once docs/lnav.json is installed: of packed and plain days together, as a table of its SQL."""
    lines = [json.loads(line) for day in DAYS for line in (logs / day).read_bytes().splitlines()]
    wanted = Counter((one["timestamp"][:10], one["action_type"]) for one in lines)
    pack(rig, DAYS[0])
    pack(rig, DAYS[1], "gzip")
    printed(lnav, "-i", FORMAT)
    select = ";SELECT substr(log_time, 1, 10), action_type, count(*) FROM pipeline_log GROUP BY 1, 2"
    before = sorted(os.listdir(logs))
    files = [str(logs / name) for name in day_files(logs)]
    rows = printed(lnav, "-n", "-c", select, "-c", ":write-json-to -", *files)
    found = {tuple(row.values())[:2]: tuple(row.values())[2] for row in json.loads(rows)}
    assert found == wanted
    assert sorted(os.listdir(logs)) == before
