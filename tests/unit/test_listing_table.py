"""The table: its shape, what stands in its cells, and how it fits a terminal."""

from datetime import UTC
from typing import Any

import pytest
from rich.cells import cell_len

from pipeline.cli.listing import columns
from pipeline.cli.listing.moments import zone_of
from pipeline.cli.listing.table import TableFormat, footer

SAMPLE = [
    {
        "timestamp": "2025-11-21T14:32:15.123456Z",
        "action_type": "tool_error",
        "tool_name": "bash",
        "error_message": "Command not found",
    },
    {
        "timestamp": "2025-11-21T14:35:22.456999Z",
        "action_type": "tool_call",
        "tool_name": "read_file",
        "args": {"path": "Read config.json"},
    },
]
SHAPE = """\
┏━━━━━━━━━━━━━━┳━━━━━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┓
┃ Timestamp    ┃ Action Type ┃ Tool      ┃ Status  ┃ Message           ┃
┡━━━━━━━━━━━━━━╇━━━━━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━┩
│ 14:32:15.123 │ tool_error  │ bash      │ error   │ Command not found │
│ 14:35:22.456 │ tool_call   │ read_file │ success │ Read config.json  │
└──────────────┴─────────────┴───────────┴─────────┴───────────────────┘"""


def drawn(records: list[dict[str, Any]], *, with_date: bool = False, **how: Any) -> list[str]:
    """Return the lines of a table of the usual columns."""
    how = {"width": None, "color": False} | how
    form = TableFormat(columns.standard(UTC, with_date=with_date), **how)
    return list(form.lines(records))


def test_table_has_the_shape_that_was_asked_for() -> None:
    """Five columns, heavy lines around the head, one line a record, and the count below."""
    assert "\n".join(drawn(SAMPLE)) == SHAPE
    assert footer(2, 1234) == "Showing 2 of 1,234 total actions"


def test_more_than_a_thousand_rows_are_one_table() -> None:
    """Drawn in pieces, it has one head, one end, and one width."""
    lines = drawn([{**SAMPLE[0], "error_message": "x" * (n % 70)} for n in range(2500)])
    assert len(lines) == 2500 + 4
    assert {len(line) for line in lines} == {len(lines[0])}
    assert sum(line.startswith("┏") for line in lines) == 1


def test_no_record_is_no_table() -> None:
    """A head above nothing says nothing."""
    assert drawn([]) == []


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_table_fits_the_terminal(width: int) -> None:
    """Wide letters count twice; the message gives way first, the time last."""
    wide = {**SAMPLE[0], "tool_name": "a_tool_with_a_long_name", "error_message": "数据库连接失败" * 30}
    lines = drawn([wide, *SAMPLE], width=width)
    assert max(map(cell_len, lines)) <= width
    assert len({cell_len(line) for line in lines}) == 1
    assert "14:32:15.123" in lines[3] or width < 60


def test_line_break_in_a_message_is_no_line_break_in_the_table() -> None:
    """One record is one line, whatever it holds."""
    lines = drawn([{**SAMPLE[0], "error_message": "first\nsecond\x1b[2J"}])
    assert len(lines) == 5
    assert r"first\nsecond\x1b[2J" in lines[3]


def test_status_has_a_colour_where_colours_are_wanted() -> None:
    """Errors are red, successes green, and without colours there is no escape at all."""
    error, success = drawn(SAMPLE, color=True)[3:5]
    assert "\x1b[91merror\x1b[0m " in error
    assert "\x1b[32msuccess" in success
    assert "\x1b" not in "".join(drawn(SAMPLE))


def test_terminal_without_unicode_gets_borders_of_ascii() -> None:
    """Where the encoding has no box characters."""
    assert "".join(drawn(SAMPLE, encoding="iso-8859-1")).isascii()


def test_several_days_show_the_date_in_the_zone() -> None:
    """A time of day alone would not say when."""
    form = TableFormat(columns.standard(zone_of("Asia/Tokyo"), with_date=True), width=None, color=False)
    assert "│ 2025-11-21 23:32:15.123 │" in list(form.lines(SAMPLE))[3]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"error_message": "broken", "content": "said"}, "broken"),
        ({"content": "said", "args": {"a": 1}}, "said"),
        ({"message": "logged", "logger": "app"}, "logged"),
        ({"command": "/help"}, "/help"),
        ({"args": {"command": "ls -l"}, "note": "n"}, "ls -l"),
        ({"args": {"path": "a", "lines": 3}}, "path=a lines=3"),
        ({"args": ["a", 1]}, '["a", 1]'),
        ({"error": {"type": "ValueError", "message": "no"}}, "ValueError: no"),
        ({"session_id": "s", "level": "INFO", "count": 3, "model": "m-1"}, "m-1"),
        ({"content": "", "duration_ms": 3}, ""),
        ({"content": 5, "reason": "why"}, "why"),
    ],
)
def test_message_is_what_says_most(fields: dict[str, Any], message: str) -> None:
    """error_message, else content, else the command or the arguments, else the first text of its own."""
    assert columns.message_of(SAMPLE[0] | {"error_message": None} | fields) == message


def test_chosen_fields_are_the_columns() -> None:
    """Dots lead into objects; a field that is not there is an empty cell."""
    form = TableFormat(columns.chosen(["args.path", "status", "nothing"], UTC), width=None, color=False)
    lines = list(form.lines(SAMPLE))
    assert lines[1].split() == ["┃", "args.path", "┃", "status", "┃", "nothing", "┃"]
    assert "Read config.json │ success" in lines[4]


@pytest.mark.parametrize(
    "stamp", [None, 5, "yesterday", "2025-11-21T14:32:15Z", "2025-11-21T15:32:15.1+01:00", "\x1b[2J"]
)
def test_time_of_any_form_is_shown(stamp: object) -> None:
    """Foreign records have foreign timestamps: one that can be read is, any other is shown as it stands."""
    line = drawn([{**SAMPLE[0], "timestamp": stamp}])[3]
    assert "\x1b" not in line
    assert ("14:32:15" in line) == ("T" in str(stamp))
