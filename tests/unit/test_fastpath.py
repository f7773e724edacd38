"""The append of one record: what it puts in front of the fields."""

from __future__ import annotations

import pytest

from pipeline.queue import fastpath
from pipeline.queue.turn import Turn


@pytest.mark.parametrize("now_ns", [0, 999_999_999, 1_700_000_000_123_456_789])
def test_the_first_record_has_its_time_in_every_second(monkeypatch: pytest.MonkeyPatch, now_ns: int) -> None:
    """Also in the first one of 1970, where machines without a clock of their own begin."""
    lines: list[bytes] = []

    def on_second(now: int) -> tuple[int, bytes]:
        return now // 10**9 * 10**9, b"second."

    def append_slowly(line: bytes, behind: bytes, rest: bytes, _reserve: bool) -> int:
        lines.append(line + behind + rest)
        return 7

    monkeypatch.setattr(fastpath, "wall_ns", lambda: now_ns)
    append, _switch = fastpath.build(Turn(), "p", on_second, append_slowly)
    assert append(b" opening", b'"a":1}', False) == 7
    micros = b"%06d" % (now_ns % 10**9 // 1000)
    assert lines == [b"second." + micros + b' opening,"producer":"p","a":1}']
