"""The scan that keeps the interpreter's lock finds what RE2's finds, and stands in beside other threads."""

from __future__ import annotations

import subprocess
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
    from pathlib import Path

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
        assert policy.line_scan is not None
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


def test_alone_nothing_is_imported_for_it(tmp_path: Path) -> None:
    """Not for a secret either: it takes longer than the rest of a first record."""
    program = """
import sys
from pipeline.privacy.encoder import MaskingEncoder
from pipeline.records.encoding import encode_fields
from pipeline.settings import Settings

encode = MaskingEncoder(Settings(), None, count=str).around(encode_fields)
assert encode({"a": "b"}) == b'{"a":"b"}'
assert b"hunter22" not in encode({"password": "hunter22"})
sys.exit("pydantic_core" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, timeout=100)


@pytest.mark.usefixtures("other_thread")
def test_without_pydantic_core_re2_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has another version of it loses some microseconds beside threads that compute, and no secret."""
    line_scan._compiled.cache_clear()
    monkeypatch.setitem(sys.modules, "pydantic_core", None)
    assert Policy().line_scan is None
    encoder = MaskingEncoder(Settings(), None, count=str)
    assert b"hunter22" not in encoder.around(encode_fields)({"password": "hunter22"})


def test_a_fork_waits_for_the_thread_that_compiles(tmp_path: Path) -> None:
    """Its child would find a module half imported and locked, by a thread that it has not."""
    program = """
import os, sys, threading
from pipeline.privacy.encoder import MaskingEncoder
from pipeline.records.encoding import encode_fields
from pipeline.settings import Settings

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "pydantic_core":
            began.set()
            is_forked.wait(0.3)

began, is_forked = threading.Event(), threading.Event()
sys.meta_path.insert(0, Slow())
encoder = MaskingEncoder(Settings(), None, count=str)
encode = encoder.around(encode_fields)
thread = threading.Thread(target=encode, args=({"a": "b"},))
thread.start()
began.wait()
pid = os.fork()
is_forked.set()
if pid == 0:
    encoder.become_child()
    os._exit(0 if b"hunter22" not in encode({"password": "hunter22"}) else 1)
thread.join()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, timeout=100)


@pytest.mark.usefixtures("other_thread")
def test_a_child_goes_on_with_the_scan_that_keeps_the_lock() -> None:
    """It has nothing to compile for a record without secrets; what lets go of the lock it makes anew."""
    encoder = MaskingEncoder(Settings(), None, count=str)
    encoder.prepare()
    kept = encoder.may_hold
    encoder.become_child()
    assert encoder.may_hold is kept
    assert b"hunter22" not in encoder.around(encode_fields)({"password": "hunter22"})
