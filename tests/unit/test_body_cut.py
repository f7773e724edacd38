"""What is too long is cut so that it fits, loses as little as it can, and says itself what is gone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.records.encoding import cut_fields, encode_fields


def refuse(name: str) -> None:
    """Stand in for the constants that Python reads although they are no JSON."""
    raise AssertionError(f"{name} is no JSON")


def parsed(body: bytes) -> dict[str, Any]:
    """Read a body strictly: one line of UTF-8 that is an object, no constant that JSON does not have."""
    assert b"\n" not in body
    assert b"\r" not in body
    fields = json.loads(body.decode("utf-8"), parse_constant=refuse)
    assert isinstance(fields, dict)
    return fields


def cut(fields: dict[str, Any], size_max: int) -> dict[str, Any]:
    """Cut fields, and return what is read back once the promises of every cut are checked."""
    body = encode_fields(fields)
    assert len(body) > size_max
    shorter = cut_fields(fields, body, size_max)
    assert len(shorter) <= size_max
    result = parsed(shorter)
    assert list(result)[-1].startswith("truncated_")
    notes = {name: result.pop(name) for name in ("truncated_bytes", "truncated_fields") if name in result}
    assert notes["truncated_bytes"] == len(body) - len(json_text(result))
    return {**result, **notes}


def json_text(value: object) -> bytes:
    """Return the JSON that the size of a body is counted in."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def test_a_body_that_fits_is_not_cut() -> None:
    """Asked without need, the rule changes nothing."""
    body = encode_fields({"a": "x" * 600})
    assert cut_fields({"a": "x" * 600}, body, len(body)) is body


def test_the_longest_text_is_cut_and_short_ones_are_whole() -> None:
    """As little as possible is lost: other fields keep every character."""
    result = cut({"long": "x" * 5_000, "short": "y" * 100, "number": 7}, 1_000)
    kept, _, mark = result["long"].partition("…")
    assert mark == f"[TRUNCATED {5_000 - len(kept)} chars]"
    assert set(kept) == {"x"}
    assert len(kept) > 700
    assert (result["short"], result["number"]) == ("y" * 100, 7)


def test_long_texts_are_cut_to_one_common_size() -> None:
    """No text is emptied for another that is as long."""
    result = cut({"a": "x" * 2_000, "b": {"c": ["y" * 90_000]}, "d": "z" * 300}, 2_000)
    assert abs(len(result["a"]) - len(result["b"]["c"][0])) <= 2
    assert result["d"] == "z" * 300


@pytest.mark.parametrize("character", ["x", "é", "😀", '"', "\x00", "\n"])
def test_the_size_is_counted_in_bytes_of_json(character: str) -> None:
    """UTF-8 and escapes count as what they take in the file, and no character is cut in two."""
    result = cut({"text": character * 5_000, "code": 1}, 600)
    kept, _, mark = result["text"].partition("…[TRUNCATED ")
    assert kept == character * (5_000 - int(mark.removesuffix(" chars]")))
    assert len(json_text(kept)) > 400


def test_a_text_that_was_cut_before_has_one_mark_with_the_sum() -> None:
    """The number is what is missing from the text that the caller passed."""
    result = cut({"output": "x" * 3_000 + "…[TRUNCATED 500 chars]"}, 600)
    kept, _, mark = result["output"].partition("…")
    assert mark == f"[TRUNCATED {3_500 - len(kept)} chars]"


def test_a_large_list_gives_way_to_its_size_and_texts_stay_whole() -> None:
    """Texts are not shortened in vain for a list that does not fit anyway."""
    result = cut({"rows": list(range(100_000)), "message": "m" * 5_000}, 10_000)
    assert result["rows"] == "…[TRUNCATED list of 100000, 588891 bytes]"
    assert result["message"] == "m" * 5_000


def test_only_the_part_that_is_too_large_is_replaced() -> None:
    """What stands beside it in the same object is kept."""
    result = cut({"answer": [{"rows": list(range(100_000)), "status": "ok"}]}, 1_000)
    assert result["answer"] == [{"rows": "…[TRUNCATED list of 100000, 588891 bytes]", "status": "ok"}]


def test_an_object_with_too_many_entries_is_described() -> None:
    """Its entries are all alike, so the object is replaced as a whole."""
    result = cut({"counts": {f"key{number}": number for number in range(5_000)}, "a": 1}, 2_000)
    assert result["counts"].startswith("…[TRUNCATED object of 5000, ")
    assert result["a"] == 1


def test_every_field_keeps_its_name_while_the_names_fit() -> None:
    """Thirty long values in 512 bytes: each is still there to be asked for."""
    fields = {f"f{number}": "x" * 1_000 for number in range(30)}
    result = cut(fields, 512)
    assert [name for name in result if name != "truncated_bytes"] == list(fields)
    assert result["f29"] == "…"
    assert result["f0"].startswith("x")


def test_fields_whose_names_do_not_fit_are_counted() -> None:
    """What is left out is said, and the others stay."""
    result = cut({"n" * 5_000: 1, "a": 2, **{f"field_number_{n}": n for n in range(100)}}, 512)
    assert result["a"] == 2
    assert result["truncated_fields"] == 101 + 3 - len(result)


def test_a_field_named_like_the_note_is_kept_under_another_name() -> None:
    """The note is ours, the field the caller's; neither replaces the other."""
    result = cut({"truncated_bytes": "mine", "text": "x" * 2_000}, 512)
    assert result["field_truncated_bytes"] == "mine"
    assert isinstance(result["truncated_bytes"], int)


@pytest.mark.parametrize("body", [b"", b"x" * 1_000, b'{"a":' + b"[" * 5_000])
def test_a_body_that_cannot_be_read_is_replaced_by_the_note(body: bytes) -> None:
    """The rule never raises, whatever it is given."""
    shorter = cut_fields({}, body, 512)
    assert shorter == body if len(body) <= 512 else parsed(shorter)["truncated_bytes"] > 0


def test_a_text_of_many_megabytes_is_cut_to_the_byte() -> None:
    """Measured in parts it has the size that it has as a whole, wherever escapes and characters fall."""
    text = 'aé😀"\x00' * 3_000_000
    result = cut({"output": text}, 1_000_000)
    kept, _, mark = result["output"].partition("…")
    assert text.startswith(kept)
    assert mark == f"[TRUNCATED {len(text) - len(kept)} chars]"
    assert 999_900 < len(json_text(result)) <= 1_000_000


def test_a_list_that_fits_stays_whole_beside_a_text_that_does_not() -> None:
    """Values are replaced only if shortening texts would not be enough."""
    rows = list(range(100, 200))
    assert cut({"rows": rows, "text": "x" * 5_000}, 1_000)["rows"] == rows
