"""Records as a Parquet file, which needs random access: for a pipe it is made in a temporary file first."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING

from pipeline.errors import QueryError

if TYPE_CHECKING:
    from pipeline.cli.listing.output import Output
    from pipeline.query import LogQueryEngine, Report


def export(found: LogQueryEngine, output: Output, report: Report) -> int:
    """Write the records; how many they are. QueryError without the extra, or where it goes to a terminal."""
    if output.is_terminal:
        raise QueryError(
            "Parquet is no text", where="--export", remedy="Add --output FILE, or send it into a pipe"
        )
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        count = found.to_parquet(file.name, report)
        # By its name: who writes it may have put another file there.
        with open(file.name, "rb") as made:
            shutil.copyfileobj(made, output.stream.buffer)
        output.stream.flush()
    return count
