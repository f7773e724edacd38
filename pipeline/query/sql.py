"""
SQL over the records, by DuckDB; Arrow and Parquet by the same way.

DuckDB takes the columns and their types from a sample of the records. Where that does not do, because a field
is rare or of several kinds, it is asked again with columns by all records, and at last over the records as
this library reads them.
"""

from __future__ import annotations

import importlib
import os
import re
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pipeline.errors import QueryError
from pipeline.query.report import Report
from pipeline.query.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.query.plan import Plan

MEMORY: Final = "256MB"
"""What DuckDB uses before it goes to the disk. Where that does not help, it is asked again without one."""
THREADS_MAX: Final = 2
"""Each reads JSON through a buffer of 32 MiB, of which a machine of 64 cores would have 64."""
EXTRA: Final = "pip install 'lossless-pipeline[query]'"
_ALL_COLUMNS: Final = re.compile(r"(?<!count\()\*|^\s*(?:from|describe|summarize|show)\b", re.IGNORECASE)
"""An answer that shows which fields there are: then the rare ones are wanted, too."""
_ATTEMPTS: Final = ((True, True), (False, True), (False, False))
"""(columns by a sample, files as they are)."""

Answer = TypeVar("Answer")


def answer(plan: Plan, text: str, report: Report | None) -> Any:
    """Return what DuckDB answers, as a relation that keeps its rows."""
    attempts = _ATTEMPTS[1:] if _ALL_COLUMNS.search(text) else _ATTEMPTS
    return _asked(plan, report, lambda connection: _kept(connection.sql(text)), attempts)


def arrow_table(plan: Plan, report: Report | None) -> Any:
    """Return the records as a pyarrow Table."""
    _imported("pyarrow")
    every = "SELECT * FROM records"
    return _asked(plan, report, lambda connection: connection.sql(every).to_arrow_table(), _ATTEMPTS[1:])


def write_parquet(plan: Plan, path: str | os.PathLike[str], report: Report | None) -> int:
    """Write the records to a Parquet file, and return how many there are."""
    target = os.fspath(path)

    def write(connection: Any) -> int:
        connection.sql("SELECT * FROM records").write_parquet(target, compression="zstd")
        written = connection.execute("SELECT count(*) FROM read_parquet(?)", [target]).fetchall()
        return int(written[0][0])

    return _asked(plan, report, write, _ATTEMPTS[1:])


def _asked(
    plan: Plan,
    report: Report | None,
    ask: Callable[[Any], Answer],
    attempts: tuple[tuple[bool, bool], ...],
) -> Answer:
    duckdb = _imported("duckdb")
    noted = report or Report()
    table = Table(plan, noted)
    connection = _connected(duckdb, table)
    for is_sampled, trusts_files in attempts:
        is_last = (is_sampled, trusts_files) == attempts[-1]
        try:
            table.define(connection, is_sampled=is_sampled, trusts_files=trusts_files)
            found = _in_bounds(duckdb, connection, ask)
        except duckdb.Error as error:
            if is_last or isinstance(error, duckdb.ParserException):
                raise QueryError("DuckDB does not take this", where="sql", cause=error) from error
        else:
            if report is None and noted.unreadable:
                name, why = noted.unreadable[0]
                raise QueryError("not everything could be read", where=name, cause=why)
            return found
    raise AssertionError("the last attempt returns or raises")


def _connected(duckdb: Any, table: Table) -> Any:
    threads = min(THREADS_MAX, os.cpu_count() or 1)
    try:
        # Its own place for what does not fit is the current directory.
        connection = duckdb.connect(config={"temp_directory": table.scratch, "threads": threads})
    except BaseException:
        table.close()
        raise
    weakref.finalize(connection, table.close)
    return connection


def _in_bounds(duckdb: Any, connection: Any, ask: Callable[[Any], Answer]) -> Answer:
    connection.execute(f"SET memory_limit = '{MEMORY}'")
    try:
        return ask(connection)
    except duckdb.OutOfMemoryException:  # sorting wide rows, for one, needs what they are in memory
        connection.execute("RESET memory_limit")
        return ask(connection)


def _kept(relation: Any) -> Any:
    """Return a relation with its rows, so that whatever is wrong is known by now."""
    if relation is None:
        return None  # a statement without an answer
    materialize = getattr(relation, "materialize", None)
    return materialize() if materialize is not None else relation.execute()


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise QueryError(f"{name} is not installed", where="sql", remedy=f"Try: {EXTRA}") from error
