"""The configurations that the documents give, as they give them: each loads, each key is accounted for."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.errors import SettingsError
from pipeline.settings import SETTINGS, Settings, document_of, read, reading_of
from pipeline.settings.findings import Findings
from pipeline.settings.later import LATER, OBSERVABILITY
from pipeline.settings.loading import read_origin
from pipeline.settings.settings_file import parse

FILES = Path(__file__).parent / "files"
NAMES = {row.name for row in SETTINGS}
RENAMED = {
    "queue_full_strategy.default",
    "queue_full_strategy.critical_levels",
    "queue_full_strategy.critical_strategy",
    "queue_full_strategy.critical_timeout_sec",
}
CRITICAL = ("error", "llm_error", "system_error", "tool_error")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the environment of the test run sets."""
    for row in SETTINGS:
        monkeypatch.delenv(row.env, raising=False)


def written(tmp_path: Path, content: Any, name: str = "settings.json") -> Path:
    """Write a settings file."""
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("name", [path.name for path in sorted(FILES.iterdir())])
def test_every_configuration_of_the_documents_loads_without_a_complaint(name: str) -> None:
    """As it is written, and also when strict: nothing in it is a mistake."""
    assert read({"strict": True}, FILES / name).complaints == []
    assert Findings.of_file(str(FILES / name)).complaints == []


def test_template_gives_each_of_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-210 to R-229: what has a row in the table comes into force, by whatever name."""
    found = read({}, FILES / "template.json")
    settings = found.settings
    assert settings.log_dir == "~/.tiny-claude-code/logs"
    assert (settings.enabled, settings.async_logging) == (True, True)
    assert (settings.queue_size, settings.batch_size, settings.batch_timeout_sec) == (1000, 100, 1.0)
    assert settings.queue_full_strategy == "drop_oldest"
    assert settings.critical_action_types == CRITICAL
    assert settings.critical_timeout_sec == 3.0
    assert found.ignored == ["model", "providers", "mcp_servers", "hooks"]
    assert {source.kind for source in found.sources.values()} == {"file"}


def test_every_key_of_the_template_has_an_effect_or_is_listed_as_without() -> None:
    """No key of the document's block is dropped in silence."""
    block = parse(FILES / "template.json")["logging"]
    found = read({}, FILES / "template.json")
    listed = {key.removeprefix("logging.") for key in found.without_effect}
    keys = set(block) - {"queue_full_strategy"} | RENAMED
    assert keys == listed | (keys & NAMES) | RENAMED
    assert listed.isdisjoint(NAMES)


def test_example_of_the_user_gives_what_it_sets_and_defaults_else() -> None:
    """R-231: other blocks, with their keys, are not looked at, and none of their values is kept anywhere."""
    found = read({}, FILES / "user.json")
    assert (found.settings.queue_size, found.settings.batch_size) == (2000, 50)
    assert found.settings.max_record_bytes == Settings().max_record_bytes
    assert "not-a-key" not in repr(found)


def test_minimal_configuration_is_enough() -> None:
    """R-232: everything else takes its default."""
    assert read({}, FILES / "minimal.json").settings == Settings()


def test_every_key_of_the_observability_tables_is_listed() -> None:
    """R-252 to R-266: fifteen keys, none of which has an effect yet, and none is a mistake."""
    found = read({}, FILES / "observability.toml")
    assert found.without_effect == {f"observability.{key}": why for key, why in OBSERVABILITY.items()}
    assert len(found.without_effect) == 15
    assert found.settings == Settings()


def test_words_of_the_log4j_tradition_are_known() -> None:
    """R-234 to R-238, R-142 to R-144: policy, rotation and retention are in force, the rest is listed."""
    found = read({}, FILES / "pylog.json")
    assert found.settings.queue_full_strategy == "drop_low"
    assert (found.settings.rotate_every, found.settings.max_files) == ("hour", 10)
    assert (found.settings.retention_days, found.settings.max_total_size_mb) == (30.0, 1024.0)
    assert set(found.without_effect) == {"FailoverAppender"}


