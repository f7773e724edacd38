"""
The scan of an encoded record for the gates of all rules, without letting go of the interpreter's lock.

RE2's package lets go of it, Hyperscan's does, and so does every other matcher of many texts that was tried
(decision 16). Beside a thread that computes, whoever lets go may have to wait for 5 ms to get the lock back:
of records that came one by one, 2 to 10 % did. pydantic-core keeps it. It gives the regex crate of Rust a
pattern, to validate a text; like RE2 that reads each byte once, whatever the pattern is. This is the only
module that imports it.

Since the lock is kept, a fork finds no scan in the middle of anything.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from pipeline.host import handlers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Scan = Callable[[bytes], object]
    """(text in UTF-8, as all JSON is) -> true where something is found. Of other bytes it says nothing."""

_BLANKS_OF_RE2: Final = r"\t\n\f\r "
"""What `\\s` is to RE2. Here it is the blanks of all scripts, which leaves `[^\\s]` fewer characters."""


def scan_for(gates: Sequence[str]) -> Scan | None:
    """Return the scan for expressions of RE2's, case aside; None where pydantic-core cannot be used."""
    try:
        return _compiled("|".join(f"(?:{gate})" for gate in gates).replace(r"\s", _BLANKS_OF_RE2))
    except Exception as error:  # noqa: BLE001 - not there, or of a version that has become different
        handlers.let_through(error)
        return None


@cache
def _compiled(pattern: str) -> Scan:
    from pydantic_core import SchemaValidator, core_schema

    schema = core_schema.str_schema(pattern=f"(?i){pattern}", regex_engine="rust-regex")
    found: Scan = SchemaValidator(schema).isinstance_python
    return found
