"""`pipeline cleanup` and `pl.cleanup()`: what is beyond the limits goes now, with a pipeline or without."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.apps import Site
from support.commands import ask, call, start
from support.days import DAYS, history, site_over
from support.waiting import HANG_SEC, until

from pipeline.storage.fence import keeper_lock_of
from pipeline.verification import account, verify

NAMES = [f"{day}.jsonl" for day in DAYS]
NONE_LEAVE = {"retention_days": 0, "max_total_size_mb": 0, "min_free_mb": 0, "compression": "none"}
APP = """
    import json, os
    import pipeline
    from stage import emit, hear, say
    pl = pipeline.start_pipeline(os.environ["SITE_LOG_DIR"], **json.loads(os.environ["OPTIONS"]))
    emit("first")
    say("ready")
    while (word := hear()) not in ("end", ""):
        say("done", json.dumps(pl.cleanup(**json.loads(word))))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a history once."""
    return history(tmp_path_factory.mktemp("made") / "logs")


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Iterator[Site]:
    """Give a site over a copy of the history."""
    with site_over(made, tmp_path / "site") as found:
        yield found


def there(site: Site) -> list[str]:
    """Return the day files of the history that are there."""
    return sorted(path.name for path in site.log_dir.iterdir() if path.name.startswith("2025-"))


def test_it_tells_what_goes_and_why_and_a_dry_run_tells_it_before(site: Site) -> None:
    """In words and as JSON; a second time there is nothing to do."""
    said = call(site, "cleanup", "--dry-run", "--max-size-mb", "10KiB").stdout
    assert "would be packed" in said
    assert there(site) == NAMES
    size = sum((site.log_dir / name).stat().st_size for name in NAMES)
    answer = ask(
        site, "cleanup", PIPELINE_MAX_FILES="4", PIPELINE_COMPRESSION="none", PIPELINE_RETENTION_DAYS="0"
    )
    assert [(row["file"], row["action"], row["reason"]) for row in answer["files"]] == [
        (name, "deleted", "max_files") for name in NAMES[:2]
    ]
    assert (answer["expired"], answer["packed"], answer["stayed"], answer["dry_run"]) == (2, 0, 0, False)
    assert answer["freed_bytes"] == size - sum((site.log_dir / name).stat().st_size for name in NAMES[2:])
    said = call(site, "cleanup", "--retention", "9000d").stdout
    assert "4 packed" in said
    assert "nothing to clean up" in call(site, "cleanup", "--retention", "9000d").stdout
    assert there(site) == [f"{name}.zst" for name in NAMES[2:]]
    assert not verify(site.log_dir).findings
    assert account(site.log_dir).ok


def test_what_had_to_stay_is_told_with_exit_status_1(site: Site, tmp_path: Path) -> None:
    """A command that fails keeps its file; what is no limit, and no directory, have codes of their own."""
    env = {"PIPELINE_EXPIRY": "command", "PIPELINE_EXPIRY_COMMAND": '["false", "{path}"]'}
    result = call(site, "cleanup", "--retention", "30d", status=1, PIPELINE_COMPRESSION="none", **env)
    assert f"{NAMES[0]} stays as it is: the command for {NAMES[0]} ended with 1" in result.stderr
    assert there(site) == NAMES
    assert "is not days" in call(site, "cleanup", "--retention", "soon", status=2).stderr
    site.log_dir = tmp_path / "nothing"
    assert "no log directory" in call(site, "cleanup", status=4).stderr


def test_without_a_pipeline_the_limits_of_the_last_one_hold(site: Site) -> None:
    """What an application keeps for ever no command deletes that knows no better; who says so may."""
    app = site.app(APP, OPTIONS=json.dumps(NONE_LEAVE))
    app.expect("ready")
    until((site.log_dir / ".pipeline" / "retention.json").exists, "a note of the limits")
    app.tell("end")
    assert app.wait() == 0
    site.until_ended(HANG_SEC)
    assert ask(site, "cleanup")["files"] == []
    assert len(ask(site, "cleanup", PIPELINE_RETENTION_DAYS="30")["files"]) == len(NAMES)


def test_a_running_application_cleans_up_by_a_call(site: Site) -> None:
    """And the stream of its writer tells which files have left."""
    app = site.app(APP, OPTIONS=json.dumps(NONE_LEAVE))
    app.expect("ready")
    until(lambda: len(site.files()) > len(NAMES), "a day of the writer's")
    app.tell(json.dumps({"retention": "30d", "dry_run": True}))
    assert json.loads(app.expect("done"))["expired"] == len(NAMES)
    app.tell(json.dumps({"retention": "30d"}))
    answer = json.loads(app.expect("done"))
    assert (answer["expired"], answer["stayed"]) == (len(NAMES), 0)
    assert there(site) == []
    assert not verify(site.log_dir).findings
    assert account(site.log_dir).ok
    app.tell("end")
    assert app.wait() == 0
    site.until_ended(HANG_SEC)
    assert [record["file"] for record in site.of_type("file_expired")] == NAMES


def test_a_keeper_that_is_at_work_is_waited_for(
    site: Site, held: Callable[[Path], Callable[[], object]]
) -> None:
    """One at a time: whoever has the keeper lock."""
    lock = keeper_lock_of(site.places)
    lock.close()
    let_go = held(lock.path)
    command = start(site, "cleanup", "--retention", "30d", "--json")
    with pytest.raises(subprocess.TimeoutExpired):
        command.process.wait(2.0)
    assert there(site) == NAMES
    let_go()
    assert command.wait() == 0
    assert there(site) == []
