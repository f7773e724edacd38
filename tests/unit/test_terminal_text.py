"""What is shown at a terminal commands it nothing, and hides nothing."""

import json
import unicodedata

import pytest
from hypothesis import given, settings, strategies as st

from pipeline.host.terminal import visible, visible_json

HOSTILE = [
    "\x1b[2J",  # clears the screen
    "\x1b]52;c;cm0gLXJm\x07",  # writes to the clipboard
    "\x9b31m",  # the same as ESC [ for who knows C1
    "\r overwritten",
    "\x7f\x08",
    "\u202e\u2066\u200f",  # turns the direction of text
    "a\u200bb\u2060c\ufeff",  # no width
    "\u2028\u2029\x85",  # line breaks of another kind
    "\ud83d",  # half a character
    "\u3164\u115f\ufe0f\u034f\U000e0100",  # letters and marks that are not seen
    "\U000e0041",  # a tag
    "\ue000",  # whatever a font says
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_nothing_that_a_terminal_obeys_or_hides_is_left(text: str) -> None:
    """Each of them becomes an escape of printable ASCII."""
    for shown in (visible(f"<{text}>"), visible_json(json.dumps(text, ensure_ascii=False))):
        assert shown.isprintable()
        assert all(char.isascii() for char in shown)
        assert "\\" in shown


@given(st.text())
def test_no_text_keeps_a_character_that_is_not_seen(text: str) -> None:
    """Whatever the text: no control, no format character, no half of a pair, no line break is left."""
    forbidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not forbidden & {unicodedata.category(char) for char in visible(text)}


@settings(max_examples=50)
@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.dictionaries(st.text(), inner)))
def test_json_for_a_terminal_means_the_same(value: object) -> None:
    """Escapes are those of JSON: whoever copies it from the screen has the value."""
    assert json.loads(visible_json(json.dumps(value, ensure_ascii=False))) == value


def test_ordinary_text_of_any_language_is_left_alone() -> None:
    """Letters, emoji and the spaces of other languages are no danger."""
    text = "Grüße\u00a0an 東京\u3000🙂 नमस्ते ¿qué?"
    assert visible(text) == visible_json(text) == text


def test_bytes_that_are_no_utf8_are_shown_as_bytes() -> None:
    """A file may hold anything."""
    assert visible(b"ok \xff\x1b") == r"ok \xff\x1b"
