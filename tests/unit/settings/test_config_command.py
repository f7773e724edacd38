"""`pipeline config`: what it shows, what it finds, and the file that it writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import group, guarded
from pipeline.settings import SETTINGS, read

FILES = Path(__file__).parent / "files"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Give the command: called with arguments, it returns exit status, output and errors."""
    for row in SETTINGS:
        monkeypatch.delenv(row.env, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PIPELINE_SETTINGS_FILE", raising=False)
    monkeypatch.setenv("PIPELINE_LOG_DIR", str(tmp_path / "logs"))
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path))

    def call(*arguments: str) -> tuple[int, str, str]:
        command = ["config", *map(str, arguments)]
        status = guarded(lambda: group.main(command, prog_name="pipeline", standalone_mode=False))
        out, err = capsys.readouterr()
        return int(status), out, err

    return call


def test_show_names_every_setting_its_value_and_where_it_came_from(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a person, and for a script; nothing runs here, so it is what a pipeline would have."""
    file = tmp_path / "a.toml"
    file.write_text('file_mode = "0640"\nretry_max = 3\nlanes = "ram"\n')
    monkeypatch.setenv("PIPELINE_RETRY_MAX", "4")
    status, out, err = config("show", "--settings-file", file)
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert (status, set(rows)) == (0, {row.name for row in SETTINGS})
    assert rows["file_mode"] == ["0640", "file", str(file)]
    assert rows["retry_max"] == ["4", "environment", "PIPELINE_RETRY_MAX"]
    assert rows["queue_size"] == ["10000", "default"]
    assert "Warning: lanes: 'ram'" in err
    document = json.loads(config("show", "--settings-file", file, "--json", "retry_max")[1])
    assert document["settings"] == {
        "retry_max": {"value": 4, "default": 5, "source": "environment", "where": "PIPELINE_RETRY_MAX",
                      "unit": "retries", "taken_at": "reload"},
    }  # fmt: skip
    assert (document["running"], document["file"], len(document["complaints"])) == (False, str(file), 1)


def test_show_keeps_a_secret_to_itself(config: Any, tmp_path: Path) -> None:
    """That it is set is told, in every form; what it is never is."""
    file = tmp_path / "a.toml"
    file.write_text('mask_hash_key = "hunter2"\n')
    for form in ([], ["--json"], ["--changed"]):
        out = "".join(config("show", "--settings-file", file, *form)[1:])
        assert "(not shown)" in out
        assert "hunter2" not in out


def test_show_can_be_narrowed_and_a_name_that_is_none_is_told(config: Any, tmp_path: Path) -> None:
    """What is not at its default; some names; a typo."""
    file = tmp_path / "a.toml"
    file.write_text("retry_max = 3\nbatch_size = 100\n")
    changed = config("show", "--changed", "--settings-file", file)[1].splitlines()
    assert [line.split()[0] for line in changed] == ["log_dir", "retry_max"]
    assert len(config("show", "lanes", "pool")[1].splitlines()) == 2
    status, _, err = config("show", "lane")
    assert status == 2
    assert "Did you mean lanes?" in err


@pytest.mark.parametrize("name", [path.name for path in sorted(FILES.iterdir())])
def test_check_has_nothing_against_the_documents_files(config: Any, name: str) -> None:
    """Exit status 0; what has no effect yet is listed."""
    status, out, _ = config("check", FILES / name)
    assert status == 0
    assert "everything can be used" in out
    assert ("without effect yet" in out) == bool(read({}, FILES / name).without_effect)


@pytest.mark.parametrize("text", ["lanes = 'ram'\n", "queue_sise = 1\n", "x = ", "strict = true\nlanes = 1"])
def test_check_ends_with_1_where_something_cannot_be_used(config: Any, tmp_path: Path, text: str) -> None:
    """A wrong value, an unknown name, a file that is none; strict makes no difference."""
    file = tmp_path / "a.toml"
    file.write_text(text)
    status, out, _ = config("check", file)
    assert status == 1
    assert "1 cannot be used" in out
    status, out, _ = config("check", file, "--json")
    assert (status, len(json.loads(out)["findings"])) == (1, 1)


def test_check_without_a_file_looks_where_an_application_would(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that is found, and the environment, also where that says strict."""
    assert config("init")[0] == 0
    found = tmp_path / ".pipeline/settings.toml"
    assert f"{found}: everything can be used" in config("check")[1]
    found.write_text("lanes = 'ram'")
    monkeypatch.setenv("PIPELINE_RETRY_MAX", "many")
    monkeypatch.setenv("PIPELINE_STRICT", "1")
    status, out, _ = config("check")
    assert status == 1
    assert "lanes: " in out
    assert "[PIPELINE_RETRY_MAX]" in out


def test_init_writes_over_nothing_and_only_what_has_comments(config: Any, tmp_path: Path) -> None:
    """A file that is there stays; JSON is refused with what to do; `-` prints."""
    file = tmp_path / "new/a.yaml"
    assert config("init", file)[0] == 0
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("queue_size: 5")
    assert config("init", file)[0] == 2
    assert file.read_text() == "queue_size: 5"
    assert config("init", file, "--force")[0] == 0
    assert "# queue_size: 10000" in file.read_text()
    status, _, err = config("init", tmp_path / "a.json")
    assert (status, "Try: " in err, (tmp_path / "a.json").exists()) == (2, True, False)
    assert "# queue_size = 10000" in config("init", "-")[1]
