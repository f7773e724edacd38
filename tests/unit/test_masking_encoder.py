"""What emit() encodes when masking is on: what is shown, what is cut, and what an error of ours does."""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.secret_corpus import made

from pipeline.privacy.encoder import FAILED, MaskingEncoder
from pipeline.records.encoding import encode_fields
from pipeline.records.output_cut import output_cut
from pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

CHANCE = random.Random(4)
HOME = "/ho" + "me/"


def key_of(form: str = "sk-ant-api03-{b64url:31}") -> str:
    """Return a key of 44 characters, or of another form."""
    return made(form, CHANCE).text


def encoder_of(
    cut: Callable[[bytes], bytes] | None = None, counts: Counter[str] | None = None, **settings: Any
) -> MaskingEncoder:
    """Return the encoder of some settings."""
    found = Counter[str]() if counts is None else counts
    return MaskingEncoder(Settings(**settings), cut, count=lambda rule: found.update([rule]))


def recorded(fields: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Return what is recorded of some fields."""
    found: dict[str, Any] = orjson.loads(encoder_of(**settings).around(encode_fields)(fields))
    return found


def test_what_is_shown_is_what_the_documents_show() -> None:
    """R-187, R-188, C-35: the displays, character by character."""
    fields = {
        "api_key": key_of(),
        "password": "secret123",
        "cwd": HOME + "ann/src",
        "note": f"use {key_of()}!",
    }
    assert recorded(fields) == {
        "api_key": "sk-***[MASKED 44 chars]***",
        "password": "[MASKED]",
        "cwd": HOME + "[USER]/src",
        "note": "use sk-***[MASKED 44 chars]***!",
    }


def test_each_strategy_shows_what_it_says() -> None:
    """C-36: partial from 12 characters on, hash by a key, remove with the name."""
    fields = {"password": "abcdefghijkl", "token": "abcdefghijk", "n": 1}
    assert recorded(fields, mask_strategy="partial") == {"password": "abc***jkl", "token": "[MASKED]", "n": 1}
    assert recorded(fields, mask_strategy="remove") == {"n": 1}
    hashed = [recorded(fields, mask_strategy="hash", mask_hash_key=key)["password"] for key in "aab"]
    assert hashed[0] == hashed[1] != hashed[2]
    assert hashed[0].startswith("[HASH:")
    assert (
        recorded(fields, mask_strategy="hash")["password"]
        != recorded(fields, mask_strategy="hash")["password"]
    )


def test_every_type_under_a_sensitive_name_is_masked() -> None:
    """R-199: texts, numbers, switches, lists and objects; what says nothing stays readable."""
    for value in ("x", 17, 1.5, True, [1, 2], {"a": {"b": 1}}, b"bytes", ("a",), {"set"}):
        assert recorded({"secret": value}) == {"secret": "[MASKED]"}
    for value in (None, "", [], {}):
        assert recorded({"secret": value}) == {"secret": value}


def test_settings_say_what_is_secret() -> None:
    """Further names and patterns, exceptions, and masking off."""
    assert recorded({"internalToken2": "x"}, custom_sensitive_fields=("internal_token",)) == {
        "internalToken2": "[MASKED]"
    }
    assert recorded({"shipCode": "x"}, custom_sensitive_fields=("ship_code",)) == {"shipCode": "[MASKED]"}
    text = 'ask for "EMP-123456" now'
    assert recorded({"t": text}, mask_patterns=("EMP-[0-9]{6}",)) == {"t": 'ask for "[MASKED]" now'}
    assert recorded({"t": text}, mask_patterns=('"EMP-([0-9]{6})"',)) == {"t": 'ask for "EMP-[MASKED]" now'}
    assert recorded({"t": "EMP-1"}, mask_patterns=("^EMP",)) == {"t": "[MASKED]-1"}
    assert recorded({"t": "né 12"}, mask_patterns=("é [0-9]+",)) == {"t": "n[MASKED]"}
    assert recorded({"page_token": "x", "b_token": "y"}, mask_allow=("page_token",)) == {
        "page_token": "x",
        "b_token": "[MASKED]",
    }
    assert recorded({"cwd": HOME + "ann"}, mask_allow=("home_directory",)) == {"cwd": HOME + "ann"}
    known = key_of()
    assert recorded({"a": known, "b": key_of()}, mask_allow=(known,))["a"] == known
    assert recorded({"password": "x"}, mask_sensitive_data=False) == {"password": "x"}


def test_thinking_tracebacks_and_personal_data_are_switches() -> None:
    """C-37: off by default, and all on in the strict preset."""
    fields = {
        "thinking_content": "hm",
        "traceback": "Traceback",
        "mail": "to ann@example.com",
        "password_hint": "x",
    }
    assert recorded(fields) == fields
    assert recorded(fields, mask_thinking=True) == {**fields, "thinking_content": "[MASKED]"}
    assert recorded(fields, mask_tracebacks=True) == {**fields, "traceback": "[MASKED]"}
    assert recorded(fields, mask_personal_data=True) == {**fields, "mail": "to [MASKED]"}
    strict = recorded(fields, mask_preset="strict")
    assert strict["mail"] in ("to [MASKED]", "[MASKED]")
    assert {name: strict[name] for name in ("thinking_content", "traceback", "password_hint")} == {
        "thinking_content": "[MASKED]",
        "traceback": "[MASKED]",
        "password_hint": "[MASKED]",
    }


def test_names_reach_what_lists_and_labels_hold() -> None:
    """A header pair, an option among arguments, a variable with its value, JSON inside JSON inside JSON."""
    assert recorded({"headers": [["Authorization", "abc"], ["Accept", "x"]]})["headers"] == [
        ["Authorization", "[MASKED]"],
        ["Accept", "x"],
    ]
    assert recorded({"argv": ["curl", "--token", "abc", "--verbose"]})["argv"] == [
        "curl",
        "--token",
        "[MASKED]",
        "--verbose",
    ]
    assert recorded({"env": [{"value": "abc", "name": "API_KEY"}]})["env"] == [
        {"value": "[MASKED]", "name": "API_KEY"}
    ]
    inner = orjson.dumps({"a": orjson.dumps({"credentials": {"user": "ann", "x": [1]}}).decode()}).decode()
    assert orjson.loads(orjson.loads(recorded({"body": inner})["body"])["a"]) == {"credentials": "[MASKED]"}


def test_values_that_json_does_not_know_are_masked_in_their_recorded_form() -> None:
    """An exception with a secret in its message, an object that says one, a key that is one."""

    class Connection:
        def __repr__(self) -> str:
            return "Connection(password='hunter22')"

    form = recorded(
        {"error": ValueError("password=hunter22"), "c": Connection(), key_of(): 1, "b": b"pwd=hunter22;"}
    )
    assert "hunter22" not in str(form)
    assert form["error"]["message"] == "password=[MASKED]"
    assert any(name.startswith("sk-***[MASKED") for name in form)


def test_a_secret_at_the_cut_is_masked_before_it_is_cut() -> None:
    """Invariant 3: a cut through the middle of a secret would leave a half that no rule knows."""
    secret = key_of("ghp_{alnum:36}")
    for before in range(960, 1005):
        text = "x" * (before - 1) + " " + secret + " tail" * 100
        output = orjson.loads(
            encoder_of(output_cut(("output",), 1000)).around(encode_fields)({"output": text})
        )["output"]
        assert secret[4:12] not in output
        assert output[: min(before, 1000)] == text[: min(before, 1000)]


def test_an_action_type_is_masked_too() -> None:
    """Invariant 4: it is encoded by the same function, under an empty name."""
    secret = key_of()
    body = encoder_of().around(encode_fields)({"": f"call {secret}"})
    assert body[4:-1] == b'"call sk-***[MASKED 44 chars]***"'


@pytest.mark.parametrize("place", ["_masked", "prepare"])
def test_an_error_of_a_rule_lets_no_value_through(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 2: each value is replaced, a name that may be a secret too, and the error is counted."""

    def fail(*_: object) -> bytes:
        raise RuntimeError("a defect")

    monkeypatch.setattr(MaskingEncoder, place, fail)
    counts = Counter[str]()
    encode = encoder_of(counts=counts).around(encode_fields)
    body = encode({"password": "hunter22", "n": 1, key_of("ghp_{alnum:36}"): "x"})
    assert orjson.loads(body) == {"password": FAILED, "n": FAILED, "field_2": FAILED}
    assert counts == {FAILED: 1}


def test_what_was_masked_is_counted_by_rule() -> None:
    """Counts are per value and per rule; a clean record counts nothing."""
    counts = Counter[str]()
    encode = encoder_of(counts=counts).around(encode_fields)
    for fields in ({"n": 1}, {"password": "a", "token": "b"}, {"t": f"{key_of()} in {HOME}ann/x"}):
        encode(fields)
    assert counts == {"name": 2, "home_directory": 1, "openai_style_key": 1}


def test_the_child_of_a_fork_masks_by_itself() -> None:
    """Nothing of the parent's automata is used in the child."""
    encoder = encoder_of()
    encode = encoder.around(encode_fields)
    encode({"password": "a"})
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        encoder.become_child()
        os.write(writing, encode({"password": "b", "t": key_of()}))
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        assert orjson.loads(answer.read()) == {"password": "[MASKED]", "t": "sk-***[MASKED 44 chars]***"}


def test_only_output_fields_are_cut() -> None:
    """C-28: the first characters stay, the mark says how many are gone; input and messages are never cut."""
    cut = output_cut(("output", "stdout"), 10)
    fields = {
        "output": "é" * 12,
        "input": "x" * 50,
        "result": {"stdout": ["y" * 11, "y" * 10]},
        "outputs": "z" * 11,
    }
    assert orjson.loads(cut(orjson.dumps(fields))) == {
        **fields,
        "output": "é" * 10 + "…[TRUNCATED 2 chars]",
        "result": {"stdout": ["y" * 10 + "…[TRUNCATED 1 chars]", "y" * 10]},
    }
    once = cut(orjson.dumps(fields))
    assert cut(once) == once
    everything = orjson.loads(output_cut(("*",), 10)(orjson.dumps(fields)))
    assert everything["input"] == "x" * 10 + "…[TRUNCATED 40 chars]"
