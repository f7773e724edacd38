"""Lines of a piece are found by needles as `in` finds them, by the C library or without it."""

import random

import pytest

from pipeline.query import searching
from pipeline.query.reading import Chunk
from pipeline.query.searching import common, dense_lines_with, lines_of, lines_with

NEEDLES = [(b"aab",), (b"ab", b"bb"), (b"\0a",), (b"c" * 40,), (b"nowhere",), (b"a", b"aa")]


@pytest.mark.parametrize("has_memmem", [True, False])
def test_lines_with_a_needle_are_those_that_hold_it(
    seed: int, has_memmem: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in the lines, and however long they are; what is behind the end of a piece is not."""
    if not has_memmem:
        monkeypatch.setattr(searching, "_memmem", lambda: None)
    monkeypatch.setattr(searching, "_PART_BYTES", 50)
    drawn = random.Random(seed)
    for _ in range(50):
        lines = [bytes(drawn.choices(b"ab\0c", k=drawn.choice([0, 5, 30, 120]))) for _ in range(30)]
        data = b"".join(line + b"\n" for line in lines)
        chunk = Chunk(bytearray(data + b"aab\nnowhere"), len(data), 0)
        starts = [sum(len(line) + 1 for line in lines[:place]) for place in range(len(lines))]
        every = list(zip(lines, starts, strict=True))
        assert list(lines_of(chunk)) == every
        for needles in NEEDLES:
            expected = [one for one in every if any(needle in one[0] for needle in needles)]
            assert list(lines_with(chunk, needles)) == expected
            assert list(dense_lines_with(chunk, needles)) == expected


def test_a_piece_can_grow_after_it_was_searched() -> None:
    """The search holds the buffer as long as it lasts, and reading makes it longer for a long line."""
    data = bytearray(b"one\ntwo\n")
    found = lines_with(Chunk(data, len(data), 0), (b"o",))
    data.extend(b"three\n")
    assert [line for line, _ in found] == [b"one", b"two"]


def test_what_needles_have_in_common_is_in_each_of_them() -> None:
    """One search then finds every line that one of them is in."""
    assert common([b'"status":"error"', b'_error","action_number":']) == b'error"'
    assert common([b"abc"]) == b"abc"
    assert common([b"abc", b"xyz"]) == b""
    assert common([b"abab", b"bab", b"xbabx"]) == b"bab"
