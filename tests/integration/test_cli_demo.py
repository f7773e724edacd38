"""`pipeline demo`: it keeps what it promises, counts what it shows, and would notice a loss."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.apps import Site
from support.commands import ask, call

from pipeline.cli import demo, group
from pipeline.cli.demonstration import outage, scanners, story, tally
from pipeline.errors import PipelineError
from pipeline.host import files
from pipeline.verification import account, verify


@pytest.mark.smoke
def test_demo_proves_its_point_on_real_input(site: Site) -> None:
    """Every file of the standard library and every request is stored, through kills that really happened."""
    numbers = ask(site, "demo")
    assert numbers["ok"]
    assert numbers["account"]["emitted"] == numbers["account"]["stored"] == numbers["verify"]["records"]
    assert all(row["is_right"] and not row["lost"] and not row["twice"] for row in numbers["producers"])
    assert [kill["target"] for kill in numbers["kills"]] == ["writer", "scanner 3", "supervisor and writer"]
    assert [len(kill["pids"]) for kill in numbers["kills"]] == [1, 1, 2]
    assert all(kill["recovery_sec"] for kill in numbers["kills"] if "writer" in kill["target"])
    victim = next(row for row in numbers["producers"] if row["name"] == "scanner 3")
    assert victim["end"] == "producer_died"
    scanned = [(record["scanner"], record["path"]) for record in site.of_type("file_scanned")]
    assert len(set(scanned)) == len(scanned)
    assert {path for _, path in scanned} < set(scanners.library_files())
    assert len(site.of_type("http_request")) > 100
    assert len(site.of_type("writer_restarted")) >= 1
    assert verify(site.log_dir).as_dict()["counts"] == {}
    site.until_ended()
    outage = numbers["outage"]
    assert 0 < outage["kept"] <= outage["replayed"]
    assert outage["accepted"] > 0
    assert "Not a directory" in outage["error"]
    assert {"append_failing", "fallback_in_use"} <= set(re.findall(r"\w+", outage["health"][1]))
    told = [record["records"] for record in site.of_type("fallback_replayed")]
    assert (
        sum(told)
        == outage["replayed"]
        == sum(row["replayed"] for row in numbers["producers"]) + own_replayed(site)
    )
    assert Path(outage["store"]).is_relative_to(site.log_dir.parent)


def own_replayed(site: Site) -> int:
    """Return how many of the replayed records are the pipeline's own."""
    lines = [
        json.loads(line) for path in site.log_dir.glob("*.r*.jsonl") for line in path.read_text().splitlines()
    ]
    return sum(1 for line in lines if line["action_type"] not in ("file_scanned", "fault_injected"))


def test_story_ends_with_a_verdict_and_what_to_try(tmp_path: Path) -> None:
    """The page names the directory, the table, the verdict and the next commands."""
    expected = stage_records(tmp_path, 3)
    rows = tally.rows(tmp_path, expected)
    page = "\n".join(story.closing(tmp_path, rows, verify(tmp_path), account(tmp_path), 1.0, is_kept=True))
    assert "OK: pipeline verify proves 5 records" in page
    assert "OK: pipeline account finds each one: 5 were emitted" in page
    assert f"$ pipeline verify --dir {tmp_path}" in page


def test_lost_record_is_noticed(tmp_path: Path) -> None:
    """With one stored record taken away the table has a loss and the demonstration has failed."""
    expected = stage_records(tmp_path, 3, leave_out=2)
    rows = tally.rows(tmp_path, expected)
    assert (rows[0].lost, rows[0].is_right) == (1, False)
    found = verify(tmp_path), account(tmp_path)
    assert not story.is_right(rows, *found)
    assert "FAILED" in "\n".join(story.closing(tmp_path, rows, *found, 1.0, is_kept=False))


def test_repeated_or_wrong_record_is_noticed(tmp_path: Path) -> None:
    """A record that is there twice, or of another file than was read, is no success."""
    expected = stage_records(tmp_path, 3)
    day = tmp_path / "2025-11-21.jsonl"
    lines = day.read_bytes().splitlines(keepends=True)
    day.write_bytes(b"".join([*lines[:3], *lines[2:]]))
    assert (tally.rows(tmp_path, expected)[0].twice, tally.rows(tmp_path, expected)[0].is_right) == (1, False)
    day.write_bytes(b"".join(lines).replace(b"/lib/1.py", b"/lib/9.py"))
    assert not tally.rows(tmp_path, expected)[0].is_right


