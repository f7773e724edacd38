"""
Random filters over random records, against an oracle that parses every line and knows no shortcut.

The values are full of what has to be escaped, of each other's names, and of texts that differ in one sign.
"""

import re
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st
from support.forms import FORMS, line_of, record, write_day

from pipeline import LogQueryEngine

TEXTS = st.one_of(
    st.sampled_from(
        ["bash", "bas", "bash\n", 'ba"sh', "ba\\sh", "error", "_error", "status", "ü", "日本", "😀"]
    ),
    st.sampled_from(
        ['"status":"error"', "", "tool_use_id", "a\tb", "\u007f", "\u0001", "x" * 300, "1", "true"]
    ),
    st.text(max_size=6).filter(lambda text: text.isprintable()),
)
NAMES = ["status", "session_id", "tool_name", "trace_id", "level", "content", "tool_use_id", "tags"]
VALUES = st.one_of(
    TEXTS, st.integers(-5, 5), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()
)
TYPES = ["tool_call", "tool_result", "tool_error", "system_warning", "log", "my_error", "error"]
FIELDS = st.dictionaries(
    st.sampled_from(NAMES),
    st.one_of(
        VALUES,
        st.lists(VALUES, max_size=3),
        st.dictionaries(st.sampled_from([*NAMES, "a"]), VALUES, max_size=2),
    ),
    max_size=5,
)
USES = st.fixed_dictionaries(
    {"tool_use_id": st.sampled_from(["u1", "u2", "u3"])},
    optional={"tool_name": st.sampled_from(["bash", "read"])},
)


def stamp(second: int) -> str:
    """Return a moment of the day."""
    return f"2025-11-21T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.123456Z"


@st.composite
def days(draw: st.DrawFn) -> list[dict]:
    """Draw the records of a day, in the order of time."""
    seconds = sorted(draw(st.lists(st.integers(0, 86_399), max_size=12)))
    return [
        record(
            number,
            stamp(second),
            draw(st.sampled_from(TYPES)),
            draw(st.sampled_from(["3k9m3k9m3k9m", "other0000000"])),
            **draw(st.one_of(FIELDS, USES)),
        )
        for number, second in enumerate(seconds, 1)
    ]


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "action_types": st.lists(st.sampled_from(TYPES), min_size=1, max_size=3),
        "session_id": TEXTS,
        "status": st.one_of(st.sampled_from(["error", "success", "warning"]), TEXTS),
        "tool_name": st.sampled_from(["bash", "read", "ba", 'ba"sh']),
        "trace_id": st.lists(TEXTS, min_size=1, max_size=2),
        "level": TEXTS,
        "producer": st.sampled_from(["3k9m3k9m3k9m", "nobody"]),
        "keyword": TEXTS,
        "content_match": st.sampled_from(["bash", "^ba", "err.r", "ü|日", "[0-9]+", "a b", "x{3}"]),
        "since": st.integers(0, 86_399).map(stamp),
        "until": st.integers(0, 86_399).map(stamp),
    },
)


def asked(records: list[dict], filters: dict[str, Any]) -> list[dict]:
    """Return the records that a filter asks for, by the plain words of the documentation."""
    names: dict[str, str] = {}
    found = []
    for one in records:
        name, use = one.get("tool_name"), one.get("tool_use_id")
        if isinstance(use, str):
            if isinstance(name, str):
                names.setdefault(use, name)
            elif name is None:
                name = names.get(use)
        if all(is_so(one, name, key, value) for key, value in filters.items()):
            found.append(one)
    return found


def is_so(one: dict, tool_name: Any, key: str, value: Any) -> bool:
    """Tell whether a record is what one argument asks for."""
    if key == "keyword":
        return any(value in word for word in words(one, names=True))
    if key == "content_match":
        return any(re.search(value, text) for text in words(one, names=False))
    if key == "since":
        return one["timestamp"] >= value
    if key == "until":
        return one["timestamp"] < value
    if key == "tool_name":
        return tool_name == value
    field = one.get("action_type" if key == "action_types" else key)
    if key == "status" and field is None:
        ending = one["action_type"].endswith("_error")
        field = "error" if ending else "warning" if one["action_type"] == "system_warning" else "success"
    return field in ([value] if isinstance(value, str) else value) and isinstance(field, str)


def words(value: Any, *, names: bool) -> list[str]:
    """Return the texts in a value; with `names` also the names of fields, and numbers as they are written."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        inner = [word for one in value.values() for word in words(one, names=names)]
        return [*(value if names else ()), *inner]
    if isinstance(value, list):
        return [word for one in value for word in words(one, names=names)]
    return [line_of({"": value})[4:-2].decode()] if names else []


@given(records=days(), filters=FILTERS, form=st.sampled_from(FORMS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_filter_finds_what_the_oracle_finds_whatever_form_the_day_is_in(
    records: list[dict], filters: dict[str, Any], form: str
) -> None:
    """Needles, pieces and packed files are shortcuts: they change nothing in an answer."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        write_day(Path(place), "2025-11-21", [line_of(one) for one in records], form)
        engine = LogQueryEngine(place).filter(**filters)
        expected = asked(records, filters)
        assert engine.execute() == expected
        assert engine.count() == len(expected)
        assert engine.limit(2).execute() == expected[:2]
        assert engine.tail(2).execute() == expected[-2:]
        assert (
            engine.order_by_time(descending=True).limit(3).execute()
            == sorted(
                expected,
                key=lambda one: (one["timestamp"], one["producer"], one["action_number"]),
                reverse=True,
            )[:3]
        )
