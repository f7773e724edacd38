"""
Records made to cost masking as much as they can, by a table and by chance.

    PYTHONPATH=tests python -m support.slow_texts [--seed 7] [--chance 500] [--kib 256] [--every 1]

prints the ten that take the most CPU time for their size, each once more at a quarter of it.
"""

from __future__ import annotations

import argparse
import base64
import heapq
import itertools
import random
import sys
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from support.secret_corpus import cases, made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

NAMES: Final = ("pwd", "jwt", "token", "cookie", "authorization", "api_key", "auth", "X-Api-Key", "%3Ftoken")
BINDERS: Final = (
    *("=", ": ", ":", "=>", "%3D", " = ", ":\t", "='", '="', "=`", '=\\"', '=\\\\\\"', '": "', '":"', "':"),
    *('":', '":{', '":[', "=[", "=[MASKED]", "=***", "=${", "=<", "= bearer ", ":Basic ", "=f'", "=\n"),
)
VALUES: Final = ("", "1", "a1 ", "a1\n", "a1,", "x'", 'x"', 'a1\\"', "none ", "é ", "sk-")
BARE: Final = (
    *("--{} ", "--{} a1 ", "--{} 'a' ", "<{}>", "<{}>a</", "<{} ", "<{} a>b</", "{}_", "{}.", "{}-", "{}["),
    *("{} ", "{}", "?{}=a1&", "&{}=", "{}: a1\r\n", "  File '{}=a1', line 1\n", "a:{}:", "{}%3Da1"),
)
FORMS: Final = (
    *("password '", "password 'a'", "IDENTIFIED BY 'a'", "login a password ", "login a password b "),
    *("bearer ", "bearer a1a1a1 ", "bearer+a1a1a1", "basic aaaaaaaa", "basic aaaaaa1= ", "sshpass -p", "eyJ"),
    *("sshpass -pa ", "eyJaaaaaaaa.", " eyJaaaaaaaa..", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "SG."),
    *("-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----", "://", "://a:b", "://a:b@", " ://:a@", "@a.a"),
    *("/webhooks/1234", "?sig=aaaaaaaa&", "sig=a", ".aaaaaa.", " a@b.co ", "+1 2 3 4 5 6 7 8 ", " 4", "M.N"),
    *(" 415 555 1234", "[USER]", "[MASKED]", "***[MASKED 1", "abc***[MASKED 1 chars]***", "0:AA", "-us1"),
)
SEPARATORS: Final = ("", " ", "\n", '"', "\\", ",")
FILLERS: Final = (
    *("a", "1", "\\", "'", '"', '\\"', '\\\\\\"', "[", "]", "[]", "{", " ", "\n", "-", "--", ".", "a.", "a-"),
    *("@", "%", "%3", "=", ":", "<", ">", "<a", "&", "é", "M", "f", "0", "aA", ";", "[MASKED", "***[MASKED "),
    *("***", "\\n", "\\u0041", "/", "$", "${", "`", "x y ", "_", "password", "--token", "a:", "max_token="),
)
HEADS: Final = ("token=", 'token="', 'token=\\"', "cookie: ", '"token":[', "--token ", "<token>", "bearer ")
_CHARS: Final = " \n\\\"'`=:<>[]{}()-_.@/%&,;$*aA1é"


class Case(NamedTuple):
    """One record, as something that is made when its size is known."""

    name: str
    fields: Callable[[int], Any]


