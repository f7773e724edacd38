"""
SQL over the records, by DuckDB; Arrow and Parquet by the same way.

DuckDB reads the files itself where each line of them is asked for, which takes no longer than DuckDB alone.
Otherwise the records that are asked for are put into a temporary file first.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import QueryError
from pipeline.query.report import Report
from pipeline.query.run import found

if TYPE_CHECKING:
    from pipeline.query.plan import Plan

EXTRA: Final = "pip install 'lossless-pipeline[query]'"


def answer(plan: Plan, text: str, report: Report | None) -> Any:
    """Return what DuckDB answers, as a relation."""
    connection, duckdb = _connected(plan, report)
    try:
        return connection.sql(text)
    except duckdb.Error as error:
        raise QueryError("DuckDB does not take this", where="sql", cause=error) from error


def arrow_table(plan: Plan, report: Report | None) -> Any:
    """Return the records as a pyarrow Table."""
    _imported("pyarrow")
    return _connected(plan, report)[0].sql("SELECT * FROM records").to_arrow_table()


def write_parquet(plan: Plan, path: str | os.PathLike[str], report: Report | None) -> int:
    """Write the records to a Parquet file, and return how many there are."""
    connection, _ = _connected(plan, report)
    connection.sql("SELECT * FROM records").write_parquet(os.fspath(path), compression="zstd")
    return int(connection.sql("SELECT count(*) FROM records").fetchone()[0])


def _connected(plan: Plan, report: Report | None) -> tuple[Any, Any]:
    duckdb = _imported("duckdb")
    connection = duckdb.connect()
    handle, path = tempfile.mkstemp(prefix="pipeline-query-", suffix=".jsonl")
    weakref.finalize(connection, _remove, path)
    with open(handle, "wb") as file:
        file.writelines(one.line + b"\n" for one in found(plan, report or Report()))
    connection.execute(
        f"CREATE VIEW records AS SELECT * FROM read_ndjson('{path}', sample_size=-1)"  # noqa: S608 - our own path
    )
    return connection, duckdb


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)


def _imported(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise QueryError(f"{name} is not installed", where="sql", remedy=f"Try: {EXTRA}") from error