@pytest.mark.parametrize(
    ("pattern", "every"),
    [
        ("%d{yyyy-MM-dd}", "day"),
        ("app-%d{yyyy-MM-dd-HH}.log", "hour"),
        ("%d{yyyyMMdd-HHmm}", "minute"),
        ("logs/%d{yyyy-MM-dd'T'HH-mm-ss}.%i.log", "second"),
        ("minute", "minute"),
    ],
)
def test_a_file_pattern_says_how_often_files_change(pattern: str, every: str) -> None:
    """Only what its finest letter is about: names are the pipeline's."""
    assert read({"file_pattern": pattern}).settings.rotate_every == every


@pytest.mark.parametrize("pattern", ["%d{yyyy}", "%d", "app.log", "", "weekly", 5])
def test_a_pattern_of_nothing_finer_than_a_month_is_told(pattern: object) -> None:
    """There is no such file; the default stays in force."""
    found = read({"file_pattern": pattern})
    assert found.settings.rotate_every == "day"
    assert len(found.complaints) == 1


@pytest.mark.parametrize(
    ("given", "days"),
    [("7d", 7.0), ("2w", 14.0), ("36h", 1.5), ("90 m", 0.0625), ("0", 0.0), (1.5, 1.5)],
)
def test_a_time_may_have_a_unit(given: object, days: float) -> None:
    """As the documents write it, and a bare number of days."""
    found = read({"retention_days": given})
    assert (found.settings.retention_days, found.complaints) == (days, [])


@pytest.mark.parametrize(("given", "mebibytes"), [("1GB", 1024.0), ("512 KiB", 0.5), ("20m", 20.0), (3, 3.0)])
def test_a_size_may_have_a_unit(given: object, mebibytes: float) -> None:
    """Of 1024 each, and a bare number of MiB."""
    found = read({"max_total_size_mb": given})
    assert (found.settings.max_total_size_mb, found.complaints) == (mebibytes, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"retention_days": "7y"},
        {"retention_days": "-1d"},
        {"max_total_size_mb": "lots"},
        {"expiry_command": ["rm"]},
    ],
)
def test_what_is_no_quantity_is_told(wrong: dict[str, object]) -> None:
    """One line, and the default."""
    found = read(wrong)
    assert (found.settings, len(found.complaints)) == (Settings(), 1)


def test_no_name_that_waits_is_in_the_table() -> None:
    """Whoever adds the row takes the line in settings/later.py away: one name is never both."""
    assert sorted(NAMES.intersection(LATER)) == []


def test_a_configuration_of_logging_is_no_settings_file_and_no_mistake(tmp_path: Path) -> None:
    """Alone, and as the `logging` block of a file: nothing of it is taken for a setting."""
    document = parse(FILES / "logging.yaml")
    for path in (FILES / "logging.yaml", written(tmp_path, {"logging": document})):
        found = read({}, path)
        assert (found.settings, found.complaints) == (Settings(), [])
        assert any(key.endswith("handlers.async_file.maxBytes") for key in found.without_effect)


def test_a_name_that_waits_can_be_a_keyword() -> None:
    """A program that follows the documents starts; what does nothing yet is known to the handle."""
    found = read({"FailoverAppender": {}})
    assert (found.settings, found.complaints) == (Settings(), [])
    assert found.without_effect == {"FailoverAppender": "a callback at the change to the fallback store"}


def test_blocks_stand_side_by_side(tmp_path: Path) -> None:
    """One file with both blocks and others."""
    content = "[logging]\nqueue_size = 7\n[observability]\nenabled = false\n[model]\nx = 1\n"
    found = read({}, written(tmp_path, content, "a.toml"))
    assert found.settings.queue_size == 7
    assert list(found.without_effect) == ["observability.enabled"]
    assert (found.ignored, found.complaints) == (["model"], [])


