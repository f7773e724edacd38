"""The scan that keeps the interpreter's lock finds what RE2's finds, and stands in beside other threads."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import example, given

from pipeline.privacy import first_look, line_scan
from pipeline.privacy.encoder import MaskingEncoder
from pipeline.privacy.policy import Policy
from pipeline.records.encoding import encode_fields
from pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICIES = (Policy(), Policy(["ship code"], allow=["token"]), Policy(preset="strict"))
PIECES = (
    *("token", "api", "key", "password", "identified by", "users", "login", "sig", "://", "sk_", "SK", "eyJ"),
    *("=", ":", " ", '"', "'", "\\", "\n", "@", "/", "_", "-", ".", "a", "Z9", "0", "+49 170 1234567"),
    *("\u00a0", "\u2003", "\u017f", "\u212a", "é", "𝄞", "\ud7ff"),
)


@pytest.fixture
def other_thread() -> Iterator[None]:
    """Another thread, which waits until the test is over."""
    is_over = threading.Event()
    thread = threading.Thread(target=is_over.wait)
    thread.start()
    yield
    is_over.set()
    thread.join()


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@example("x://ann\u00a0lee:hunter22@db")
def test_it_finds_whatever_the_scan_by_re2_finds(text: str) -> None:
    """Two programs read the same expressions: blanks and letters of other scripts are where they differ."""
    line = orjson.dumps({"text": text})
    for policy in POLICIES:
        assert policy.line_scan is not policy.scan
        assert policy.line_scan(line) or not policy.scan(line)


@pytest.mark.usefixtures("other_thread")
def test_beside_other_threads_the_scan_keeps_the_lock() -> None:
    """The first look would let go of it at each record."""
    encoder = MaskingEncoder(Settings(), None, count=str)
    encoder.prepare()
    assert encoder.may_hold == Policy().line_scan
    around = encoder.around(encode_fields)
    assert b"hunter22" not in around({"password": "hunter22"})
    assert around({"a": "b"}) == b'{"a":"b"}'


def test_a_thread_alone_takes_the_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is faster; and it comes back, at the next look around, when the last other thread has ended."""
    encoder = MaskingEncoder(Settings(), None, count=str)
    encoder.prepare()
    monkeypatch.setattr(sys, "_current_frames", lambda: {1: None})
    encoder.look_around()
    assert encoder.may_hold.__module__ == first_look.__name__
    assert b"hunter22" not in encoder.around(encode_fields)({"password": "hunter22"})
    monkeypatch.setattr(sys, "_current_frames", lambda: {1: None, 2: None})
    encoder.look_around()
    assert encoder.may_hold == Policy().line_scan


@pytest.mark.usefixtures("other_thread")
def test_without_pydantic_core_re2_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has another version of it loses some microseconds beside threads that compute, and no secret."""
    line_scan._compiled.cache_clear()
    monkeypatch.setitem(sys.modules, "pydantic_core", None)
    policy = Policy()
    assert policy.line_scan == policy.scan
    encoder = MaskingEncoder(Settings(), None, count=str)
    assert b"hunter22" not in encoder.around(encode_fields)({"password": "hunter22"})
