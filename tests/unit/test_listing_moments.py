"""Points in time as people write them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pipeline.cli.listing.moments import day_range, moment, zone_of
from pipeline.errors import SettingsError

NOW = datetime(2025, 11, 21, 15, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", "2025-11-21T15:00:00+00:00"),
        ("15m", "2025-11-21T14:45:00+00:00"),
        ("90s", "2025-11-21T14:58:30+00:00"),
        ("1h30m", "2025-11-21T13:30:00+00:00"),
        ("1.5h", "2025-11-21T13:30:00+00:00"),
        ("2d", "2025-11-19T15:00:00+00:00"),
        ("1w", "2025-11-14T15:00:00+00:00"),
        ("14:30", "2025-11-21T14:30:00+01:00"),
        ("9:05", "2025-11-21T09:05:00+01:00"),
        ("14:30:15.5", "2025-11-21T14:30:15.500000+01:00"),
        ("2025-11-20", "2025-11-20T00:00:00+01:00"),
        ("yesterday", "2025-11-20T00:00:00+01:00"),
        ("2025-11-20T14:30", "2025-11-20T14:30:00+01:00"),
        ("2025-11-20 14:30:15", "2025-11-20T14:30:15+01:00"),
        ("2025-11-20T14:30:15.123456Z", "2025-11-20T14:30:15.123456+00:00"),
        ("2025-07-01T12:00", "2025-07-01T12:00:00+02:00"),
    ],
)
def test_moment_is_understood_in_the_zone(text: str, meant: str) -> None:
    """What says no zone is meant in the person's; what says how long ago needs none."""
    assert moment(text, BERLIN, NOW) == datetime.fromisoformat(meant)


def test_day_as_an_end_is_included() -> None:
    """`--until 2025-11-20` ends with that day and not before it."""
    assert moment("2025-11-20", UTC, NOW, is_end=True) == datetime(2025, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "soon", "15", "m", "25:00", "2025-13-01", "2025-11-21T99:00", "9" * 20 + "d"]
)
def test_nonsense_is_refused_with_a_form_that_works(text: str) -> None:
    """The error says what to write instead."""
    with pytest.raises(SettingsError, match="Write "):
        moment(text, UTC, NOW)


def test_range_of_days_includes_both_and_may_be_open() -> None:
    """FIRST:LAST is from the first midnight to the one behind the last day."""
    found = day_range("2025-11-15:2025-11-21", BERLIN, NOW)
    assert found.start == datetime(2025, 11, 15, tzinfo=BERLIN)
    assert found.end == datetime(2025, 11, 22, tzinfo=BERLIN)
    assert day_range(":", UTC, NOW) == (None, None, (None, None))
    assert day_range("yesterday:", UTC, NOW).start == datetime(2025, 11, 20, tzinfo=UTC)


def test_day_of_a_zone_with_a_change_of_the_clock_is_as_long_as_it_was() -> None:
    """The day on which summer ends has 25 hours."""
    found = day_range("2025-10-26:2025-10-26", BERLIN, NOW)
    assert found.end.astimezone(UTC) - found.start.astimezone(UTC) == timedelta(hours=25)


@pytest.mark.parametrize("text", ["2025-11-21", "2025-11-21:2025-11-20", "a:b", "2025-11-21:15m"])
def test_range_that_is_none_is_refused(text: str) -> None:
    """One day, days in the wrong order, and what is no day."""
    with pytest.raises(SettingsError):
        day_range(text, UTC, NOW)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("2025-11-21:2025-11-21", "2025-11-21"),
        ("2025-11-15:2025-11-21", "2025-11-15 to 2025-11-21"),
        (":", "all days"),
        ("2025-11-15:", "since 2025-11-15 00:00:00"),
    ],
)
def test_range_has_a_title(text: str, title: str) -> None:
    """Days are named as days."""
    assert day_range(text, UTC, NOW).title(UTC) == title


def test_zone_has_a_name_or_is_the_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """`local` is what TZ says, else what the machine is set to; a wrong name is refused."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert NOW.astimezone(zone_of("local")).hour == 0
    assert zone_of("utc") is UTC
    for name in ("Mars/Olympus", "../../etc/passwd", "\x1b[2J"):
        with pytest.raises(SettingsError) as refused:
            zone_of(name)
        assert str(refused.value).isprintable()
