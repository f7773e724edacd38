"""The settings file: where it is found, and what its kinds hold."""

import builtins
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import SETTINGS, Settings, read, template
from pipeline.settings.findings import Findings
from pipeline.settings.settings_file import FOUND_NAMES, find, parse


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home directory of its own, and no variable."""
    for row in SETTINGS:
        monkeypatch.delenv(row.env, raising=False)
    monkeypatch.delenv("PIPELINE_SETTINGS_FILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = tmp_path / "home/.pipeline"
    path.mkdir(parents=True)
    return path


def test_file_beside_the_default_log_directory_is_found(home: Path) -> None:
    """The first of the four names that is there; none of them is none."""
    assert find() == ""
    for name in reversed(FOUND_NAMES):
        (home / name).write_text("")
        assert find() == str(home / name)


def test_variable_names_the_file_and_an_empty_one_wants_none(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes before what would be found, and a given file before both."""
    (home / "settings.toml").write_text("queue_size = 1")
    named, given = tmp_path / "named.toml", tmp_path / "given.toml"
    named.write_text("queue_size = 2")
    given.write_text("queue_size = 3")
    assert read({}).settings.queue_size == 1
    monkeypatch.setenv("PIPELINE_SETTINGS_FILE", str(named))
    assert read({}).settings.queue_size == 2
    assert read({}, given).settings.queue_size == 3
    monkeypatch.setenv("PIPELINE_SETTINGS_FILE", "")
    assert read({}).settings == Settings()


