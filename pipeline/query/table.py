"""
The table `records` for DuckDB.

A file that has nothing but records, all of which are asked for, is read by DuckDB itself. Of everything else
the lines of the records are put into a temporary file, and DuckDB reads that.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from typing import TYPE_CHECKING, Any, Final

from pipeline.query.blocks import blocks_of
from pipeline.query.passage import forwards
from pipeline.query.run import found
from pipeline.query.scan import START, own_record
from pipeline.query.sources import sources
from pipeline.query.spans import days_of

if TYPE_CHECKING:
    from pipeline.query.plan import Plan
    from pipeline.query.reading import Chunk
    from pipeline.query.report import Report
    from pipeline.query.sources import Source

STAMP_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
"""So that timestamps are TIMESTAMP, in UTC: those with a zone are of no use in Python without pytz."""
_USUAL: Final = {
    "timestamp": "TIMESTAMP",
    "action_type": "VARCHAR",
    "action_number": "BIGINT",
    "producer": "VARCHAR",
    "session_id": "VARCHAR",
    "trace_id": "VARCHAR",
    "status": "VARCHAR",
    "level": "VARCHAR",
    "tool_name": "VARCHAR",
    "duration_ms": "DOUBLE",
}
"""Fields that may be asked for even where no record has them."""
_RENAMED: Final = re.compile(r"_\d+$")
"""How DuckDB tells two fields apart that differ in case only."""


class Table:
    """What DuckDB is to read."""

    def __init__(self, plan: Plan, report: Report) -> None:
        self._plan = plan
        self._report = report
        self._spill = ""
        self.scratch = tempfile.mkdtemp(prefix="pipeline-query-")
        """A directory for what does not fit into memory."""

    def define(self, connection: Any, *, is_sampled: bool, trusts_files: bool) -> None:
        """Make the table: columns by a sample or by all records, files as they are or looked through."""
        chosen = self._files() if trusts_files else None
        paths = [path for path in chosen or [self._spilled()] if os.path.getsize(path)]
        if not paths:
            nulls = ", ".join(f"NULL::{kind} AS {name}" for name, kind in _USUAL.items())
            source = f"(SELECT {nulls}) WHERE false"
        elif is_sampled:
            source = _with_columns(connection, _reading(paths))
        else:
            source = _reading(paths, "sample_size=-1", "maximum_sample_files=2147483647")
        connection.execute(f"CREATE OR REPLACE VIEW records AS FROM {source}")

    def close(self) -> None:
        """Remove what was put into temporary files."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _files(self) -> list[str] | None:
        """Return the files that DuckDB can read for us, None when one needs to be looked through."""
        from pipeline.query import waiting

        plan = self._plan
        if not plan.is_everything:
            return None
        look = waiting.look(plan.log_dir, self._report, fallback=False, queue=False)
        look.close()
        chosen = [one for one in sources(plan.log_dir, *days_of(plan.question), look.cuts) if one.size]
        if any(look.cuts.has(one.name) for one in chosen):
            return None
        return [str(one.path) for one in chosen] if all(map(has_only_records, chosen)) else None

    def _spilled(self) -> str:
        if not self._spill:
            self._spill = os.path.join(self.scratch, "records.jsonl")
            with open(self._spill, "wb") as file:
                file.writelines(one.line + b"\n" for one in found(self._plan, self._report))
        return self._spill


def _reading(paths: list[str], *more: str) -> str:
    names = ", ".join(map(_quoted, paths))
    options = ", ".join([f"timestampformat={_quoted(STAMP_FORMAT)}", *more])
    return f"read_ndjson([{names}], {options})"


def _with_columns(connection: Any, source: str) -> str:
    """Return a source with its columns named, or DuckDB would look for them again at each question."""
    rows = connection.execute(f"DESCRIBE FROM {source}").fetchall()
    found = {name: kind for name, kind, *_ in rows}
    there = {name.lower() for name in found}
    found |= {name: kind for name, kind in _USUAL.items() if name not in there}
    if any(map(_RENAMED.search, found)):
        return source
    kinds = ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in found.items())
    return f"{source[:-1]}, columns={{{kinds}}})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def has_only_records(source: Source) -> bool:
    """Tell whether every line of a file is a record, by its manifest or by how each line begins."""
    if source.trouble or set(str(source.path)) & set("*?[{"):  # DuckDB takes these for patterns
        return False
    blocks = blocks_of(source.path.parent, source.stem)
    covered = blocks[-1].end if blocks and all(block.is_proven for block in blocks) else 0
    try:
        if source.packing:
            return bool(covered) or all(map(_begin_well, forwards(source)))
        if covered > source.size:
            return False
        end = covered
        for chunk in forwards(source, covered):
            if not (_are_records(chunk) if covered else _begin_well(chunk)):
                return False
            end = chunk.offset + chunk.end
    except OSError:
        return False
    return end == source.size  # behind it would be half a line


def _begin_well(chunk: Chunk) -> bool:
    data, end, _ = chunk
    return data.startswith(START) and data.count(b"\n" + START, 0, end) + 1 == data.count(b"\n", 0, end)


def _are_records(chunk: Chunk) -> bool:
    return all(own_record(line) is not None for line in bytes(chunk.data[: chunk.end - 1]).split(b"\n"))
