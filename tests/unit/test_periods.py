"""Which day a moment belongs to, in UTC and in zones whose days have 23, 24 or 25 hours."""

import zoneinfo
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from pipeline.records.periods import LENGTHS_SEC, end_of, period_of

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/Havana",
    "Asia/Beirut",
]
FIRST = 0
LAST_OF_9999 = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())


def at(text: str, zone: str) -> int:
    """Return the epoch second of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone)).timestamp())


@given(second=st.integers(FIRST, LAST_OF_9999 - 2 * 86_400), zone=st.sampled_from(ZONES))
def test_a_period_has_its_own_second_and_the_name_of_its_local_day(second: int, zone: str) -> None:
    """Whatever the clock says, from 1970 to 9999."""
    period = period_of(second, zone)
    assert period.start_sec <= second < period.end_sec
    local = datetime.fromtimestamp(second, zoneinfo.ZoneInfo(zone))
    assert period.name == f"{local:%Y-%m-%d}"


@given(
    second=st.integers(FIRST + 2 * 86_400, at("2037-01-01T00:00:00", "UTC")), zone=st.sampled_from(ZONES[:4])
)
def test_periods_follow_each_other_without_a_gap(second: int, zone: str) -> None:
    """The end of a day is the beginning of the next one."""
    if zone == "America/St_Johns" and datetime.fromtimestamp(second, UTC).year < 2012:
        return  # its clocks fell back over midnight, and a day came twice
    period = period_of(second, zone)
    following = period_of(period.end_sec, zone)
    assert following.start_sec == period.end_sec
    assert period_of(period.end_sec - 1, zone) == period
    assert following.name > period.name


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2025-03-30", "Europe/Berlin", 23),
        ("2025-10-26", "Europe/Berlin", 25),
        ("2025-03-09", "America/St_Johns", 23),
        ("2025-11-02", "America/St_Johns", 25),
        ("2025-11-21", "Asia/Kathmandu", 24),
        ("2025-11-21", "UTC", 24),
        ("2021-03-28", "Asia/Beirut", 23),  # has no midnight: the day begins at 01:00
    ],
)
def test_a_day_has_as_many_hours_as_its_clocks_show(day: str, zone: str, hours: int) -> None:
    """On the days when the clocks are set the file of the day covers 23 or 25 hours."""
    period = period_of(at(f"{day}T12:00:00", zone), zone)
    assert period.name == day
    assert period.end_sec - period.start_sec == hours * 3600


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("second", [0, 1, 59, 3600, 86_399, 86_400, LAST_OF_9999 - 100_000])
def test_the_clock_may_say_anything(zone: str, second: int) -> None:
    """A machine without a battery begins in 1970."""
    period = period_of(second, zone)
    assert period.start_sec <= second < period.end_sec


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/St_Johns"])
def test_the_last_day_that_python_knows_is_a_day(zone: str) -> None:
    """The 31st of December 9999, local time, at noon."""
    assert period_of(at("9999-12-31T12:00:00", zone), zone).name == "9999-12-31"


def test_clocks_that_fall_back_over_midnight_bring_the_old_day_back() -> None:
    """
    St. John's did so until 2011: one minute after midnight it was 23:01 again.

    Each second has its local day.
    """
    zone = "America/St_Johns"
    before = at("2010-11-06T23:59:00", zone)
    names = [period_of(second, zone).name for second in range(before, before + 7200, 60)]
    local = [
        datetime.fromtimestamp(s, zoneinfo.ZoneInfo(zone)).strftime("%Y-%m-%d")
        for s in range(before, before + 7200, 60)
    ]
    assert names == local
    assert names.count("2010-11-07") > 1
    assert "2010-11-06" in names[names.index("2010-11-07") :]


FORMS = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H", "minute": "%Y-%m-%dT%H-%M", "second": "%Y-%m-%dT%H-%M-%S"}


@given(
    second=st.integers(FIRST + 2 * 86_400, at("2037-01-01T00:00:00", "UTC")),
    zone=st.sampled_from([*ZONES, "Australia/Lord_Howe"]),
    every=st.sampled_from(sorted(LENGTHS_SEC)),
    later=st.integers(0, 7200),
)
def test_a_finer_period_has_the_name_that_local_clocks_show(
    second: int, zone: str, every: str, later: int
) -> None:
    """Each second that it covers has its name, also in the hour in which clocks are set."""
    period = period_of(second, zone, every)
    assert period.start_sec <= second < period.end_sec
    for one in {second, period.start_sec, period.end_sec - 1, min(second + later, period.end_sec - 1)}:
        local = datetime.fromtimestamp(one, zoneinfo.ZoneInfo(zone))
        if zone != "America/St_Johns" or local.year >= 2012 or every != "day":
            assert local.strftime(FORMS[every]) == period.name


@given(
    second=st.integers(FIRST + 2 * 86_400, at("2037-01-01T00:00:00", "UTC")),
    zone=st.sampled_from(ZONES),
    every=st.sampled_from(sorted(LENGTHS_SEC)),
)
def test_a_period_is_over_when_its_name_says(second: int, zone: str, every: str) -> None:
    """So that the age of a file is known from its name; where an hour comes twice, at its second end."""
    period = period_of(second, zone, every)
    end = end_of(period.name, zone)
    assert end is not None
    assert end > second
    assert end - period.start_sec <= LENGTHS_SEC[every] + 2 * 3600


@pytest.mark.parametrize(
    "name", ["", "2025-11-31", "2025-11-21T25", "2025-11-21T1", "2025-11-21 14", "x" * 19]
)
def test_what_names_no_period_has_no_end(name: str) -> None:
    """Somebody's file with a date that no calendar has is left alone."""
    assert end_of(name) is None
