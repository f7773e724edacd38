"""The corpus of secrets and look-alikes: none leaks, and nothing harmless changes."""

from __future__ import annotations

import random
from functools import cache

import orjson
from support.secret_corpus import Made, cases, filled, made

from pipeline.privacy.masker import Masker
from pipeline.privacy.policy import Policy

_PARAMETERS = {
    "custom_sensitive_fields": "fields",
    "mask_patterns": "patterns",
    "mask_personal_data": "personal_data",
    "mask_preset": "preset",
    "mask_thinking": "thinking",
    "mask_tracebacks": "tracebacks",
}


@cache
def rules(settings: bytes) -> tuple[Policy, Masker]:
    """Return the policy and the masker of a case's settings."""
    policy = Policy(**{_PARAMETERS[name]: value for name, value in orjson.loads(settings).items()})
    return policy, Masker.of(policy, "mask", b"key")


def encoded(case: dict, record: object) -> tuple[bytes, bytes]:
    """Return a record as emit() would encode it, and what would stand in the queue."""
    policy, masker = rules(orjson.dumps(case.get("settings", {})))
    line = orjson.dumps(record)
    return line, masker.line(line)[0] if is_stopped(policy, line) else line


def is_stopped(policy: Policy, line: bytes) -> bool:
    """Tell whether emit() looks at a record in full."""
    found = bool(policy.scan(line))
    assert policy.line_scan is None or bool(policy.line_scan(line)) == found, line
    return bool(policy.first_look(line)) and found


def leaks(case: dict, secret: Made) -> bool:
    """Tell whether anything of a secret is left of a positive case."""
    output = encoded(case, filled(case["record"], secret.text))[1].decode()
    return secret.leaks_into(output) or any(
        orjson.dumps(value).decode() in output for value in case.get("gone", ())
    )


def test_the_corpus_is_as_large_as_it_claims() -> None:
    """At least 300 positives and 300 look-alikes, each with a name of its own."""
    for name in ("positives", "negatives"):
        names = [case["case"] for case in cases(name)]
        assert len(names) >= 300
        assert len(set(names)) == len(names)


def test_no_secret_of_the_corpus_leaks(seed: int) -> None:
    """Whatever the value, no eight characters of its random part can be read in what reaches the queue."""
    chance = random.Random(seed)
    leaked = [case["case"] for case in cases("positives") if leaks(case, made(case["secret"], chance))]
    assert leaked == []


def test_no_look_alike_changes() -> None:
    """What only looks like a secret is recorded byte by byte as it came."""
    changed = [case["case"] for case in cases("negatives") if len(set(encoded(case, case["record"]))) > 1]
    assert changed == []


def test_masking_twice_changes_nothing(seed: int) -> None:
    """What stands in place of a secret is never taken for one, in any strategy."""
    chance = random.Random(seed)
    for strategy in ("mask", "partial", "hash"):
        masker = Masker(strategy=strategy, hash_key=b"key")
        for case in cases("positives"):
            if "settings" not in case:
                record = filled(case["record"], made(case["secret"], chance).text)
                once = masker.json(record)
                assert masker.json(once) == once, (strategy, case["case"])


def test_the_scan_stops_every_line_that_the_slow_way_would_change(seed: int) -> None:
    """Invariant 1: the one look at a record is never the reason why a secret stays in it."""
    chance = random.Random(seed)
    for case in cases("positives") + cases("negatives"):
        policy, masker = rules(orjson.dumps(case.get("settings", {})))
        line = orjson.dumps(filled(case["record"], made(case.get("secret"), chance).text))
        if masker.line(line)[0] != line:
            assert is_stopped(policy, line), case["case"]


_PLACES: list[object] = [
    "<S>",
    "x <S> y",
    "first line\n<S>\nthird line",
    "a\t<S>\r\n",
    {"value": "<S>"},
    ["<S>", 1, None],
    {"text": "say “<S>”"},
    '{"inner": "<S>"}',
    '{"inner": "{\\"more\\": [\\"<S>\\"]}"}',
    "repr: {'value': '<S>'}",
    'Traceback (most recent call last):\n  File "a.py", line 1\nRuntimeError: <S>',
    "curl 'https://example.com/' -d '<S>'",
    "<p><S></p>",
    "| <S> |",
    "\u79d8\u5bc6<S>\u3002",
]
_NAMED: list[object] = [
    {"password": "<S>"},
    {"userPassword": "<S>"},
    {"X-Api-Key": "<S>"},
    {"config": {"db": {"passwd": "<S>"}}},
    {"headers": [["authorization", "<S>"]]},
    {"env": [{"name": "API_TOKEN", "value": "<S>"}]},
    {"argv": ["run", "--client-secret", "<S>"]},
    '{"refresh_token": "<S>", "n": 1}',
    "export DB_PASSWORD=<S>",
    "secret: '<S>'",
    "{'apiKey': '<S>'}",
    "https://example.com/?access_token=<S>&x=1",
    "Authorization: Bearer <S>",
    "postgres://ann:<S>@db/x",
    "<api-key><S></api-key>",
    "tool --private-key <S> go",
]
_FORMS_OF_NAMED = ["{alnum:12}", "{alnum:32}", "{hex:40}", "{b64url:43}", "{uuid}", "{alnum:8}"]
_WRAPPINGS = ("args", "payload", "messages", "body")


def held_out(chance: random.Random) -> tuple[str, Made, object]:
    """Make a case that nobody has written: a form and a place that chance puts together, at some depth."""
    if chance.random() < 0.5:
        bare = [case for case in cases("positives") if case.get("source") and not case.get("settings")]
        form = chance.choice([case for case in bare if case["case"].endswith("_1") and case["secret"]])
        form, place = form["secret"], chance.choice(_PLACES)
        if form.startswith("{"):
            place = chance.choice(_NAMED)
    else:
        form, place = chance.choice(_FORMS_OF_NAMED), chance.choice(_NAMED)
    secret = made(form, chance)
    record = filled(place, secret.text)
    for _ in range(chance.randrange(4)):
        wrapped = chance.choice([record, [record], orjson.dumps(record).decode()])
        record = {chance.choice(_WRAPPINGS): wrapped}
    return form, secret, {"record": record}


def test_the_held_out_third_has_its_own_rates(seed: int, record_property) -> None:
    """Half as many cases again, made by chance: none leaks, and no look-alike changes."""
    chance = random.Random(seed)
    masker = rules(b"{}")[1]
    policy = rules(b"{}")[0]
    leaked = []
    count = len(cases("positives")) // 2
    for _ in range(count):
        form, secret, record = held_out(chance)
        line = orjson.dumps(record)
        output = (masker.line(line)[0] if is_stopped(policy, line) else line).decode()
        if secret.leaks_into(output):
            leaked.append((form, record))
    changed = [case["case"] for case in cases("negatives") if _changes(case, chance)]
    record_property("held_out_positives", f"{count - len(leaked)} of {count} masked")
    record_property("held_out_negatives", f"{len(changed)} of {len(cases('negatives'))} changed")
    print(f"held out: {count - len(leaked)} of {count} masked, {len(changed)} look-alikes changed")
    assert leaked == []
    assert changed == []


def _changes(case: dict, chance: random.Random) -> bool:
    """Tell whether a look-alike changes deeper inside, or inside a text that is JSON."""
    record = {chance.choice(_WRAPPINGS): chance.choice([case["record"], [case["record"]]])}
    if chance.random() < 0.5:
        record = {"body": orjson.dumps(record).decode()}
    before, after = encoded(case, record)
    return before != after
