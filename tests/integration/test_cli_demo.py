"""`pipeline demo`: it keeps what it promises, counts what it shows, and would notice a loss."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.apps import Site
from support.commands import ask, call

from pipeline.cli.demonstration import scanners, story, tally
from pipeline.verification import verify


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Give a log directory with a runtime root of its own."""
    with Site(tmp_path) as found:
        yield found


@pytest.mark.smoke
def test_demo_proves_its_point_on_real_input(site: Site) -> None:
    """Every file of the standard library and every request is stored, through kills that really happened."""
    numbers = ask(site, "demo")
    assert numbers["ok"]
    assert all(row["is_right"] and not row["lost"] and not row["twice"] for row in numbers["producers"])
    assert [kill["target"] for kill in numbers["kills"]] == ["writer", "scanner 3", "supervisor and writer"]
    assert [len(kill["pids"]) for kill in numbers["kills"]] == [1, 1, 2]
    assert all(kill["recovery_sec"] for kill in numbers["kills"] if "writer" in kill["target"])
    victim = next(row for row in numbers["producers"] if row["name"] == "scanner 3")
    assert victim["end"] == "producer_died"
    scanned = [record["path"] for record in site.of_type("file_scanned")]
    assert len(set(scanned)) == len(scanned)
    assert set(scanned) < set(scanners.library_files())
    assert len(site.of_type("http_request")) > 100
    assert len(site.of_type("writer_restarted")) >= 1
    assert verify(site.log_dir).as_dict()["counts"] == {}
    site.until_ended()


def test_story_ends_with_a_verdict_and_what_to_try(tmp_path: Path) -> None:
    """The page names the directory, the table, the verdict and the next commands."""
    expected = stage_records(tmp_path, 3)
    rows = tally.rows(tmp_path, expected)
    page = "\n".join(story.closing(tmp_path, rows, verify(tmp_path), 1.0, is_kept=True))
    assert "OK: pipeline verify proves 5 records" in page
    assert f"$ pipeline verify --dir {tmp_path}" in page


def test_lost_record_is_noticed(tmp_path: Path) -> None:
    """With one stored record taken away the table has a loss and the demonstration has failed."""
    expected = stage_records(tmp_path, 3, leave_out=2)
    rows = tally.rows(tmp_path, expected)
    assert (rows[0].lost, rows[0].is_right) == (1, False)
    assert not story.is_right(rows, verify(tmp_path))
    assert "FAILED" in "\n".join(story.closing(tmp_path, rows, verify(tmp_path), 1.0, is_kept=False))


def test_repeated_or_wrong_record_is_noticed(tmp_path: Path) -> None:
    """A record that is there twice, or of another file than was read, is no success."""
    expected = stage_records(tmp_path, 3)
    day = tmp_path / "2025-11-21.jsonl"
    lines = day.read_bytes().splitlines(keepends=True)
    day.write_bytes(b"".join([*lines[:3], *lines[2:]]))
    assert (tally.rows(tmp_path, expected)[0].twice, tally.rows(tmp_path, expected)[0].is_right) == (1, False)
    day.write_bytes(b"".join(lines).replace(b"/lib/1.py", b"/lib/9.py"))
    assert not tally.rows(tmp_path, expected)[0].is_right


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
