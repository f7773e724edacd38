"""A block's entry says what its lines say, however they come in."""

import hashlib
import itertools

from hypothesis import given, strategies as st

from pipeline.storage import manifest_block
from pipeline.storage.manifest_block import Lines
from pipeline.storage.manifests import Trail

KEYS = st.tuples(st.sampled_from(["ada000000000", "bob000000000"]), st.integers(1, 9))


def line(producer: str, number: int) -> bytes:
    """Return a record."""
    return (
        b'{"timestamp":"2025-11-21T14:32:15.123456Z","action_type":"a",'
        b'"action_number":%d,"producer":"%s"}\n' % (number, producer.encode())
    )


def stretches(keys: list[tuple[str, int]]) -> dict[str, list[list[int]]]:
    """Return what an entry has to say of lines with these keys."""
    found: dict[str, list[list[int]]] = {}
    for producer, number in keys:
        mine = found.setdefault(producer, [])
        if mine and mine[-1][1] + 1 == number:
            mine[-1][1] = number
        else:
            mine.append([number, number])
    return found


@given(st.lists(st.lists(KEYS, min_size=1, max_size=8), max_size=6), st.integers(1, 1500))
def test_blocks_cover_all_lines_and_name_their_numbers(
    pieces: list[list[tuple[str, int]]], size: int
) -> None:
    """Slices of one producer with rising numbers, and any other lines: the entry is the same as by hand."""
    full, manifest_block.BLOCK_BYTES = manifest_block.BLOCK_BYTES, size
    try:
        trail = Trail("2025-11-21.jsonl", 1, 0)
        for keys in pieces:
            is_slice = len({producer for producer, _ in keys}) == 1
            is_slice = is_slice and all(a[1] < b[1] for a, b in itertools.pairwise(keys))
            trail.add(Lines(b"".join(line(*key) for key in keys), len(keys), is_slice=is_slice))
    finally:
        manifest_block.BLOCK_BYTES = full
    keys = [key for piece in pieces for key in piece]
    data = b"".join(line(*key) for key in keys)
    end = done = 0
    for block in trail.blocks:
        entry = block.entry()
        assert entry["offset"] == end
        end += entry["length"]
        assert entry["digest"] == hashlib.sha256(data[entry["offset"] : end]).hexdigest()
        assert entry["producers"] == stretches(keys[done : done + entry["lines"]])
        assert entry["length"] < size + len(line("ada000000000", 1))
        done += entry["lines"]
    assert (end, done) == (len(data), len(keys))


def test_a_damaged_line_where_a_slice_is_cut_is_not_counted_among_its_numbers() -> None:
    """The ends of the slice say that nothing is missing, and the line at the end of a block is no record."""
    numbers = range(1, 10)
    data = b"".join(line("ada000000000", number) for number in numbers)
    size = len(line("ada000000000", 1))
    broken = data[: 4 * size] + b"#" * (size - 1) + b"\n" + data[5 * size :]
    full, manifest_block.BLOCK_BYTES = manifest_block.BLOCK_BYTES, 5 * size
    try:
        trail = Trail("2025-11-21.jsonl", 1, 0)
        trail.add(Lines(broken, len(numbers), is_slice=True))
    finally:
        manifest_block.BLOCK_BYTES = full
    assert [block.lines for block in trail.blocks] == [5, 4]
    assert [block.producers for block in trail.blocks] == [
        {"ada000000000": [[1, 4]]},
        {"ada000000000": [[6, 9]]},
    ]
