"""The language of `where`, moments, and what filter() takes: what they mean, and where an error points."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from support.forms import line_of, record, write_day

from pipeline import LogQueryEngine
from pipeline.errors import QueryError
from pipeline.query import conditions, moments, status_of, where

RECORD = record(
    7,
    "2025-11-21T10:00:00.000000Z",
    "tool_error",
    duration_ms=5,
    ratio=0.5,
    flag=True,
    nothing=None,
    text="5",
    args={"command": "rm -rf /", "a.b": "dotted"},
    tags=["x", "y", 3],
    steps=[{"name": "one"}, {"name": "two"}],
)


@pytest.mark.parametrize(
    "text",
    [
        "duration_ms = 5",
        "duration_ms == 5.0",
        'text = "5"',
        "text != 5",
        "not text = 5",
        "flag = true",
        "duration_ms != true",
        "nothing = null and missing = null",
        "exists(text) and not exists(nothing) and not exists(missing)",
        "duration_ms > 4 and duration_ms >= 5 and duration_ms < 6 and duration_ms <= 5",
        "ratio < 1",
        "timestamp > 2025-11-21T09 and timestamp < 2025-11-21T11",
        "not (text < 6) and not text > 4",
        'args.command ~ "^rm"',
        "args.command !~ ^ls",
        "missing !~ x and missing != x",
        "args.a.b = dotted",
        'args."a.b" = dotted',
        "tags = y and tags = 3 and not tags = z",
        "steps.name = two",
        "action_type in (log, tool_error)",
        "status = error",
        "status in (error) and STATUS = null",
        "(text = 1 or text = '5') and (duration_ms = 5 AND NOT flag = false)",
        "text = 1 or duration_ms = 5 and flag = true",
        '"duration_ms"=5 and "args".command ~ rm and "args"."a.b"="dotted"',
    ],
)
def test_condition_holds(text: str) -> None:
    """Each form of the language, on one record of which it is true; denied, it is false."""
    assert where.condition(text).holds(RECORD)
    assert not where.condition(f"not ({text})").holds(RECORD)


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", 1, "name of a field"),
        ("status", 7, "one of ="),
        ("status =", 9, "value is missing"),
        ("status = error and", 19, "name of a field"),
        ("status = error or or", 21, "one of ="),
        ("status error", 8, "one of ="),
        ("(status = error", 16, "`)` is missing"),
        ("status = error)", 15, "`and` or `or`"),
        ("status = 'error", 10, "never closed"),
        ("name ~ [", 8, "no regular expression"),
        ("a in 5", 6, "`(` is missing"),
        ("a..b = 5", 1, "empty"),
        ("not " * 200 + "a = 1", 401, "inside each other"),
    ],
)
def test_error_points_at_the_place(text: str, place: int, what: str) -> None:
    """The message has the character and a mark below it."""
    with pytest.raises(QueryError) as caught:
        where.condition(text)
    assert what in str(caught.value)
    assert f"at character {place}\n" in str(caught.value)
    mark = str(caught.value).splitlines()[2]
    assert mark.index("^") == 4 + place - 1


@given(text=st.text(alphabet=st.sampled_from("ab= !<>~().,\"'\\andornt 15"), max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_condition_or_an_error_of_ours(text: str) -> None:
    """Nothing that somebody types ends in a traceback of something else."""
    try:
        found = where.condition(text)
    except QueryError:
        return
    assert found.holds(RECORD) in (True, False)


VALUES = st.one_of(st.text(max_size=4), st.integers(-9, 9), st.booleans(), st.none(), st.floats(-2, 2))


@given(value=VALUES, wanted=st.text(min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_a_text_in_quotes_is_that_text_whatever_is_in_it(value: Any, wanted: str) -> None:
    """Quotes and backslashes are written with a backslash before them."""
    quoted = wanted.replace("\\", "\\\\").replace('"', '\\"')
    assert where.condition(f'field = "{quoted}"').holds({"field": value}) == (value == wanted)


@given(name=st.sampled_from(["status", "a", "tool_name"]), value=st.text(max_size=5), other=VALUES)
@settings(max_examples=200, deadline=None)
def test_a_needle_is_in_the_line_of_every_record_that_is_asked_for(name: str, value: str, other: Any) -> None:
    """What has no needle in it is never parsed, so a needle must never be missing."""
    one = record(
        1, "2025-11-21T10:00:00.000000Z", "my_error", **{name: value, "other": [other, {name: value}]}
    )
    line = line_of(one)
    asked = [
        conditions.top_field_is(name, [value]),
        conditions.field_is((name,), [value]),
        conditions.field_is(("other", name), [value]),
        conditions.contains(value),
        conditions.top_field_is("status", [status_of(one)]),
    ]
    for condition in asked:
        assert condition.holds(one)
        assert not condition.needles or any(needle in line for needle in condition.needles)


NOON = datetime(2025, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NOON, NOON),
        (datetime(2025, 11, 21, 12), NOON),  # noqa: DTZ001 - without a zone is what is meant
        (datetime(2025, 11, 21, 13, tzinfo=timezone(timedelta(hours=1))), NOON),
        ("2025-11-21T12:00", NOON),
        ("2025-11-21T13:00:00+01:00", NOON),
        ("2025-11-21 12:00:00Z", NOON),
        (date(2025, 11, 21), NOON - timedelta(hours=12)),
        ("2025-11-21", NOON - timedelta(hours=12)),
    ],
)
def test_moments_are_taken_in_many_forms(value: Any, expected: datetime) -> None:
    """What has no zone is UTC."""
    assert moments.moment(value, "since") == expected


def test_a_moment_may_be_so_long_ago() -> None:
    """`15m` is a quarter of an hour before now."""
    meant = moments.moment("15m", "since")
    ago = datetime.now(UTC) - meant
    assert timedelta(minutes=15) <= ago < timedelta(minutes=16)


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"since": "yesterday"}, "since"),
        ({"since": 5}, "since"),
        ({"until": "2025-13-01"}, "until"),
        ({"date_range": ("2025-11-20", "2025-11-21", "2025-11-22")}, "date_range"),
        ({"date_range": ("2025-11-20", "later")}, "date_range"),
        ({"status": 5}, "status"),
        ({"action_types": ["a", 5]}, "action_types"),
        ({"keyword": ["a"]}, "keyword"),
        ({"content_match": "["}, "content_match"),
        ({"where": "="}, "where"),
    ],
)
def test_a_wrong_argument_is_an_error_that_names_it(tmp_path: Path, arguments: dict, place: str) -> None:
    """At once, and not when the answer is read."""
    with pytest.raises(QueryError) as caught:
        LogQueryEngine(tmp_path).filter(**arguments)
    assert caught.value.where == place


def test_days_are_those_of_files_and_both_ends_are_included(tmp_path: Path) -> None:
    """A day may be given as a text or a date, alone or as a pair, with open ends."""
    for day in (19, 20, 21, 22):
        line = line_of(record(day, f"2025-11-{day}T10:00:00.000000Z", "log"))
        write_day(tmp_path, f"2025-11-{day}", [line])
    engine = LogQueryEngine(tmp_path)

    def found(value: Any) -> list[int]:
        return [one["action_number"] for one in engine.filter(date_range=value).iter()]

    assert found(("2025-11-20", "2025-11-21")) == [20, 21]
    assert found("2025-11-21") == found(date(2025, 11, 21)) == [21]
    assert found((None, "2025-11-20")) == [19, 20]
    assert found((date(2025, 11, 21), None)) == [21, 22]
    assert found(("2025-11-20T10:00", "2025-11-21T10:00")) == [20, 21]
    assert found(("2025-11-20T10:01", "2025-11-21")) == [21]
    twice = engine.filter(date_range=("2025-11-20", None)).filter(date_range=(None, "2025-11-21"))
    assert twice.count() == 2


def test_an_engine_never_changes(tmp_path: Path) -> None:
    """Filters, limits and orders make new engines; the first one still finds everything."""
    write_day(
        tmp_path, "2025-11-21", [line_of(record(n, "2025-11-21T10:00:00.000000Z", "log")) for n in (2, 1)]
    )
    engine = LogQueryEngine(tmp_path)
    engine.filter(status="error").limit(1).order_by_time()
    assert [one["action_number"] for one in engine.iter()] == [2, 1]
    assert [one["action_number"] for one in engine.order_by_time().iter()] == [1, 2]
    assert [one["action_number"] for one in engine.order_by_time(descending=True).tail(1).iter()] == [1]
    with pytest.raises(QueryError, match="not a number of records"):
        engine.limit(-1)
