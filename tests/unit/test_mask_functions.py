"""The functions for who masks by hand: headers, bodies, URLs, trees."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import orjson
import pytest
from support.secret_corpus import made

from pipeline.privacy import Masker, mask_body, mask_headers, mask_json, mask_url

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = made("{b64url:40}", random.Random(1)).text


def test_headers_show_three_characters_at_either_end() -> None:
    """R-193: in a mapping, in pairs, in bytes as ASGI has them; short values show nothing."""
    shown = f"Bea***{TOKEN[-3:]}"
    assert mask_headers({"Authorization": f"Bearer {TOKEN}", "Accept": "*/*", "X-Api-Key": "short"}) == {
        "Authorization": shown,
        "Accept": "*/*",
        "X-Api-Key": "[MASKED]",
    }
    assert mask_headers([("Set-Cookie", "id=1"), ("Cookie", f"sid={TOKEN}")]) == [
        ("Set-Cookie", "[MASKED]"),
        ("Cookie", f"sid***{TOKEN[-3:]}"),
    ]
    assert mask_headers([(b"authorization", f"Bearer {TOKEN}".encode())]) == [
        (b"authorization", shown.encode())
    ]
    assert mask_headers({"Cookie": "abc", "Host": "x"}, strategy="remove") == {"Host": "x"}
    assert TOKEN[3:-3] not in str(mask_headers({"X-Custom": f"Bearer {TOKEN}"}))


def test_bodies_are_masked_as_what_they_are() -> None:
    """R-195: JSON, a form, a text; bytes stay bytes."""
    body = orjson.dumps({"user": "ann", "password": TOKEN, "list": [{"api_key": 17}]})
    assert orjson.loads(mask_body(body)) == {
        "user": "ann",
        "password": "[MASKED]",
        "list": [{"api_key": "[MASKED]"}],
    }
    assert mask_body(body.decode()) == mask_body(body).decode()
    assert mask_body(f"user=ann&password={TOKEN}&n=a%20b") == "user=ann&password=[MASKED]&n=a+b"
    assert mask_body("user=ann&n=a%20b") == "user=ann&n=a%20b"
    assert (
        mask_body(b"\xff\xfe not utf-8 password=hunter22 \xff")
        == b"\xff\xfe not utf-8 password=[MASKED] \xff"
    )
    assert mask_body('{"a": 1}') == '{"a": 1}'


def test_urls_keep_all_but_what_is_secret() -> None:
    """R-196: the password, and sensitive parameters in query and fragment."""
    url = f"https://ann:{TOKEN}@x.example/a?lang=de&api_key={TOKEN}&sig=abc&page=2#access_token={TOKEN}"
    assert (
        mask_url(url)
        == "https://ann:[MASKED]@x.example/a?lang=de&api_key=[MASKED]&sig=[MASKED]&page=2#access_token=[MASKED]"
    )
    assert mask_url("https://x.example/a?lang=de#top") == "https://x.example/a?lang=de#top"


def test_json_is_masked_and_not_changed_in_place() -> None:
    """R-197: through objects, lists, tuples and texts that are JSON; what was given stays as it is."""
    tree = {"a": [{"token": TOKEN}, ("x", '{"secret": 1}')], "n": 1}
    before = repr(tree)
    assert mask_json(tree) == {"a": [{"token": "[MASKED]"}, ["x", '{"secret":"[MASKED]"}']], "n": 1}
    assert repr(tree) == before
    assert mask_json("\ud800 password=hunter22") == "\ud800 password=[MASKED]"


def test_a_masker_of_ones_own() -> None:
    """R-189, R-198: names, strategy, patterns, exceptions; findings say where and by which rule."""
    masker = Masker(["internal_token"], "partial", patterns=["ORD-[0-9]+"], allow=["token"])
    assert masker.json({"internal_token": "abcdefghijklmnop", "token": "x"}) == {
        "internal_token": "abc***nop",
        "token": "x",
    }
    masked, findings = masker.findings({"a": [{"password": "x"}], "b": "see ORD-77"})
    assert masked == {"a": [{"password": "[MASKED]"}], "b": "see [MASKED]"}
    assert [tuple(found) for found in findings] == [("a[0].password", "name"), ("b", "pattern 1")]
    assert TOKEN not in str(masker.findings({f"Bearer {TOKEN}": {"password": "x"}}))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Masker(strategy="rot13"),
        lambda: Masker(preset="lax"),
        lambda: Masker(patterns=["("]).text("x"),
    ],
)
def test_what_cannot_be_used_is_refused(make: Callable[[], object]) -> None:
    """A strategy, a preset or a pattern that there is not is a ValueError, and never quietly no masking."""
    with pytest.raises(ValueError, match=r"strategy|preset|pattern"):
        make()
