"""Summary and chart: what they count, and that they need no more memory for more records."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.cli.listing.chart import Chart
from pipeline.cli.listing.moments import zone_of
from pipeline.cli.listing.summary import DiskUse, Statistics, lines, percent, size

START = datetime(2025, 11, 21, tzinfo=UTC)


def made(seconds: float, action_type: str = "tool_call", **fields: Any) -> dict[str, Any]:
    """Return a record of this long after midnight."""
    stamp = (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"timestamp": stamp, "action_type": action_type, **fields}


def charted(records: list[dict[str, Any]], zone: str = "UTC", **how: Any) -> list[str]:
    """Return the lines of a chart."""
    chart = Chart(zone_of(zone))
    for record in records:
        chart.add(record)
    return list(chart.lines("2025-11-21", how.get("width", 80), color=how.get("color", False)))


SUMMARY = """\
=== Log statistics summary (2025-11-21) ===

Total actions: 1,234
Sessions: 3
Errors: 12

By type:
- tool_call: 456 (37%)
- agent_state_change: 421 (34%)
- llm_request: 234 (19%)
- user_input: 111 (9%)
- tool_error: 8 (1%)
- llm_error: 3 (<1%)
- system_error: 1 (<1%)

By status:
- success: 1,222 (99%)
- error: 12 (1%)

Error types:
- tool_error: 8
- llm_error: 3
- system_error: 1

Disk usage:
- Today's log: 2.3 MB
- All logs: 45.6 MB (30 days)"""
TYPES = {
    "tool_call": 456,
    "llm_request": 234,
    "user_input": 111,
    "agent_state_change": 421,
    "tool_error": 8,
    "llm_error": 3,
    "system_error": 1,
}


def test_summary_has_the_shape_that_was_asked_for() -> None:
    """Totals, types, statuses with what counts as one, types of errors, and the disk."""
    statistics, number = Statistics(), 0
    for action_type, count in TYPES.items():
        for _ in range(count):
            number += 1
            statistics.add(made(number, action_type, session_id=f"s-{number % 3}"))
    disk = DiskUse(int(2.3 * 2**20), int(45.6 * 2**20), 30)
    assert "\n".join(lines("2025-11-21", statistics, disk)) == SUMMARY


def test_summary_of_nothing_has_no_empty_lists() -> None:
    """Zeros, and the disk."""
    text = "\n".join(lines("2025-11-21", Statistics(), DiskUse(0, 0, 30)))
    assert "Total actions: 0" in text
    assert "By type" not in text
    assert "- Today's log: 0 B" in text


def test_names_in_a_summary_are_harmless_and_bounded() -> None:
    """Hostile types are shown as escapes, and a flood of types is cut and counted."""
    statistics = Statistics()
    for number in range(100):
        statistics.add({"action_type": f"\x1b[2J{number}", "status": "\u202e"})
    text = "\n".join(lines("\u2025", statistics, DiskUse(0, 0, 1)))
    assert all(line.isprintable() for line in text.split("\n"))
    assert "- 70 others: 70" in text


def test_shares_are_never_rounded_to_nothing_or_all() -> None:
    """An error in a million is not 0 %."""
    assert [percent(*pair) for pair in [(1, 10**6), (10**6 - 1, 10**6), (1, 3), (5, 5)]] == [
        "<1%",
        ">99%",
        "33%",
        "100%",
    ]


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KB"), (2**40, "1.0 TB")]
)
def test_bytes_have_the_unit_that_fits(count: int, text: str) -> None:
    """Of 1024 each."""
    assert size(count) == text


def test_chart_counts_every_record_in_its_interval() -> None:
    """Counts are those of the records, whatever the interval has become."""
    records = [
        made(3600 * hour + n, status="error" if n < hour else None) for hour in range(24) for n in range(10)
    ]
    found = charted(records)
    rows = [line for line in found if line[2:3] == ":"]
    assert len(rows) == 24
    assert [int(row.split()[-1]) for row in rows] == [10] * 24
    assert rows[9].count("░") > rows[2].count("░") > 0
    assert rows[0].count("░") == 0


def test_second_of_another_zone_is_another_moment() -> None:
    """Timestamps of equal length and equal beginning, with and without an offset."""
    stamps = ["2025-11-21T14:32:15.123456Z", "2025-11-21T14:32:15.1+01:00", "2025-11-21T14:32:15.654321Z"]
    found = charted([{"action_type": "a", "timestamp": stamp} for stamp in stamps])
    assert [line.split()[-1] for line in (found[3], found[-1])] == ["1", "2"]


def test_one_error_among_many_is_still_seen() -> None:
    """What is there has at least one mark."""
    found = charted([made(n) for n in range(5000)] + [made(7, "tool_error")])
    assert any("░" in line for line in found[3:])


def test_chart_shows_days_in_the_zone() -> None:
    """Days begin at its midnight."""
    records = [made(86_400 * day) for day in range(20)]
    assert charted(records, "Asia/Tokyo")[3].startswith("2025-11-21 ")
    assert charted(records, "America/New_York")[3].startswith("2025-11-20 ")


def test_chart_of_durations_has_percentiles() -> None:
    """p50, p95 and p99 of each type, the most frequent first; what is no number is none."""
    records = [made(n, duration_ms=n + 1) for n in range(1000)] + [
        made(1, "llm_response", duration_ms=90_500)
    ]
    found = charted([*records, made(2, "odd", duration_ms="long"), made(3, "odd", duration_ms=True)])
    at = next(index for index, line in enumerate(found) if line.startswith("Duration"))
    assert found[at].split() == ["Duration", "by", "type", "records", "p50", "p95", "p99"]
    assert found[at + 1].split()[:8] == ["tool_call", "1,000", "500", "ms", "950", "ms", "990", "ms"]
    assert found[at + 2].split()[:4] == ["llm_response", "1", "90.50", "s"]
    assert not any(line.startswith("odd") for line in found)


def test_chart_fits_the_terminal_and_has_colours_only_where_wanted() -> None:
    """Bars are as long as there is room."""
    records = [
        made(n * 60, ["tool_call", "tool_error", "system_warning"][n % 3], duration_ms=n) for n in range(900)
    ]
    assert max(map(len, charted(records, width=60))) <= 72
    assert "\x1b" not in "".join(charted(records))
    assert "\x1b[31m" in "".join(charted(records, color=True))


def test_chart_with_records_without_time_or_from_all_ages(seed: int) -> None:
    """Foreign timestamps, the year 1 and the year 9999 break nothing."""
    stamps = [None, "soon", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2025-11-21T00:00:00.000000Z"]
    random.Random(seed).shuffle(stamps)
    found = charted([{"action_type": "a", "timestamp": stamp} for stamp in stamps], "Asia/Tokyo")
    assert found[0].endswith("5 records ===")
    assert len(found) < 40


def test_chart_of_any_time_has_few_intervals() -> None:
    """The more time there is, the wider they become, while no record is lost from them."""
    chart = Chart(UTC)
    for number in range(6000):
        chart.add(made(number * 5003.7, ["tool_call", "tool_error"][number % 2]))
        assert len(chart._counts) <= 2000
    assert chart._counts.total() == 6000
    assert len(list(chart.lines("a year", 80, color=False))) < 30
