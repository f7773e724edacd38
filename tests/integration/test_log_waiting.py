"""What `pipeline log` says of records that are not in the files yet: in the queue, in the fallback store."""

import errno
import json

from click.testing import CliRunner, Result
from support.day_files import DAY
from support.outage_rig import Disk, begun, held, run
from support.rig import Rig

from pipeline.cli import group


def shown(rig: Rig, *arguments: str, code: int | None = 0) -> Result:
    """Run the command in this process over the rig's log directory."""
    command = [
        "log",
        "--dir",
        str(rig.places.log_dir),
        "--date",
        DAY,
        "--all",
        "--format",
        "jsonl",
        *arguments,
    ]
    result = CliRunner().invoke(group, command)
    if code is not None:
        assert result.exit_code == code, (result.output, result.exception)
    return result


def tags(result: Result) -> list[int]:
    """Return the tags of the records that were shown."""
    records = [json.loads(line) for line in result.stdout.splitlines()]
    return [record["tag"] for record in records if "tag" in record]


def test_nothing_is_said_while_the_writer_keeps_up(rig: Rig) -> None:
    """Records that have just been emitted are on their way; a note about each would be noise."""
    emitter = begun(rig)
    rig.emit(emitter, 10)
    result = shown(rig)
    assert result.stderr == ""
    assert tags(result) == list(range(10))


def test_what_the_writer_has_not_written_is_told_and_shown_on_request(rig: Rig) -> None:
    """How many records wait in the queue; `--unwritten` has them too."""
    emitter = begun(rig)
    rig.kill_writer()
    for tag in range(10, 15):
        rig.emit(emitter, tag)
    rig.pass_time(5)
    result = shown(rig)
    assert "not in the files yet: 5 records in the queue" in result.stderr
    assert tags(result) == list(range(10))
    result = shown(rig, "--unwritten")
    assert result.stderr == ""
    assert sorted(tags(result)) == list(range(15))


def test_what_is_in_the_fallback_store_is_told_and_shown_on_request(rig: Rig, disk: Disk) -> None:
    """During an outage, and also while there is no log directory at all."""
    emitter = begun(rig)
    disk.refuses["write"] = errno.ENOSPC
    for tag in range(10, 17):
        rig.emit(emitter, tag)
    run(rig, 3)
    count = held(rig)
    assert count >= 7
    assert f"{count} in the fallback store" in shown(rig).stderr
    assert sorted(tags(shown(rig, "--unwritten"))) == list(range(17))
    rig.places.log_dir.rename(rig.places.log_dir.with_name("away"))
    gone = shown(rig, code=None)
    assert "no log directory" in str(gone.exception)
    assert f"{count} in the fallback store" in gone.stderr
    assert sorted(tags(shown(rig, "--unwritten"))) == list(range(10, 17))
