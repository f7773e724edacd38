"""The first look: what it lets pass has nothing in it that the scan, a rule or a name would find."""

from __future__ import annotations

import os
import re
import sys
import threading
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given, settings

from pipeline.privacy.encoder import MaskingEncoder
from pipeline.privacy.first_look import look_for, one_at_a_time
from pipeline.privacy.names import FIELDS
from pipeline.privacy.policy import Policy
from pipeline.records.encoding import encode_fields
from pipeline.settings import Settings

POLICY = Policy()
LOOK = POLICY.first_look
ORDINARY = (
    {"model": "m-1", "max_tokens": 1024, "input_tokens": 12, "token_count": 3, "path": "/srv/app/author.py"},
    {"tool_name": "grep", "args": {"pattern": "def emit", "path": "src"}, "status_code": 200, "n": 12.75},
    {"url": "https://news.example/3/library/re.html", "id": "3f2b8c1e-9a7d-4c3b-8e21-0f6d5a4b7c9e"},
)


def line_of(text: str) -> bytes:
    """Return a record with a text in it as it is encoded."""
    return orjson.dumps({"text": text})


def test_the_first_look_is_not_the_scan() -> None:
    """With the default rules Hyperscan looks; else each test here would try the scan against itself."""
    assert LOOK is not POLICY.scan


@pytest.mark.parametrize("gate", POLICY.gates)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_the_first_look_stops_what_a_gate_finds(gate: str, data: st.DataObject) -> None:
    """Texts made from each gate, in any mixture of upper and lower case."""
    text = data.draw(st.from_regex(re.compile(f"(?i:{gate})", re.ASCII), fullmatch=True))
    line = b'{"text":"' + text.encode() + b'"}'
    assert POLICY.scan(line)
    assert POLICY.line_scan is not None
    assert POLICY.line_scan(line)
    assert LOOK(line)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_each_name_stops_a_record_however_it_is_spelled(name: str) -> None:
    """As a field, with a number behind it, in a text, as an option, as a label."""
    spelled = (name, name.upper(), name.replace("_", "-"), name.title().replace("_", ""))
    for one in spelled:
        for text in (f"{one}=abcdef", f"{one}_2: abcdef", f"--{one} abcdef", f"<{one}>x</"):
            line = line_of(text)
            assert LOOK(line) or not POLICY.scan(line), text
        assert LOOK(orjson.dumps({one: "x"})), one
        assert LOOK(orjson.dumps({"name": one, "value": "x"})), one


def test_names_of_the_users_are_looked_for_with_what_ends_them() -> None:
    """A short name that stands in many words stops those records that have it as a name."""
    policy = Policy(["id", "ship code"])
    assert policy.first_look(b'{"id":1}')
    assert policy.first_look(b'{"shipCode":1}')
    assert not policy.first_look(b'{"width":1,"side":"hidden"}')


@pytest.mark.parametrize("fields", ORDINARY, ids=range(len(ORDINARY)))
def test_ordinary_records_pass_the_first_look(fields: dict[str, Any]) -> None:
    """Token counts, paths, patterns, links and ids are in every second record of an agent."""
    assert not LOOK(orjson.dumps(fields))


@pytest.mark.parametrize(
    "options", [{"patterns": ["EMP-[0-9]+"]}, {"personal_data": True}, {"preset": "strict"}]
)
def test_rules_without_fixed_texts_are_looked_for_by_the_scan(options: dict[str, Any]) -> None:
    """A pattern of the user's, a phone number, a name anywhere in another."""
    policy = Policy(**options)
    assert policy.first_look == policy.scan


def test_without_hyperscan_the_scan_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that it was not built for loses a microsecond, and no secret."""
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    assert look_for(["token"]) is None
    encoder = MaskingEncoder(Settings(), None, count=str)
    assert b"hunter22" not in encoder.around(encode_fields)({"password": "hunter22"})
    policy = Policy()
    assert policy.first_look == policy.scan


def test_who_comes_in_the_middle_of_a_look_is_told_that_there_may_be_something() -> None:
    """Another thread, and a handler that runs inside the scan: two at once would share its memory."""
    answers: list[object] = []

    def ask() -> None:
        answers.append(look(b"{}"))

    def scan(_line: bytes, _found: object) -> None:
        if len(answers) < 1:
            ask()
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()

    look = one_at_a_time(scan, ValueError)
    assert not look(b"{}")
    assert answers == [True, True]
    assert not look(b"{}")


def test_an_error_inside_a_look_gives_it_free_again() -> None:
    """Ctrl+C in the middle of a scan."""
    raised: list[BaseException] = [KeyboardInterrupt()]

    def interrupted(_line: bytes, found: Any) -> None:
        if raised:
            raise raised.pop()
        assert found(0, 0, 1, 0, None)

    look = one_at_a_time(interrupted, ValueError)
    with pytest.raises(KeyboardInterrupt):
        look(b"{}")
    assert not look(b"{}")


def test_a_child_of_a_fork_has_a_look_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent's may be in the middle of a scan by a thread that does not exist in the child."""
    monkeypatch.setattr(sys, "_current_frames", lambda: {1: None})
    encoder = MaskingEncoder(Settings(), None, count=str)
    encoder.prepare()
    of_parent = encoder.may_hold
    pid = os.fork()
    if pid == 0:
        encoder.become_child()
        clean = encoder.around(encode_fields)({"a": "b"})
        hidden = encoder.around(encode_fields)({"password": "hunter22"})
        is_well = encoder.may_hold is not of_parent and clean == b'{"a":"b"}'
        os._exit(0 if is_well and b"hunter22" not in hidden else 1)
    assert os.waitpid(pid, 0)[1] == 0
