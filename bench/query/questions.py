"""
The questions, and how each subject is asked: all about one file, and all have to give the same answer.

An answer is a number, a digest of lines, or for each type how many and the mean duration. Conditions are
written as somebody who knows the tool would; grep and rg look for the bytes that our files have for a field.
"""

import json
import re
import shutil
from dataclasses import dataclass
from importlib.util import find_spec

from bench.query.data import Data

ENGINE = """
from pipeline import LogQueryEngine
engine = LogQueryEngine({place!r})
engine.limit(1).execute()
engine.limit(1).count()"""
INDEX = """
import duckdb
from pipeline.query.cuts import Cuts
from pipeline.query.pruning import refresh
from pipeline.query.sources import sources
root = engine.log_dir
for source in sources(root, '', '', Cuts(root)): refresh(root, source)"""
AGGREGATE = "SELECT action_type, count(*), avg(duration_ms) FROM {table} GROUP BY 1 ORDER BY 1"
BY_TYPE = "{{row[0]: row[1:] for row in {rows}}}"


@dataclass(frozen=True)
class Command:
    """A program: its answer is the number it prints, how many lines it prints, or a digest of them."""

    argv: list[str]
    gives: str = "number"


@dataclass(frozen=True)
class Python:
    """An expression in an interpreter of its own; what `setup` does is not measured."""

    setup: str
    question: str


Subject = Command | Python
QUESTIONS = (
    *("selective", "errors", "word", "aggregate", "by session", "by trace", "5 minutes"),
    *("5 minutes, read", "tail 50", "every record"),
)


def questions(data: Data) -> dict[str, dict[str, Subject]]:
    """Return by question the subjects by name, whether they are installed or not."""
    day, sought = str(data.day), data.needles
    fresh, indexed = ENGINE.format(place=str(data.plain)), ENGINE.format(place=str(data.day.parent)) + INDEX
    session, trace = _field("session_id", sought.session), _field("trace_id", sought.trace)
    return {
        "selective": {
            "ours": _ours(fresh, f"filter(session_id={sought.session!r}).count()"),
            **_searches(day, session, f".session_id == {json.dumps(sought.session)}"),
            **_tables(day, "session_id", sought.session),
        },
        "errors": {
            "ours": _ours(fresh, "filter(status='error').count()"),
            **_searches(day, '"status":"error"', '.status == "error"'),
            **_tables(day, "status", "error"),
        },
        "word": {
            "ours": _ours(fresh, f"filter(keyword={sought.word!r}).count()"),
            **_searches(day, sought.word, f"tostring | contains({json.dumps(sought.word)})"),
        },
        "aggregate": {
            "ours": _sql(indexed, f"engine.sql({AGGREGATE.format(table='records')!r})"),
            "ours, group_by": Python(
                indexed, "{kind: [int(n), None] for kind, n in engine.group_by('action_type').items()}"
            ),
            "jq": Command(["jq", "-rn", _JQ_AGGREGATE, day], "groups"),
            "duckdb": _sql("import duckdb", f"duckdb.sql({_duck(AGGREGATE, day)!r})"),
            "polars": _polars(
                day,
                ".group_by('action_type').agg(pl.len(), pl.mean('duration_ms')).collect().rows()",
                BY_TYPE,
            ),
        },
        "by session": {
            "ours": _ours(indexed, f"filter(session_id={sought.session!r}).count()"),
            **_searches(day, session),
        },
        "by trace": {
            "ours": _ours(indexed, f"filter(trace_id={sought.trace!r}).count()"),
            **_searches(day, trace),
        },
        **_window(indexed, data),
        "tail 50": {
            "ours": Python(fresh, "digest(one.line for one in engine.tail(50).iter_lines())"),
            "tail -n 50": Command(["tail", "-n", "50", day], "digest"),
        },
        "every record": {
            "ours": _ours(fresh, "count()"),
            "ours, sorted": Python(fresh, "sum(1 for _ in engine.order_by_time().iter())"),
            "wc -l": Command(["wc", "-l", day]),
            "duckdb": Python("import duckdb", f"duckdb.sql({_duck(COUNT, day)!r}).fetchall()[0][0]"),
        },
    }


COUNT = "SELECT count(*) FROM {table}"
_JQ_AGGREGATE = """
reduce inputs as $one ({}; .[$one.action_type] |= [.[0] + 1, .[1] + ($one.duration_ms // 0),
  .[2] + (if $one.duration_ms then 1 else 0 end)])
| to_entries[] | [.key, .value[0], (if .value[2] > 0 then .value[1] / .value[2] else null end)] | @json
"""


def _field(name: str, value: str) -> str:
    return f'"{name}":"{value}"'


def _ours(setup: str, question: str) -> Python:
    return Python(setup, f"engine.{question}")


def _sql(setup: str, relation: str) -> Python:
    return Python(setup, BY_TYPE.format(rows=f"{relation}.fetchall()"))


def _duck(select: str, day: str) -> str:
    return select.format(table=f"read_ndjson('{day}')")


def _polars(day: str, rest: str, shape: str = "{rows}") -> Python:
    # Fields that the first 20,000 records do not have would be left out.
    scan = f"pl.scan_ndjson({day!r}, infer_schema_length=20_000){rest}"
    return Python("import polars as pl", shape.format(rows=scan))


def _searches(day: str, text: str, program: str = "") -> dict[str, Subject]:
    """Return what is asked on the command line."""
    found: dict[str, Subject] = {
        "grep -c": Command(["grep", "-cF", text, day]),
        "rg -c": Command(["rg", "-cF", text, day]),
    }
    if program:
        found["jq"] = Command(["jq", "-c", f"select({program})", day], "lines")
        found["lnav"] = Command(["lnav", "-n", "-c", f":filter-in (?-i){re.escape(text)}", day], "lines")
    return found


def _window(setup: str, data: Data) -> dict[str, dict[str, Subject]]:
    """Return what is asked about five minutes: how many records they have, and the records themselves."""
    ours, day = f"filter(since='{data.date}T14:30', until='{data.date}T14:35')", str(data.day)
    minutes = f'^."timestamp":"{data.date}T14:3[0-4]'
    return {
        "5 minutes": {
            "ours": _ours(setup, f"{ours}.count()"),
            "grep -c": Command(["grep", "-cE", minutes, day]),
            "rg -c": Command(["rg", "-c", minutes, day]),
        },
        "5 minutes, read": {
            "ours": Python(setup, f"len(engine.{ours}.execute())"),
            "grep": Command(["grep", "-E", minutes, day], "lines"),
        },
    }


def _tables(day: str, field: str, value: str) -> dict[str, Subject]:
    """Return what libraries of tables are asked."""
    select = _duck(f"{COUNT} WHERE {field} = '{value}'", day)
    chosen = f".filter(pl.col({field!r}) == {value!r}).select(pl.len()).collect().item()"
    return {
        "duckdb": Python("import duckdb", f"duckdb.sql({select!r}).fetchall()[0][0]"),
        "polars": _polars(day, chosen),
    }


def is_installed(subject: Subject) -> bool:
    """Tell whether it can be asked here."""
    if isinstance(subject, Command):
        return shutil.which(subject.argv[0]) is not None
    return all(find_spec(name) for name in ("duckdb", "polars") if f"import {name}" in subject.setup)
