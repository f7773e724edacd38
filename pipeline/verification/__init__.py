"""
The independent oracle: it reads a log directory as a stranger would and says whether the promise was kept.

It shares no parsing and no sequence code with the rest of the library, so that a mistake of the writer cannot
hide in the code that judges it. What it proves of a directory:

    shape     each line is a JSON object that begins with the four common fields, in order, of the right types
    no loss   a producer's numbers are 1 … n; only a `records_dropped` record that names a gap makes it legal
    once      no number of a producer is stored twice, in whatever files
    order     within one file the numbers of a producer rise (across files only the set matters: readers sort)
    the end   a producer whose end a `producer_closed` or `producer_died` tells has all numbers up to that one

What it cannot prove it says: a producer without such a record and without a lane ends *open*. That is no
failure, since the file of a producer that is missing as a whole looks the same from here.

A directory that is being written is judged up to a stable prefix (see `files`): a line that is still being
appended, and records that still lie in a lane, are not findings.

    files      which files there are, and how far they are read
    opener     their bytes, unpacked
    lines      lines out of those bytes, with places
    shape      what is wrong with a line
    reading    one pass over the lines of a file or a piece of it
    entries    the entries of the manifests
    chain      whether each follows the one before it, and whether the heads noted elsewhere are among them
    coverage   what they say of each file
    blocks     bytes against digests
    survey     what of a file is proven by digests, and what has to be read; workforce does it
    sequence   the numbers of each producer
    testimony  what the records of the pipeline itself say about producers
    fallback   records that wait in a fallback store, and marks where a file ends for good
    live       producers that still have a lane
    scan       all of it put together in the order of the files; locating finds a line that is named
    verdict    what the numbers and the testimony amount to
    report     the result

The other question, where every emitted record is, is answered from what producers say of themselves and from
the lines of the files:

    accounts   the order of the looks, and the result
    balance    the equation of one producer, over `ranges`
    emitted    what lanes say, and the `register` of those that are gone
"""

from __future__ import annotations

from pipeline.verification.accounts import Account, account
from pipeline.verification.chain import current_head, parse_heads
from pipeline.verification.findings import Finding, Kind
from pipeline.verification.report import Report
from pipeline.verification.verdict import verify

__all__ = ["Account", "Finding", "Kind", "Report", "account", "current_head", "parse_heads", "verify"]