def test_record_replayed_into_another_file_is_in_its_place(tmp_path: Path) -> None:
    """Over all files no number is missing, and within each they ascend; one that goes back is wrong."""
    expected = stage_records(tmp_path, 4)
    day, part = tmp_path / "2025-11-21.jsonl", tmp_path / "2025-11-21.r1.jsonl"
    lines = day.read_bytes().splitlines(keepends=True)
    day.write_bytes(b"".join([lines[0], *lines[3:]]))
    part.write_bytes(b"".join(lines[1:3]))
    row = tally.rows(tmp_path, expected)[0]
    assert (row.stored, row.replayed, row.is_right) == (4, 2, True)
    part.write_bytes(b"".join(reversed(lines[1:3])))
    assert not tally.rows(tmp_path, expected)[0].is_right


def test_outage_is_told_with_what_was_seen(tmp_path: Path) -> None:
    """Each number of the act is on the page."""
    seen = outage.Outage(
        store="/elsewhere/fallback.db",
        error="no such device",
        health=["ok", "degraded: fallback_in_use", "ok"],
        seconds=2.25,
        kept_after_sec=0.75,
        accepted=1234,
        kept=1240,
        replayed_after_sec=1.5,
        replayed=1250,
        parts=["2025-11-21.r1.jsonl"],
    )
    page = "\n".join(story.act("outage", {"outage": seen}))
    told = [seen.store, seen.error, *seen.health, *seen.parts]
    assert all(text in page for text in [*told, "2.2 s", "0.75 s", "1,234", "1,240", "1.50 s", "1,250"])


def test_log_directory_is_away_whole_and_comes_back_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one step where the kernel has it, else in three; putting back what is there changes nothing."""
    log_dir, elsewhere = tmp_path / "logs", tmp_path / "elsewhere"
    for directory in (log_dir, elsewhere):
        directory.mkdir()
    (log_dir / "day").write_text("records")
    for _ in range(2):
        directory = outage.LogDirectory(log_dir, elsewhere)
        directory.take_away()
        assert log_dir.is_file()
        directory.put_back()
        directory.put_back()
        assert (log_dir / "day").read_text() == "records"
        assert list(elsewhere.iterdir()) == []
        monkeypatch.setattr(files, "_RENAME_EXCHANGE", 1 << 30)


def test_directory_that_cannot_be_moved_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount point stays where it is."""
    monkeypatch.setattr(Path, "is_mount", lambda _: True)
    result = CliRunner().invoke(group, ["demo", "--dir", str(site.log_dir)])
    assert (result.exit_code, site.log_dir.exists()) == (2, False)
    assert "cannot be moved" in result.output


def test_nothing_is_left_with_no_keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the log directory nor the one of the fallback store, also when a demonstration fails."""
    monkeypatch.setattr(demo.Play, "run", fail)
    result = CliRunner().invoke(group, ["demo", "--no-keep", "--dir", str(tmp_path / "logs")])
    assert result.exit_code != 0
    assert list(tmp_path.iterdir()) == []


def fail(_play: object) -> None:
    """End a demonstration in the middle."""
    raise PipelineError("staged")


def stage_records(directory: Path, count: int, leave_out: int = 0) -> list[tally.Expected]:
    """Write what a scanner would have stored; returns what it had accepted."""
    common = '"timestamp":"2025-11-21T10:00:00.000000Z","action_type":"{}","action_number":{},"producer":"{}"'
    lines = [
        "{" + common.format("file_scanned", n, "ada") + f',"scanner":"scanner 1","path":"/lib/{n}.py"}}'
        for n in range(1, count + 1)
        if n != leave_out
    ]
    closed = common.format("producer_closed", 1, "pip")
    lines.append("{" + closed + f',"subject":"ada","role":"app","pid":1,"last_action_number":{count}}}')
    stopped = "{" + common.format("pipeline_stopped", 2, "pip") + ',"reason":"idle"}'
    text = "".join(line + "\n" for line in lines)
    text += stopped + "\n"
    (directory / "2025-11-21.jsonl").write_text(text)
    return [tally.Expected("scanner 1", count, files=[f"/lib/{n}.py" for n in range(1, count + 1)])]


def test_directory_that_is_not_empty_is_refused(site: Site) -> None:
    """It would count foreign records as its own."""
    site.log_dir.mkdir()
    (site.log_dir / "file").touch()
    result = call(site, "demo", status=2)
    assert "is not empty" in result.stderr
    assert json.dumps([path.name for path in site.log_dir.iterdir()]) == '["file"]'
