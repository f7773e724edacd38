"""
Finding records in the files, whatever form a day is in.

    engine      LogQueryEngine, what users hold
    question    what filter() has gathered: conditions, moments, days
    where       the language of `where`; conditions are what it and filter() are made of
    facts       what a record says of itself, also where it leaves it unsaid
    sources     which files are read
    reading     their whole lines in large pieces; backwards from their end
    searching   the lines of a piece that contain what is searched for
    scan        the records in them that are asked for
    run         all of it together: order, limit, tail
    counting    how many there are, by manifests, where only their time is asked for
    grouping, sql, following
                counts; DuckDB, Arrow and Parquet; what is written from now on

Records are lines as the pipeline writes them; anything else in a file is passed over, and counted. Nothing
here writes to the log directory but the index, which can be removed at any time.
"""

from __future__ import annotations

from pipeline.query.engine import LogQueryEngine
from pipeline.query.facts import status_of
from pipeline.query.report import Report
from pipeline.query.scan import Found

__all__ = ["Found", "LogQueryEngine", "Report", "status_of"]