def test_a_typo_below_observability_is_told_with_the_nearest(tmp_path: Path) -> None:
    """By its whole path."""
    found = read({}, written(tmp_path, "[observability.metrics]\ncolection_interval = 1\n", "a.toml"))
    assert found.complaints == [
        "observability.metrics.colection_interval: no such setting. Did you mean metrics.collection_interval?"
    ]


def test_in_a_file_without_a_block_a_typo_is_told_and_a_block_of_another_program_is_not(
    tmp_path: Path,
) -> None:
    """A table that is near to no name of ours is passed over; a list that is near to one is told."""
    content = {"model": {"a": 1}, "hooks": [], "critical_action_type": ["x"], "que_size": 4}
    found = read({}, written(tmp_path, content))
    assert found.ignored == ["model", "hooks"]
    assert [line.partition(":")[0] for line in found.complaints] == ["critical_action_type", "que_size"]


def test_two_names_of_one_setting_that_differ_are_told(tmp_path: Path) -> None:
    """The later one is used; the same value twice is no mistake."""
    found = read({}, written(tmp_path, {"full_policy": "Block", "queue_full_strategy": "drop_low"}))
    assert found.settings.queue_full_strategy == "drop_low"
    assert len(found.complaints) == 1
    assert "full_policy" in found.complaints[0]
    assert (
        read({}, written(tmp_path, {"full_policy": "block", "queue_full_strategy": "block"})).complaints == []
    )


def test_another_critical_strategy_is_told(tmp_path: Path) -> None:
    """There is one; a file that asks for another would be disappointed in silence."""
    found = read({}, written(tmp_path, {"queue_full_strategy": {"critical_strategy": "drop"}}))
    assert found.complaints == [
        "critical_strategy: 'drop' is not block_with_timeout, which is what is always done"
    ]


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [("lanes", "memry", "memory"), ("queue_full_strategy", "drop_oldst", "drop_oldest"),
     ("queue_full_strategy", "discard", "Discard"), ("timezone", "Europe/Berln", "Europe/Berlin"),
     ("sigusr1", "Flush", "flush")],
)  # fmt: skip
def test_a_wrong_word_is_told_with_the_nearest(tmp_path: Path, name: str, value: str, meant: str) -> None:
    """The line ends with what was probably meant, and says in which file it stands."""
    path = written(tmp_path, {name: value})
    (line,) = read({}, path).complaints
    assert line.endswith(f"[{path}]. Did you mean {meant}?")


def test_an_error_never_quotes_a_line_of_the_file(tmp_path: Path) -> None:
    """The line that is no YAML, TOML or JSON may be the one with the secret."""
    texts = {"a.yaml": "api_key: [hunter2", "a.toml": "api_key = hunter2", "a.json": '{"api_key": hunter2}'}
    for name, text in texts.items():
        with pytest.raises(SettingsError) as caught:
            read({}, written(tmp_path, text, name))
        assert "hunter2" not in str(caught.value)
        assert "line 1" in str(caught.value)


def test_values_that_json_cannot_hold_are_told_and_never_break_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a keyword is: what the workers get can be written, and is the same when it is read."""
    monkeypatch.setenv("PIPELINE_RETRY_MAX", "\udcff")
    monkeypatch.setenv("PIPELINE_SETTINGS_FILE", "/nowhere/\udcff.toml")
    found = read({"pool": {1: 2}, "queue_size": 1 << 70, "group": b"x", "critical_action_types": {"a"},
                  "log_dir": "logs\udcff", "file_mode": "0640"})  # fmt: skip
    names = sorted(line.partition(":")[0] for line in found.complaints)
    assert names == [
        "critical_action_types",
        "group",
        "log_dir",
        "pool",
        "queue_size",
        "retry_max",
        "settings_file",
    ]
    again = reading_of(orjson.loads(orjson.dumps(document_of(found))))
    assert (again.settings, again.complaints, again.sources) == (
        found.settings,
        found.complaints,
        found.sources,
    )
    assert read_origin(again.origin, is_demanded=False).settings == found.settings