def repeated(unit: str, size: int) -> str:
    """Return a text of some characters that is one unit again and again."""
    return (unit * (size // len(unit) + 1))[:size]


def listed(item: Any, size: int) -> list[Any]:
    """Return a list of some bytes in JSON that has one item again and again."""
    return [item] * (size // (len(orjson.dumps(item)) + 1))


def nested(text: Any, depth: int) -> Any:
    """Return JSON in JSON in JSON."""
    for _ in range(depth):
        text = orjson.dumps({"a": text}).decode()
    return text


def escaped(text: str, depth: int) -> str:
    """Return a text as it stands in JSON in JSON."""
    for _ in range(depth):
        text = orjson.dumps(text).decode()[1:-1]
    return text


def every_case(seed: int, by_chance: int) -> Iterator[Case]:
    """Yield the table, then what chance makes of its pieces."""
    chance = random.Random(seed)
    yield from map(_of_unit, _units(chance))
    yield from _with_heads(chance)
    yield from _trees()
    yield from _numbered()
    for _ in range(by_chance):
        yield _by_chance(chance)


def _of_unit(unit: str) -> Case:
    return Case(f"{unit!r} again and again", lambda size: {"text": repeated(unit, size)})


def _units(chance: random.Random) -> Iterator[str]:
    yield from map("".join, itertools.product(NAMES, BINDERS, VALUES))
    yield from (form.format(name) for form, name in itertools.product(BARE, NAMES))
    secrets = {made(case["secret"], chance).text for case in cases("positives") if case["secret"]}
    yield from map("".join, itertools.product(sorted(secrets), ("", " ")))
    yield from map("".join, itertools.product(FORMS, SEPARATORS))
    for unit, depth in itertools.product(
        ('token="a"', "'pwd': 'a1', ", 'pwd=\\"', "a\ttoken=1\n"), range(1, 7)
    ):
        yield escaped(unit, depth)


def _with_heads(chance: random.Random) -> Iterator[Case]:
    random_texts = {
        "base64": base64.b64encode(chance.randbytes(1 << 20)).decode(),
        "letters": "".join(chance.choices("MNOabc019_-", k=1 << 20)),
        "hexadecimal": chance.randbytes(1 << 19).hex(),
        "digits": "".join(chance.choices("0123456789 -", k=1 << 20)),
    }
    secrets = [made(case["secret"], chance).text for case in cases("positives") if case.get("source")]
    for head in (*HEADS, *FORMS, " ".join(secret for secret in secrets if secret)):
        for filler in FILLERS if len(head) < 99 else ("a ", "token=a "):
            yield Case(
                f"{head[:40]!r} and {filler!r} again and again",
                lambda size, head=head, filler=filler: {"text": head + repeated(filler, size - len(head))},
            )
        for name, text in random_texts.items():
            yield Case(
                f"{head[:40]!r} and random {name}",
                lambda size, head=head, text=text: {"text": head + text[:size]},
            )


def _trees() -> Iterator[Case]:
    items: tuple[Any, ...] = (
        *(
            "pwd=1",
            "pwd=",
            "token: str",
            " /ho" + "me/a",
            "aaaa",
            "a",
            "",
            "--token",
            "token",
            '["pwd=1"]',
            "[1]",
        ),
        *(1, [], {}, [1], {"a": 1}, {"pwd": 1}, {"pwd": "a"}, {"pwd": ""}, {"has_token": 1}, {"value": 1}),
        *(["pwd", 1], ["--pwd", 1], ["a", 1], {"key": "pwd", "value": 1}, {"pwd": {"type": "string"}}, True),
        *(
            {"pwd=1": 1},
            {"a": "pwd=1"},
            [[[[]]]],
            nested("pwd=1", 1),
            nested("pwd=1", 3),
            {"": {}},
            {"pwd": []},
        ),
    )
    for item in items:
        yield Case(
            f"a list of {item!r}", lambda size, item=item: {"text": "pwd=1", "list": listed(item, size)}
        )
        yield Case(
            f"JSON with a list of {item!r}",
            lambda size, item=item: {"text": orjson.dumps([*listed(item, size // 2), "pwd=1"]).decode()},
        )
    for unit, depth in itertools.product(("pwd=1 ", "a", '"', "pwd="), (1, 3, 6, 9)):
        yield Case(
            f"{unit!r} again and again in JSON {depth} times",
            lambda size, unit=unit, depth=depth: {
                "text": nested("pwd=1" + repeated(unit, size >> (depth if unit == '"' else 0)), depth)
            },
        )
    for depth in (50, 120):
        one: Any = "pwd=1"
        for _ in range(depth):
            one = [one]
        yield Case(f"lists in lists, {depth} deep", lambda size, one=one: {"list": listed(one, size)})


def _numbered() -> Iterator[Case]:
    """Yield what is different each time, against whatever remembers."""
    for form in (
        "a{}token={} ",
        "a{}",
        "sk-aaaaaaaaaaaaaaaa{}",
        "token{} ",
        "{}_pwd",
        "pwd={}",
        "max_token{}",
    ):
        yield Case(f"{form!r} with numbers", lambda size, form=form: {"text": _counted(form, " ", size)})
        yield Case(
            f"{form!r} with numbers as keys",
            lambda size, form=form: dict.fromkeys(["pwd=1", *_counted(form, "\0", size).split("\0")], 1),
        )
    for quote in "'\"":
        yield Case(
            f"{quote} with ever more escapes",
            lambda size, quote=quote: {
                "text": "".join("token=" + "\\" * depth + quote for depth in range(int((2 * size) ** 0.5)))[
                    :size
                ]
            },
        )


def _counted(form: str, between: str, size: int) -> str:
    count = size // (len(form.format("123456", "1")) + 4)
    return between.join(form.format(number, number % 10) for number in range(count))


def _by_chance(chance: random.Random) -> Case:
    pieces = [*NAMES, *BINDERS, *VALUES, *FORMS, *FILLERS]
    letters = [*_CHARS, *chance.sample(pieces, 6)]
    unit = "".join(
        chance.choice(chance.choice((pieces, letters))) for _ in range(chance.choice((1, 2, 2, 3, 3, 4, 6)))
    )
    unit = unit or "a"
    head = chance.choice((*HEADS, *FORMS, ""))
    name = f"{head!r} and {unit!r} again and again"
    if chance.random() < 0.8:
        return Case(name, lambda size: {"text": head + repeated(unit, size)})
    return Case(f"{name}, short, in a list", lambda size: {"list": listed(head + unit, size), "t": "pwd=1"})


def cost(line: Callable[[bytes], object], case: Case, size: int) -> float:
    """Return the CPU seconds for each MiB of a record of about some bytes."""
    body = orjson.dumps(case.fields(size))
    began = time.process_time()
    line(body)
    return (time.process_time() - began) / len(body) * (1 << 20)


def worst(
    line: Callable[[bytes], object], found: Iterable[Case], size: int, count: int
) -> list[tuple[float, Case]]:
    """Return what costs most; a case that costs much is tried once more, since the machine is busy."""
    costs = []
    for case in found:
        cost_of_case = cost(line, case, size)
        if cost_of_case > 0.1:
            cost_of_case = min(cost_of_case, cost(line, case, size))
        costs.append((cost_of_case, case))
    print(f"{len(costs)} cases, {sum(each > 0.25 for each, _ in costs)} above 0.25 s/MiB")
    return heapq.nlargest(count, costs, key=lambda each: each[0])


def main() -> None:
    """Search and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--chance", type=int, default=500, help="how many cases chance makes")
    parser.add_argument("--kib", type=int, default=256)
    parser.add_argument("--every", type=int, default=1, help="take every Nth case only")
    parser.add_argument("--show", type=int, default=10)
    options = parser.parse_args()
    from pipeline.privacy.masker import Masker

    masker = Masker()
    size = options.kib << 10
    masker.line(orjson.dumps({"text": " ".join((*FORMS, "token=a --token a <token>a</token>"))}))
    found = list(every_case(options.seed, options.chance))[:: options.every]
    for seconds, case in worst(masker.line, found, size, options.show):
        quarter = min(cost(masker.line, case, size // 4) for _ in range(2))
        print(f"{seconds:6.3f} s/MiB, {quarter:6.3f} at a quarter: {case.name}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
