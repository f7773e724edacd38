"""`pipeline account` as a command: what it prints, and with which status it exits."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import group
from pipeline.delivery.register import line_of

DAY = "2025-11-21.jsonl"
ADA = "ada000000000"


@pytest.fixture(autouse=True)
def _no_pipeline_of_this_machine(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path_factory.mktemp("runtime")))


def log(place: Path, *numbers: int, last: int | None) -> Path:
    """Write a day with records of one producer, and a register that says its last number."""
    opening = (
        '{{"timestamp":"2025-11-21T14:32:15.123456Z","action_type":"a","action_number":{},"producer":"{}"}}\n'
    )
    (place / DAY).write_text("".join(opening.format(number, ADA) for number in numbers))
    (place / ".pipeline").mkdir()
    (place / ".pipeline" / "ended_producers").write_bytes(line_of(ADA, last) if last else b"")
    return place


def run(*arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(group, ["account", *(str(argument) for argument in arguments)])


def test_people_see_the_sums_the_producers_and_the_verdict(tmp_path: Path) -> None:
    """A line for each place, one for each producer, and the last one says that it adds up."""
    result = run("--dir", log(tmp_path, 1, 2, 3, last=3))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[1:4] == ["producers    1", "emitted      3", "stored       3"]
    assert lines[-3].split() == [ADA, "3", "3", "0", "0", "0", "0", "0"]
    assert lines[-1] == "OK: each of 3 emitted records is accounted for, by every producer"


def test_what_does_not_balance_is_named_and_the_status_is_1(tmp_path: Path) -> None:
    """The producer, the difference, and what to do."""
    result = run("--dir", log(tmp_path, 1, 3, 3, last=4))
    assert result.exit_code == 1
    *_, what, verdict = result.stdout.splitlines()
    difference = f"{ADA}: emitted 4, accounted for 3"
    assert what.startswith(f"{difference}: 2 missing (number 2, 4), 1 stored again (number 3); `pipeline")
    assert verdict == "FAILED: 1 account does not balance"


def test_the_json_has_what_is_promised(tmp_path: Path) -> None:
    """The names are a contract; what nothing is known of is null."""
    result = run("--dir", log(tmp_path, 1, 2, last=None), "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    [one] = found.pop("producers")
    assert found == {
        "ok": False,
        "exit_code": 1,
        "log_dir": str(tmp_path),
        "emitted": 0,
        "stored": 2,
        "expired": 0,
        "queued": 0,
        "fallback": 0,
        "dropped": {},
        "quarantined": 0,
        "accepted": 0,
        "refused": {},
        "unknown": [ADA],
        "unreadable": [],
    }
    nothing = {"count": 0, "ranges": []}
    assert one == {
        "producer": ADA,
        "ok": False,
        "emitted": None,
        "source": None,
        "stored": 2,
        "expired": 0,
        "queued": 0,
        "fallback": 0,
        "dropped": {},
        "quarantined": 0,
        "accepted": 0,
        "difference": None,
        "missing": nothing,
        "repeated": nothing,
        "extra": nothing,
    }


def test_what_cannot_be_read_is_said_beside_the_difference(tmp_path: Path) -> None:
    """A directory in the place of a file holds no records, and may be why they are missing."""
    log(tmp_path, 1, last=2)
    (tmp_path / "2025-11-22.jsonl").mkdir()
    result = run("--dir", tmp_path)
    assert result.exit_code == 1
    assert "note         2025-11-22.jsonl: cannot be read" in result.stdout


def test_a_directory_that_is_nowhere_is_a_mistake(tmp_path: Path) -> None:
    """Status 2, and what to try; an empty one has nothing to account for."""
    assert run("--dir", tmp_path / "nowhere").exit_code == 2
    result = run("--dir", tmp_path)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "OK: nothing was emitted yet")