def test_working_directory_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write where a program is started must not decide where its records go."""
    for name in (*FOUND_NAMES, "pipeline.toml"):
        (tmp_path / name).write_text("{}" if name.endswith("json") else "")
    monkeypatch.chdir(tmp_path)
    assert find() == ""


@pytest.mark.parametrize("text", ["queue_size = ", None], ids=["broken", "missing"])
def test_a_found_file_that_cannot_be_read_stops_nothing_unless_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    """Nobody named it in code: it is reported as a wrong value is, and the defaults are in force."""
    path = tmp_path / "named.toml"
    if text:
        path.write_text(text)
    monkeypatch.setenv("PIPELINE_SETTINGS_FILE", str(path))
    found = read({"queue_size": 4})
    assert found.settings == Settings(queue_size=4)
    assert len(found.complaints) == 1
    assert str(path) in found.complaints[0]
    with pytest.raises(SettingsError):
        read({"strict": True})


KINDS = {
    "a.json": '{"file_mode": "0640", "pool": {"writer": 1}, "critical_action_types": ["a", "b"]}',
    "a.toml": 'file_mode = 0o640\ncritical_action_types = ["a", "b"]\n[pool]\nwriter = 1\n',
    "a.yaml": "file_mode: 0640\ncritical_action_types: [a, b]\npool:\n  writer: 1\n",
    "a.yml": "file_mode: '0640'\ncritical_action_types: a, b\npool: {writer: 1}\n",
    "A.TOML": '\ufefffile_mode = "640"\ncritical_action_types = ["a", "b"]\npool = {writer = 1}\n',
}


@pytest.mark.parametrize("name", KINDS)
def test_all_kinds_say_the_same(tmp_path: Path, name: str) -> None:
    """TOML, YAML and JSON, with the octal numbers and byte-order marks that people write."""
    path = tmp_path / name
    path.write_text(KINDS[name])
    found = read({}, path)
    assert found.complaints == []
    assert found.settings == Settings(file_mode=0o640, critical_action_types=("a", "b"))


@pytest.mark.parametrize("text", ["", "# nothing\n", "logging:\n"])
def test_yaml_with_nothing_in_it_sets_nothing(tmp_path: Path, text: str) -> None:
    """An empty file, or an empty block, is no mistake in YAML."""
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert read({}, path).settings == Settings()


def test_yaml_makes_plain_values_only(tmp_path: Path) -> None:
    """A tag that would build an object is an error, and nothing is called."""
    path = tmp_path / "a.yaml"
    path.write_text("log_dir: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(SettingsError, match="line 1"):
        parse(path)


def test_a_file_that_unfolds_without_end_is_told_in_one_short_line(tmp_path: Path) -> None:
    """References of references, and brackets in brackets: neither memory nor stack is used up."""
    path = tmp_path / "a.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path.write_text("\n".join([*lines, "queue_size: *a11", "lanes: *a11"]))
    found = read({}, path)
    assert [line.partition(":")[0] for line in found.complaints] == ["queue_size", "lanes"]
    assert max(map(len, found.complaints)) < 1000
    for name, text in {"a.toml": "x = " + "[" * 3000, "a.yaml": f"x: {'[' * 700}{']' * 700}"}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(SettingsError):
            read({}, tmp_path / name)


def test_yaml_without_its_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, with the command; TOML goes on without it."""
    there = builtins.__import__

    def missing(name: str, *more: Any, **how: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return there(name, *more, **how)

    monkeypatch.setattr(builtins, "__import__", missing)
    path = tmp_path / "a.yaml"
    path.write_text("queue_size: 5")
    with pytest.raises(SettingsError, match=r"pip install 'lossless-pipeline\[yaml\]'"):
        read({}, path)
    assert "pip install" in Findings.of_file(str(path)).complaints[0]


def test_sources_say_where_each_value_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keyword, variable, file; what is not there has its default, also where a value was wrong."""
    path = tmp_path / "a.toml"
    path.write_text('queue_size = 1\nbatch_size = 1\nretry_max = 1\nlanes = "ram"')
    monkeypatch.setenv("PIPELINE_QUEUE_SIZE", "2")
    monkeypatch.setenv("PIPELINE_BATCH_SIZE", "2")
    found = read({"full_policy": "Block", "queue_size": 3}, path)
    assert {name: tuple(source) for name, source in found.sources.items()} == {
        "retry_max": ("file", str(path)),
        "batch_size": ("environment", "PIPELINE_BATCH_SIZE"),
        "queue_size": ("keyword", "queue_size"),
        "queue_full_strategy": ("keyword", "queue_full_strategy"),
    }


@pytest.mark.parametrize("suffix", template.SUFFIXES)
def test_file_to_begin_from_sets_nothing_and_holds_everything(tmp_path: Path, suffix: str) -> None:
    """As it is, nothing is set; with every comment sign before a name taken away, every default is."""
    text = template.commented(suffix)
    path = tmp_path / f"a{suffix}"
    path.write_text(text)
    assert read({}, path).sources == {}
    names = tuple(f"# {row.name}{mark}" for row in SETTINGS for mark in (" = ", ": "))
    lines = [line.removeprefix("# ") if line.startswith(names) else line for line in text.splitlines()]
    path.write_text("\n".join(lines))
    found = read({}, path)
    assert found.complaints == []
    assert set(found.sources) == {row.name for row in SETTINGS}
    assert found.settings == Settings()


def test_environment_is_checked_for_names_that_are_nearly_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo is found; what a build system calls PIPELINE_ is not ours, and what waits is known."""
    monkeypatch.setenv("PIPELINE_QUEUE_SISE", "1")
    monkeypatch.setenv("PIPELINE_WORKSPACE", "agent")
    monkeypatch.setenv("PIPELINE_RETENTION_DAYS", "3")
    found = [line for line in Findings.of_environment().complaints if "TEST" not in line]
    assert found == ["PIPELINE_QUEUE_SISE: no such setting. Did you mean PIPELINE_QUEUE_SIZE?"]


def test_paths_outside_of_a_pipeline_come_from_environment_and_found_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands and attach() look where the file says; a file that is broken is no answer, and no error."""
    from pipeline.settings import given_outside

    assert given_outside("log_dir") == ""
    (home / "settings.toml").write_text('[logging]\nlog_dir = "/var/log/app"\nstate_dir = 5\n')
    assert given_outside("log_dir") == "/var/log/app"
    assert given_outside("state_dir") == ""
    monkeypatch.setenv("PIPELINE_LOG_DIR", "here")
    assert given_outside("log_dir") == "here"
    monkeypatch.delenv("PIPELINE_LOG_DIR")
    (home / "settings.toml").write_text("[")
    assert given_outside("log_dir") == ""
    assert os.path.isfile(find())
