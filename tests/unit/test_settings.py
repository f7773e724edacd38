"""Settings: who wins, what a wrong value becomes, and what is said about it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import SETTINGS, Settings, from_dict, load, to_dict


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the environment of the test run sets."""
    for row in SETTINGS:
        monkeypatch.delenv(row.env, raising=False)


def file_of(tmp_path: Path, content: Any, name: str = "settings.json") -> Path:
    """Write a settings file."""
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_keyword_beats_environment_beats_file_beats_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The four places in their order, each tried against all weaker ones."""
    file = file_of(tmp_path, {"queue_size": 3, "batch_size": 3, "sync_timeout_sec": 3})
    monkeypatch.setenv("PIPELINE_QUEUE_SIZE", "2")
    monkeypatch.setenv("PIPELINE_BATCH_SIZE", "2")
    settings, complaints = load({"queue_size": 1}, file)
    found = (
        settings.queue_size,
        settings.batch_size,
        settings.sync_timeout_sec,
        settings.durable_timeout_sec,
    )
    assert found == (1, 2, 3, 5.0)
    assert complaints == []


@pytest.mark.parametrize("name", [row.name for row in SETTINGS])
def test_every_default_passes_its_own_check(name: str) -> None:
    """A default that could not be set would be a trap for whoever copies it into a file."""
    row = next(row for row in SETTINGS if row.name == name)
    assert row.check(row.default) == row.default


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_every_setting_can_be_given_by_its_variable(row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As text, as an environment has it."""
    text = json.dumps(row.default) if isinstance(row.default, dict) else str(row.default)
    if isinstance(row.default, tuple):
        text = ",".join(row.default)
    if row.name.endswith("_mode"):
        text = oct(row.default)
    monkeypatch.setenv(row.env, text)
    settings, complaints = load({})
    assert complaints == []
    assert getattr(settings, row.name) == row.default


