"""Sampling and rate limits: what is kept, what is exempt, and that traces stay whole."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.privacy.sampling import RATE_LIMITED, SAMPLED, Sampler
from pipeline.settings import Settings, load
from pipeline.testing import FakeClock


def kept(sampler: Sampler, action_type: str, count: int = 4000, **fields: Any) -> int:
    """Return how many of so many records are kept."""
    return sum(not sampler.reason_against(action_type, dict(fields)) for _ in range(count))


def test_nothing_is_left_out_unless_a_setting_says_so() -> None:
    """There is not even a sampler."""
    assert Sampler.of(Settings()) is None
    assert Sampler.of(Settings(sample_rates={"DEBUG": 0.1})) is not None


def test_about_the_asked_share_is_kept_and_carries_its_rate() -> None:
    """By level, in any case of letters; records of other levels, and without a level, are all kept."""
    sampler = Sampler({"DEBUG": 0.1, "INFO": 0.5}, {})
    assert 300 < kept(sampler, "log", level="debug") < 500
    assert 1850 < kept(sampler, "log", level="INFO") < 2150
    assert kept(sampler, "log", level="WARNING") == 4000
    assert kept(sampler, "tool_call") == 4000
    while sampler.reason_against("log", fields := {"level": "DEBUG"}):
        pass
    assert fields["sample_rate"] == 0.1
    untouched = {"level": "WARNING"}
    assert sampler.reason_against("log", untouched) == ""
    assert "sample_rate" not in untouched


@pytest.mark.parametrize(
    ("action_type", "fields"),
    [
        ("log", {"level": "ERROR"}),
        ("log", {"level": "critical"}),
        ("tool_error", {}),
        ("work", {"status": "error"}),
        ("payment", {}),
        ("api_request", {}),
    ],
)
def test_critical_and_audit_records_are_always_kept(action_type: str, fields: dict[str, Any]) -> None:
    """Even where a rate or a limit names them (C-39)."""
    rules = dict.fromkeys((action_type, "ERROR", "CRITICAL"), 0.0)
    limits = dict.fromkeys((action_type, "ERROR", "CRITICAL"), 0.001)
    sampler = Sampler(rules, limits, critical_types=("payment",), audit_types=("api_request",))
    assert kept(sampler, action_type, 50, **fields) == 50


def test_the_most_specific_rule_holds() -> None:
    """A logger before an action type before a level; a logger's rule is that of all below it."""
    sampler = Sampler({"logger:urllib3": 0.0, "logger:urllib3.util": 1.0, "log": 0.0, "INFO": 1.0}, {})
    assert kept(sampler, "log", 10, level="INFO", logger="urllib3.connection") == 0
    assert kept(sampler, "log", 10, level="INFO", logger="urllib3.util.retry") == 10
    assert kept(sampler, "log", 10, level="INFO", logger="urllib3x") == 0  # by its type
    assert kept(sampler, "work", 10, level="INFO") == 10
    assert kept(sampler, "work", 10, level=["no", "text"]) == 10


def test_a_trace_is_kept_or_left_out_as_a_whole_and_nested_over_rates(seed: int) -> None:
    """In every process alike, whatever the level; what a low rate keeps a higher one keeps too."""
    chance = random.Random(seed)
    low, high, other = Sampler({"a": 0.2}, {}), Sampler({"a": 0.6}, {}), Sampler({"a": 0.2}, {})
    traces = [f"{chance.getrandbits(128):032x}" for _ in range(2000)] + ["not hex", "f" * 32, "0" * 32]
    for trace in traces:
        first = low.reason_against("a", {"trace_id": trace})
        assert {low.reason_against("a", {"trace_id": trace}) for _ in range(5)} == {first}
        assert other.reason_against("a", {"trace_id": trace}) == first
        if not first:
            assert not high.reason_against("a", {"trace_id": trace})
    assert 300 < sum(not low.reason_against("a", {"trace_id": trace}) for trace in traces) < 500


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """Give a clock that stands still."""
    with FakeClock() as clock:
        yield clock


def test_a_limit_lets_bursts_through_and_then_its_rate(clock: FakeClock) -> None:
    """Ten a second: ten at once, none at the same instant after that, five half a second later."""
    sampler = Sampler({}, {"poll": 10, "logger:chatty": 0.5})
    assert kept(sampler, "poll", 30) == 10
    assert sampler.reason_against("poll", {}) == RATE_LIMITED
    clock.advance(0.5)
    assert kept(sampler, "poll", 30) == 5
    clock.advance(3600)
    assert kept(sampler, "poll", 30) == 10
    assert kept(sampler, "log", 5, logger="chatty.part") == 1
    clock.advance(2.0)
    assert kept(sampler, "log", 5, logger="chatty.part") == 1


def test_what_is_sampled_away_costs_no_token_of_a_limit(clock: FakeClock) -> None:
    """Both rules on one type: the limit counts what sampling has kept."""
    sampler = Sampler({"poll": 0.0}, {"poll": 1})
    assert {sampler.reason_against("poll", {}) for _ in range(100)} == {SAMPLED}


def test_the_applications_own_random_numbers_stay_as_they_are() -> None:
    """Who calls random.seed() gets the same numbers with sampling as without."""
    random.seed(7)
    expected = [random.random() for _ in range(3)]
    random.seed(7)
    kept(Sampler({"a": 0.5}, {}), "a", 100)
    assert [random.random() for _ in range(3)] == expected


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"DEBUG": 0.1}, {"DEBUG": 0.1}),
        ("DEBUG=0.1, logger:urllib3=0.01", {"DEBUG": 0.1, "logger:urllib3": 0.01}),
        ('{"DEBUG": 1}', {"DEBUG": 1.0}),
        ("", {}),
    ],
)
def test_rates_are_taken_from_tables_and_texts(given: Any, taken: dict[str, float]) -> None:
    """A dict, `NAME=RATE` pairs as in an environment variable, and JSON."""
    settings, complaints = load({"sample_rates": given})
    assert (settings.sample_rates, complaints) == (taken, [])


@pytest.mark.parametrize("given", [{"DEBUG": 2}, {"DEBUG": "x"}, "DEBUG", 0.1, "{", {"a": True}])
def test_a_wrong_rate_is_a_complaint(given: Any) -> None:
    """One line that names the field; nothing is sampled then."""
    settings, complaints = load({"sample_rates": given})
    assert settings.sample_rates == {}
    assert "sample_rates" in complaints[0]
