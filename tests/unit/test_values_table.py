"""
docs/values.md says what becomes of each kind of value; here every row of its tables is run.

The left cell is evaluated after the page's own setup block, encoded, and compared with the middle cell.
"""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.records.encoding import encode_fields

PAGE = (Path(__file__).parents[2] / "docs" / "values.md").read_text("utf-8")
ROW = re.compile(r"^\| `(?P<expression>.+?)` \| `(?P<recorded>.+?)` \|", flags=re.MULTILINE)
SETUP = re.search(r"```python\n(?P<code>import .+?)```", PAGE, flags=re.DOTALL)["code"]

ROWS = [(row["expression"].replace(r"\|", "|"), row["recorded"]) for row in ROW.finditer(PAGE)]


def names_for(expression: str) -> dict[str, Any]:
    """Return what the expression may use; numpy only where it is mentioned, for it may be absent."""
    names: dict[str, Any] = {"__name__": "values_page"}
    # dont_inherit: the page's reader has no `annotations` from the future, which this file has.
    exec(compile(SETUP, "docs/values.md", "exec", dont_inherit=True), names)
    if "numpy" in expression:
        names["numpy"] = pytest.importorskip("numpy")
    return names


def without_addresses(text: str) -> str:
    """Replace addresses in memory, which differ from run to run, as the page does."""
    return re.sub(r"0x[0-9a-f]+", "0x…", text)


@pytest.mark.parametrize(("expression", "recorded"), ROWS, ids=[row[0] for row in ROWS])
def test_row_of_the_table_is_true(expression: str, recorded: str) -> None:
    """The value of the left cell is recorded as the JSON of the middle cell, types of numbers included."""
    value = eval(expression, names_for(expression))
    body = json.loads(without_addresses(encode_fields({"value": value}).decode()))
    assert json.dumps(body["value"], ensure_ascii=False) == json.dumps(
        json.loads(recorded), ensure_ascii=False
    )


def test_every_row_of_the_tables_was_read() -> None:
    """The pattern above reads all rows: one that it does not match would be a claim without proof."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(lines) == len(ROWS) > 60


def test_the_example_of_a_cut_record_is_true() -> None:
    """The session under "Records that are too long" runs as it is printed."""
    example = doctest.DocTestParser().get_doctest(PAGE, {"json": json}, "values.md", "docs/values.md", 0)
    result = doctest.DocTestRunner(verbose=False).run(example)
    assert result.attempted >= 6
    assert result.failed == 0


@pytest.mark.parametrize("name", ["DEPTH_MAX", "VALUES_MAX", "TEXT_CHARS_MAX", "FRAMES_MAX"])
def test_bounds_in_the_text_are_those_of_the_code(name: str) -> None:
    """A bound that is changed in the code is changed on the page too."""
    from pipeline.records import value_bounds

    number = getattr(value_bounds, name)
    assert re.search(rf"\b({number:,}|{number})\b", PAGE)