WRONG = [
    ("queue_size", 0), ("queue_size", "many"), ("queue_size", 1.5), ("queue_size", True),
    ("queue_size", None),
    ("queue_size", math.inf), ("queue_size", math.nan), ("queue_size", "1e999"), ("queue_size", [1]),
    ("queue_max_mb", 0), ("queue_max_mb", -1), ("queue_max_mb", math.nan), ("queue_max_mb", "1 GB"),
    ("fsync_interval_sec", -0.1), ("fsync_interval_sec", "soon"), ("block_timeout_sec", math.inf),
    ("max_record_bytes", 1023), ("max_record_bytes", 1 << 40), ("batch_timeout_sec", 0),
    ("lanes", "ram"), ("lanes", None), ("lanes", ["memory"]),
    ("queue_full_strategy", "drop"), ("queue_full_strategy", 3), ("queue_full_strategy", ["block"]),
    ("enabled", "perhaps"), ("enabled", 2), ("enabled", None),
    ("timezone", "Mars/Olympus"), ("timezone", 5), ("timezone", None), ("timezone", "../etc/passwd"),
    ("file_mode", "rw-r--r--"), ("file_mode", 0o10000), ("file_mode", -1), ("file_mode", "999"),
    ("file_mode", 6.4),
    ("group", 5), ("log_dir", b"logs"), ("state_dir", 5),
    ("health_port", 65536), ("health_port", -1), ("health_port", "http"),
    ("critical_action_types", 5), ("critical_action_types", [1]), ("critical_action_types", {"a": 1}),
    ("pool", {"writer": 2}), ("pool", {"reader": 1}), ("pool", "{"), ("pool", 1), ("pool", "[]"),
    ("worker_memory_max_mb", 1), ("sigusr1", "restart"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{name}-{value!r}" for name, value in WRONG])
def test_a_wrong_value_is_one_line_and_its_default(name: str, value: Any) -> None:
    """
    The line names the field, the value, what is allowed and what is used.

    All else goes on as it was given.
    """
    other = "batch_size" if name != "batch_size" else "queue_size"
    settings, complaints = load({name: value, other: 7})
    assert len(complaints) == 1
    line = complaints[0]
    assert line.startswith(f"{name}: ")
    assert repr(value) in line
    assert "\n" not in line
    assert getattr(settings, name) == getattr(Settings(), name)
    assert getattr(settings, other) == 7
    allowed = line.partition(" is not ")[2].partition(";")[0]
    for word in ("invalid literal", "cannot convert", "Expecting", "unexpected", "object", "unhashable"):
        assert word not in allowed, f"that is Python's text, and no help: {allowed}"


@pytest.mark.parametrize(("name", "value"), WRONG[::4])
def test_a_wrong_value_is_an_error_when_strict(name: str, value: Any) -> None:
    """The error names the field; nothing starts on a guess."""
    with pytest.raises(SettingsError) as caught:
        load({name: value, "strict": True})
    assert caught.value.where == name
    assert not caught.value.can_retry


def test_strict_can_come_from_a_file(tmp_path: Path) -> None:
    """It is a setting like any other."""
    with pytest.raises(SettingsError):
        load({}, file_of(tmp_path, {"strict": True, "lanes": "ram"}))


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [("queue_sise", "queue_size"), ("logdir", "log_dir"), ("fsync_interval", "fsync_interval_sec"),
     ("full_polcy", "full_policy"), ("time_zone", "timezone")],
)  # fmt: skip
def test_an_unknown_name_is_told_with_the_nearest(tmp_path: Path, unknown: str, nearest: str) -> None:
    """As a keyword it is an error, as a typo in code is; in a file it is reported."""
    with pytest.raises(SettingsError, match=nearest) as caught:
        load({unknown: 1})
    assert caught.value.where == unknown
    _, complaints = load({}, file_of(tmp_path, {unknown: 1}))
    assert complaints == [f"{unknown}: no such setting. Did you mean {nearest}?"]


def test_a_name_near_to_nothing_is_told_where_to_look() -> None:
    """No guess is better than a wild one."""
    with pytest.raises(SettingsError, match=r"docs/reference/settings\.md"):
        load({"xyzzy": 1})


@pytest.mark.parametrize(
    ("word", "policy"),
    [("Discard", "drop_newest"), ("Block", "block"), ("DiscardLowLevel", "drop_low"), ("block", "block"),
     ("drop_newest", "drop_newest"), ("drop_low", "drop_low")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["queue_full_strategy", "full_policy"])
def test_both_names_of_the_policy_take_both_vocabularies(name: str, word: str, policy: str) -> None:
    """R-226 and R-234 name one thing in two ways."""
    settings, complaints = load({name: word})
    assert settings.queue_full_strategy == policy
    assert complaints == []


def test_the_table_form_of_the_strategy_is_understood(tmp_path: Path) -> None:
    """
    R-226 to R-229 write it as a table.

    Default, critical_levels, critical_strategy, critical_timeout_sec.
    """
    table = {
        "default": "block",
        "critical_levels": ["error", "llm_error", "system_error", "tool_error"],
        "critical_strategy": "block_with_timeout",
        "critical_timeout_sec": 4,
    }
    for given in (load({}, file_of(tmp_path, {"queue_full_strategy": table})), load({"full_policy": table})):
        settings, complaints = given
        assert complaints == []
        assert settings.queue_full_strategy == "block"
        assert settings.critical_action_types == ("error", "llm_error", "system_error", "tool_error")
        assert settings.critical_timeout_sec == 4.0


def test_a_wrong_word_in_the_table_form_names_the_field() -> None:
    """A typo in the table is told like one beside it."""
    settings, complaints = load({"queue_full_strategy": {"default": "drop", "critical_timeout_sec": "long"}})
    assert settings.queue_full_strategy == Settings().queue_full_strategy
    assert sorted(line.partition(":")[0] for line in complaints) == [
        "critical_timeout_sec",
        "queue_full_strategy",
    ]


@pytest.mark.parametrize("suffix", ["json", "toml"])
def test_settings_files_of_both_kinds_with_and_without_a_logging_block(tmp_path: Path, suffix: str) -> None:
    """The block `logging` of an application's file is ours; a file of our own needs none."""
    texts = {
        "json": ['{"queue_size": 5}', '{"model": {}, "logging": {"queue_size": 5}}'],
        "toml": ["queue_size = 5", "[model]\n[logging]\nqueue_size = 5"],
    }
    for text in texts[suffix]:
        settings, complaints = load({}, file_of(tmp_path, text, f"settings.{suffix}"))
        assert (settings.queue_size, complaints) == (5, [])


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.json", "{"), ("a.json", ""), ("a.json", "[1]"), ("a.json", '{"logging": 5}'), ("a.toml", "x = "),
     ("a.toml", "{}"), ("a.json", "\xff")],
)  # fmt: skip
def test_a_file_that_is_none_is_an_error_that_names_it(tmp_path: Path, name: str, text: str) -> None:
    """Somebody asked for this very file: no default can stand for it."""
    path = tmp_path / name
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError) as caught:
        load({}, path)
    assert caught.value.where == str(path)


def test_a_missing_settings_file_is_an_error(tmp_path: Path) -> None:
    """The same for one that is not there."""
    with pytest.raises(SettingsError):
        load({}, tmp_path / "none.json")


def test_settings_survive_the_way_through_a_file(tmp_path: Path) -> None:
    """The workers read what the application had in force."""
    given, _ = load(
        {"critical_action_types": ["a", "b"], "file_mode": "0640", "lanes": "disk", "pool": {"writer": 1}}
    )
    assert from_dict(json.loads(json.dumps(to_dict(given)))) == given


def test_names_of_a_newer_library_are_passed_over() -> None:
    """A worker of this version reads settings that a newer one wrote."""
    assert from_dict({**to_dict(Settings()), "of_the_future": 1}) == Settings()
