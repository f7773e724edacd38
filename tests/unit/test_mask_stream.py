"""Masking a stream: wherever its chunks are cut, the secret is found, and nothing is held for ever."""

from __future__ import annotations

import random

import pytest
from support.secret_corpus import cases, filled, made

from pipeline.privacy import Masker, mask_stream
from pipeline.privacy.streams import LINE_BYTES_MAX


def text_cases() -> list[tuple[str, str]]:
    """Return texts with a secret in them, one of each form, and the secret."""
    chance = random.Random(3)
    found = []
    for case in cases("positives"):
        if "settings" not in case and case["case"].endswith("_1") and not case["case"].startswith("name"):
            secret = made(case["secret"], chance)
            form = case["secret"] or ""
            if form and not form.startswith("{"):
                found.append((filled("say é <S> now\nand more\n", secret.text), secret.text))
    return found


def test_a_secret_split_at_every_byte_is_found() -> None:
    """R-202: two chunks, cut at each byte in turn, give what one chunk gives."""
    masker = Masker()
    for text, secret in text_cases()[::4]:
        raw = text.encode()
        whole = b"".join(masker.stream([raw]))
        assert secret.encode() not in whole
        for place in range(0, len(raw), max(1, len(raw) // 60)):
            assert b"".join(masker.stream([raw[:place], raw[place:]])) == whole


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_chunks_of_any_size_give_the_same(size: int) -> None:
    """Byte by byte, or all at once: the same stream, masked."""
    masker = Masker()
    text = "".join(text for text, _ in text_cases()) + "last line without an end, password=hunter22"
    expected = "".join(masker.stream([text]))
    assert "hunter22" not in expected
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    assert "".join(masker.stream(chunks)) == expected


def test_a_clean_stream_comes_through_unchanged_line_by_line() -> None:
    """Texts and bytes keep their kind; what a line holds is there as soon as it ends."""
    assert list(mask_stream(["a", "b\nc", "\n", "", "d"])) == ["ab\n", "c\n", "d"]
    assert list(mask_stream([b"\xff\xc3", b"\xa9\n"])) == [b"\xff\xc3\xa9\n"]
    assert list(mask_stream([])) == []


def test_json_lines_are_masked_as_json() -> None:
    """An object under a sensitive name is seen in a line that is JSON."""
    line = '{"credentials": {"user": "ann", "n": 17}}\r\n'
    assert "".join(mask_stream([line[:20], line[20:]])) == '{"credentials":"[MASKED]"}\r\n'


def test_a_private_key_is_held_until_it_ends(seed: int) -> None:
    """A key is masked over its lines, also when it never ends."""
    chance = random.Random(seed)
    body = "".join(made("{b64:64}\n", chance).text for _ in range(8))
    begin, end = "-----BEGIN PRIVATE " + "KEY-----\n", "-----END PRIVATE " + "KEY-----\n"
    for text in (f"a\n{begin}{body}{end}z\n", f"a\n{begin}{body}"):
        output = "".join(mask_stream(text.splitlines(keepends=True)))
        assert output.startswith("a\n[MASKED]")
        assert not any(line in output for line in body.splitlines())


def test_a_line_without_end_is_not_held_for_ever(seed: int) -> None:
    """A very long line goes on in pieces, cut where nothing is suspicious; the secrets in it are found."""
    chance = random.Random(seed)
    secrets = [made("ghp_{alnum:36}", chance).text for _ in range(20)]
    text = "".join("x y " * chance.randrange(3000, 9000) + secret + " " for secret in secrets)
    pieces = list(mask_stream([text[at : at + 4096] for at in range(0, len(text), 4096)]))
    assert len(text) > 4 * LINE_BYTES_MAX
    assert len(pieces) > 2
    assert not any(secret in "".join(pieces) for secret in secrets)
    shown = "ghp***[MASKED 40 chars]***"
    expected = text
    for secret in secrets:
        expected = expected.replace(secret, shown)
    assert "".join(pieces) == expected
