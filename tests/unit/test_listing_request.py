"""What the options of `pipeline log` ask for."""

from datetime import UTC, datetime

import pytest

from pipeline.cli.listing.request import Request

NOW = datetime(2025, 11, 21, 15, 0, tzinfo=UTC)


def test_following_has_no_end() -> None:
    """Today is followed by tomorrow, whether a day was named or not."""
    for request in (Request(follow=True, now=NOW), Request(follow=True, date="2025-11-21", now=NOW)):
        assert request.time_range(UTC).start == datetime(2025, 11, 21, tzinfo=UTC)
        assert request.time_range(UTC).end is None
    assert Request(now=NOW).time_range(UTC).end == datetime(2025, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 50),
        ({"format": "jsonl"}, 50),
        ({"format": "summary"}, None),
        ({"export": "csv"}, None),
        ({"sql": "select 1"}, None),
        ({"shows_all": True}, None),
        ({"tail": 7, "format": "chart"}, 7),
        ({"limit": 3}, 3),
    ],
    ids=str,
)
def test_how_many_are_shown(options: dict[str, object], count: int | None) -> None:
    """Lists of records are the last 50 unless said otherwise; what sums up or exports is of all."""
    assert Request(**options).count == count
