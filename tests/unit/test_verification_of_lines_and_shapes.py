"""The oracle's reading: where a line begins and ends, and whether what it holds has the shape of a record."""

import pytest
from hypothesis import given, strategies as st
from support.histories import GOOD

from pipeline.host.terminal import visible
from pipeline.verification.findings import Kind, excerpt
from pipeline.verification.lines import HEAD_BYTES, LineReader
from pipeline.verification.opener import Chunk
from pipeline.verification.shape import examine


def lines_of(pieces: list[bytes]) -> list[tuple[bytes, int, int, int]]:
    """Return each line with its number, offset and length, and last what follows the last newline."""
    reader = LineReader(Chunk(piece, is_settled=True, disk_bytes=len(piece)) for piece in pieces)
    found = []
    for block in reader:
        places = [block.place(0, index) for index in range(len(block.lines))]
        found += [(line, *place[1:]) for line, place in zip(block.lines, places, strict=True)]
    return [*found, (reader.rest.kept(), reader.line, reader.offset, reader.rest.length)]


# At most 60 bytes: of a longer line that cannot be a record only the beginning is kept (see below).
@given(st.lists(st.binary(max_size=10).map(lambda data: data.replace(b"\x07", b"\n")), max_size=6))
def test_lines_and_places_are_the_same_however_the_bytes_are_cut(pieces: list[bytes]) -> None:
    """Lines end at newlines only, and offsets count every byte, wherever chunks begin and end."""
    whole = b"".join(pieces)
    expected, offset = [], 0
    for number, line in enumerate(whole.split(b"\n"), 1):
        expected.append((line, number, offset, len(line)))
        offset += len(line) + 1
    assert lines_of(pieces) == expected


def test_carriage_return_ends_no_line() -> None:
    """A lone carriage return is a byte of the line, as for every JSONL reader."""
    assert [line for line, *_ in lines_of([b"a\rb\n"])] == [b"a\rb", b""]


def test_long_block_of_nuls_is_measured_but_not_kept() -> None:
    """A hole of any size that spans chunks costs no memory, and the place behind it is right."""
    found = lines_of([b"\0" * 500_000] * 3 + [b"\n" + GOOD + b"\n"])
    (head, line, offset, length), (good, *place), _ = found
    assert (len(head), line, offset, length) == (HEAD_BYTES, 1, 0, 1_500_000)
    assert (good, *place) == (GOOD, 2, 1_500_001, len(GOOD))


def test_record_that_spans_many_chunks_is_kept_whole() -> None:
    """A record may be larger than a chunk."""
    record = b'{"a":"' + b"x" * 1_000_000 + b'"}'
    pieces = [record[start : start + 1000] for start in range(0, len(record), 1000)]
    assert lines_of([*pieces, b"\n"])[0] == (record, 1, 0, len(record))


@pytest.mark.parametrize(
    "line",
    [
        GOOD,
        GOOD.replace(b'"a"', rb'"a\"b\u00e9"'),
        GOOD.replace(b"Z", b"+09:00"),
        GOOD.replace(b"}", b',"producers":[{"producer":"q"}]}'),
    ],
)
def test_record_as_the_library_writes_it_has_nothing_wrong(line: bytes) -> None:
    """Escapes in a text, another time zone and nested fields of the same name are fine."""
    kind, sentence, record = examine(line)
    assert (kind, sentence) == (None, "")
    assert record is not None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "empty"),
        (b"\0\0\0", "block of NUL"),
        (b"\0\0" + GOOD, "NUL bytes in"),
        (b"hello\x1b[2J", r"hello\x1b[2J"),
        (b'{"a":"\xff\xfe"}', "not JSON"),
        (GOOD[:-1], "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "no object"),
        (b"7", "no object"),
    ],
)
def test_line_that_is_no_object_is_unparsable(line: bytes, words: str) -> None:
    """The sentence says what is there instead, and a terminal obeys none of it."""
    kind, sentence, record = examine(line)
    assert (kind, record) == (Kind.UNPARSABLE, None)
    assert words in sentence
    assert sentence.isprintable()


@pytest.mark.parametrize(
    ("line", "words", "is_counted"),
    [
        (b"{}", '"timestamp" is missing', False),
        (GOOD.replace(b',"producer":"p"', b""), '"producer" is missing', False),
        (GOOD.replace(b"7", b"7.0"), "whole number", False),
        (GOOD.replace(b"7", b"true"), "whole number", False),
        (GOOD.replace(b"7", b'"7"'), "whole number", False),
        (GOOD.replace(b"7", b"0"), "whole number", False),
        (GOOD.replace(b"7", b"-7"), "whole number", False),
        (GOOD.replace(b'"p"', b"5"), '"producer" is not', False),
        (GOOD.replace(b'"p"', b'""'), '"producer" is not', False),
        (GOOD.replace(b'"a"', b"null"), '"action_type" is not', True),
        (GOOD.replace(b"2025-11-21T", b"2025-11-21 "), "not a time", True),
        (GOOD.replace(b"2025-11", b"2025-13"), "not a time", True),
        (GOOD.replace(b"123456Z", b"\xd9\xa123456Z"), "not a time", True),
        (GOOD.replace(b"{", b'{"x":1,'), "does not begin", True),
        (GOOD.replace(b":7", b": 7"), "space", True),
        (GOOD + b" ", "space", True),
        (GOOD + b"\r", "CR LF", True),
        (GOOD.replace(b"}", b',"action_number":8}'), "stands twice", False),
        (GOOD.replace(b"}", rb',"\u0070roducer":"q"}'), "stands twice", False),
        (GOOD.replace(b"}", b',"timestamp":"2025-11-22T14:32:15.123456Z"}'), "stands twice", False),
    ],
)
def test_object_that_is_no_record_is_a_wrong_field(line: bytes, words: str, *, is_counted: bool) -> None:
    """The sentence names what is wrong; the number counts wherever it cannot be mistaken."""
    kind, sentence, record = examine(line)
    assert kind is Kind.WRONG_FIELD
    assert words in sentence
    assert (record is not None) == is_counted


def test_shown_text_has_no_control_characters() -> None:
    """What a damaged file contains is shown, and neither moves the cursor nor turns the text around."""
    assert visible("a\x1b[31m\u202eb\n\x07\ud800") == r"a\x1b[31m\u202eb\n\x07\ud800"
    assert visible(b"\xff\xc3\xa9") == r"\xffé"
    assert excerpt(b"x" * 100) == f"'{'x' * 60}…'"
