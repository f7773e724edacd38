"""`pipeline repair`: after it, verify says what is not proven; after --accept, that all is well again."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support import forgery
from support.apps import Site
from support.archive import DAYS, at_rest
from support.commands import ask, call
from support.rig import Rig

from pipeline.cli import group, repair
from pipeline.verification import current_head, parse_heads, verify

FIRST, MIDDLE, LAST = DAYS
REBUILT = "rebuilt by pipeline repair from what the file had then"
HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
input()
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give three days and their manifests; never to be changed."""
    return at_rest(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def logs(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of the archive; no pipeline is started over it to tell of the repair."""
    (tmp_path / "memory").mkdir()
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path / "memory"))
    monkeypatch.setattr(repair, "_record", lambda *_: None)
    return Path(shutil.copytree(archive, tmp_path / "logs"))


def run(logs: Path, *arguments: str) -> Result:
    """Run the command in this process."""
    result = CliRunner().invoke(group, ["repair", "--dir", str(logs), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def remove_manifests(day: Path) -> None:
    """Remove all manifests, and leave the catalog."""
    shutil.rmtree(day.parent / ".pipeline" / "manifests")


def forget_everything(day: Path) -> None:
    """Make the files what they were before there were manifests."""
    shutil.rmtree(day.parent / ".pipeline")
    (day.parent / "metadata.json").unlink()


def scribble(day: Path) -> None:
    """Write into a manifest what is no entry."""
    path = forgery.manifest_of(day)
    path.write_bytes(b"hello\n" + path.read_bytes())


WITHOUT_LOSS = [
    forgery.flip_bit,
    forgery.forge_entry,
    forgery.delete_entry,
    remove_manifests,
    forget_everything,
    scribble,
]
WITH_LOSS = [forgery.delete_line, forgery.delete_tail, forgery.remove_file, forgery.remove_day]


@pytest.mark.parametrize("damage", [*WITHOUT_LOSS, *WITH_LOSS], ids=lambda damage: damage.__name__)
def test_what_is_repaired_is_not_proven_until_it_is_accepted(
    logs: Path, damage: Callable[[Path], None]
) -> None:
    """Manifests and files agree again; a loss stays a finding, and is one that was accepted in the end."""
    damage(logs / MIDDLE)
    stored = {path.name: path.read_bytes() for path in logs.glob("*.jsonl")}
    run(logs)
    report = verify(logs, is_full=True)
    is_loss = damage in WITH_LOSS
    assert {finding.kind.value for finding in report.findings} == ({"missing"} if is_loss else set())
    has_rebuilt = (logs / MIDDLE).exists() and damage is not scribble
    assert {part.why for part in report.unproven} == ({REBUILT} if has_rebuilt else set())
    run(logs, "--accept")
    report = verify(logs, is_full=True)
    assert (report.findings, report.unproven) == ((), ())
    assert {path.name: path.read_bytes() for path in logs.glob("*.jsonl")} == stored
    assert verify(logs, kept_heads=parse_heads(current_head(logs))).ok


def test_nothing_to_repair_changes_nothing(logs: Path) -> None:
    """A whole directory stays as it is, to the byte."""
    before = {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()}
    assert "nothing to repair" in run(logs).output
    after = {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()}
    assert {path: data for path, data in after.items() if path.suffix != ".lock"} == {
        path: data for path, data in before.items() if path.suffix != ".lock"
    }


def test_dry_run_says_what_would_be_done_and_does_nothing(logs: Path) -> None:
    """The report of the damage stays as it is."""
    forgery.flip_bit(logs / MIDDLE)
    before = verify(logs).as_dict()
    answer = json.loads(run(logs, "--dry-run", "--json").output)
    assert answer["rebuilt_bytes"] > 0
    assert answer["entries_out_of_force"] == 1
    assert verify(logs).as_dict() == before


def test_torn_tail_goes_to_quarantine(logs: Path) -> None:
    """Half a line that nobody will finish is cut, and kept."""
    with (logs / LAST).open("ab") as file:
        file.write(b'{"timestamp":"2025')
    assert verify(logs).counts == {"torn": 1}
    whole = (logs / LAST).read_bytes()
    run(logs)
    assert verify(logs).ok
    assert (logs / LAST).read_bytes() == whole[:-18]
    (kept,) = (logs / ".pipeline" / "quarantine").iterdir()
    assert kept.read_bytes() == b'{"timestamp":"2025'


def test_writer_goes_on_behind_a_repair(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain goes on, and what is written then is proven."""
    forgery.delete_entry(logs / LAST)
    run(logs)
    rig = Rig()
    try:
        shutil.rmtree(rig.places.log_dir, ignore_errors=True)
        shutil.copytree(logs, rig.places.log_dir)
        rig.pass_time(2 * 86_400)
        producer = rig.producer()
        for tag in range(30):
            rig.emit(producer, tag)
        rig.close_producer(producer)
        rig.drain()
        rig.writer.stop_own_lane("stopped")
        report = verify(rig.places.log_dir)
        assert report.findings == ()
        assert report.proven_bytes > verify(logs).proven_bytes
    finally:
        rig.close()


def test_command_refuses_while_somebody_may_append_and_tells_the_stream_of_a_repair(
    archive: Path, tmp_path: Path
) -> None:
    """As a process of its own, with the append lock or the keeper's held by another one, and then free."""
    with Site(tmp_path / "site") as site:
        shutil.copytree(archive, site.log_dir, dirs_exist_ok=True)
        forgery.flip_bit(site.log_dir / MIDDLE)
        for lock in ("append.lock", "keeper.lock"):
            holder = subprocess.Popen(
                [sys.executable, "-c", HOLDER, str(site.log_dir / ".pipeline" / lock)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert holder.stdout.readline() == b"held\n"
            refused = call(site, "repair", status=4)
            assert "a pipeline runs over this directory" in refused.stderr
            holder.communicate(b"\n")
        answer = ask(site, "repair", PIPELINE_RETENTION_DAYS="0", PIPELINE_COMPRESSION="none")
        assert answer["entries_out_of_force"] == 1
        site.until_ended(30)
        (record,) = site.of_type("repaired")
        assert record["rebuilt_bytes"] == answer["rebuilt_bytes"] > 0
        report = ask(site, "verify")
        assert sum(part["length"] for part in report["unproven"]) == answer["rebuilt_bytes"]
