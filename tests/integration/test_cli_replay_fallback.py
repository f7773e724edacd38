"""`pipeline replay-fallback`: from the store into the files, whoever else is there."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.apps import Site
from support.commands import ask, call, service, start
from support.slices import DAY, A, B, are_once_and_ascending, lines, row
from support.waiting import until

from pipeline.host import files
from pipeline.storage import fallback_places
from pipeline.storage.fallback import Fallback

BIG = 200_000


class Outage:
    """A log directory, and a store with what an outage left in it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.home = site.home / "fallback"
        self.env = {"PIPELINE_FALLBACK_DIR": str(self.home)}
        self.path = self.home / fallback_places.key_of(site.log_dir) / "fallback.db"
        self.wanted: set[tuple[str, int]] = set()
        site.log_dir.mkdir()

    def put(self, producer: str, first: int, last: int, *, each: int = 1, fill: int = 100, path=None) -> None:
        """Store the records in rows of `each`."""
        store = Fallback(path or self.path, max_bytes=1 << 30, quarantine_dir=self.home)
        rows = [
            row(producer, number, min(number + each - 1, last), fill)
            for number in range(first, last + 1, each)
        ]
        store.store(rows, {})
        store.close()
        self.wanted |= {(producer, number) for number in range(first, last + 1)}

    def change(self, statement: str) -> None:
        """Change the database behind everybody's back."""
        store = Fallback(self.path, max_bytes=1 << 30, quarantine_dir=self.home)
        store.change(lambda connection: connection.execute(statement))
        store.close()

    def ask(self, *arguments: str, status: int = 0) -> dict:
        """Run the command with --json."""
        return ask(self.site, "replay-fallback", *arguments, status=status, **self.env)

    def is_replayed(self) -> bool:
        """Whether the replayed parts hold all that was put, each once."""
        return are_once_and_ascending(self.site.log_dir, self.wanted)

    def stored(self) -> list[tuple[str, int]]:
        """Return what the parts of replay hold, as far as it is of ours."""
        found = []
        for path in self.site.log_dir.glob("*.r*.jsonl"):
            for line in path.read_bytes().splitlines():
                record = json.loads(line)
                found.append((record["producer"], record["action_number"]))
        return found


@pytest.fixture
def outage(tmp_path: Path) -> Iterator[Outage]:
    """Give a log directory that was away, with a store of its own."""
    with Site(tmp_path) as site:
        yield Outage(site)


def test_without_a_pipeline_the_command_does_it(outage) -> None:
    """All rows come into the files, and the answer counts them."""
    outage.put(A, 1, 50, each=7)
    outage.put(B, 1, 3)
    page = call(outage.site, "replay-fallback", **outage.env).stdout
    assert page.startswith("53 records left the fallback store")
    assert outage.is_replayed()
    assert outage.ask()["records"] == 0
    assert call(outage.site, "replay-fallback", **outage.env).stdout == "nothing to replay\n"


def test_a_dry_run_changes_nothing(outage) -> None:
    """It says what there is, in rows, records and bytes."""
    outage.put(A, 1, 10, each=5)
    plan = outage.ask("--dry-run")
    (store,) = plan["stores"].values()
    assert (plan["records"], store["rows"], store["bytes"]) == (10, 2, len(lines(A, 1, 10)))
    assert "10 records in 2 rows" in call(outage.site, "replay-fallback", "--dry-run", **outage.env).stdout
    assert not list(outage.site.log_dir.glob("*.jsonl"))


def test_limit_and_since_leave_the_rest_for_another_time(outage) -> None:
    """What is left out stays in the store, and comes with the next call."""
    outage.put(A, 1, 30, each=2)
    outage.change("UPDATE slices SET stored_at = '2025-01-01T00:00:00.000000Z' WHERE id <= 5")
    assert outage.ask("--since", "2025-02-01", "--limit", "4")["records"] == 4
    assert outage.stored() == [(A, number) for number in range(11, 15)]
    assert outage.ask("--since", "2025-02-01T00:00:00+01:00")["records"] == 16
    assert outage.ask()["records"] == 10
    assert outage.is_replayed()
    assert (
        "no time such as"
        in call(outage.site, "replay-fallback", "--since", "yesterday", status=2, **outage.env).stderr
    )


def test_a_wrong_checksum_is_exit_status_1_and_the_rest_goes_on(outage) -> None:
    """A damaged row is kept in quarantine and named; all others are in the files."""
    outage.put(A, 1, 5)
    outage.change("UPDATE slices SET data = CAST(x'00' || data AS BLOB) WHERE id = 3")
    answer = outage.ask(status=1)
    assert (answer["quarantined"], answer["left"]) == (1, 0)
    assert outage.stored() == [(A, number) for number in (1, 2, 4, 5)]
    assert [path.name for path in (outage.site.log_dir / ".pipeline/quarantine").iterdir()]


def test_no_log_directory_is_exit_status_4_and_the_rows_stay(outage) -> None:
    """Nothing is made in the place of a directory that is away."""
    outage.put(A, 1, 5)
    outage.site.log_dir.rmdir()
    call(outage.site, "replay-fallback", status=4, **outage.env)
    assert not outage.site.log_dir.exists()
    assert outage.ask("--dry-run")["records"] == 5


def test_a_store_of_an_instance_that_is_gone_is_found(outage) -> None:
    """Every store of the log directory is replayed, into files of its own instance."""
    outage.put(A, 1, 3)
    outage.put(B, 1, 3, path=outage.path.with_name("fallback.i1a2b3c4d.db"))
    assert outage.ask()["records"] == 6
    assert sorted(path.name for path in outage.site.log_dir.glob("*.jsonl")) == [
        f"{DAY}.i1a2b3c4d.r1.jsonl",
        f"{DAY}.r1.jsonl",
    ]
    assert outage.is_replayed()


def test_two_commands_at_once_share_the_work(outage) -> None:
    """Both end well, and each record is in the files once."""
    outage.put(A, 1, 60, each=2, fill=BIG)
    commands = [start(outage.site, "replay-fallback", "--json", **outage.env) for _ in range(2)]
    assert [command.wait() for command in commands] == [0, 0]
    assert outage.is_replayed()


def test_a_killed_command_is_gone_on_from(outage) -> None:
    """Ended by kill -9 in the middle, the next call brings the rest, each record once."""
    outage.put(A, 1, 60, each=2, fill=BIG)
    command = start(outage.site, "replay-fallback", **outage.env)
    until(lambda: outage.site.log_dir.glob("*.r*.jsonl") and list(outage.site.files()), "a part")
    command.kill(signal.SIGKILL)
    outage.ask()
    assert outage.is_replayed()


def test_a_running_pipeline_does_it_by_itself(outage) -> None:
    """A service that finds a store replays it, and the command only waits for that."""
    outage.put(A, 1, 50, each=7)
    with service(outage.site, **outage.env):
        assert outage.ask()["left"] == 0
        assert sorted(outage.stored()) == sorted(outage.wanted)
        until(lambda: outage.site.of_type("fallback_replayed"), "the record of it")
        call(outage.site, "stop", **outage.env)
    (told,) = outage.site.of_type("fallback_replayed")
    assert (told["records"], told["quarantined"]) == (50, 0)


def test_a_pipeline_that_starts_in_the_middle_takes_over(outage) -> None:
    """The command steps aside for the writer, and both end well."""
    outage.put(A, 1, 120, each=1, fill=BIG)
    command = start(outage.site, "replay-fallback", "--json", **outage.env)
    until(lambda: list(outage.site.log_dir.glob("*.r*.jsonl")), "a part")
    with service(outage.site, **outage.env):
        assert command.wait() == 0
        call(outage.site, "stop", **outage.env)
    assert sorted(outage.stored()) == sorted(outage.wanted)


def test_a_store_is_found_without_settings(outage) -> None:
    """The note that the pipeline leaves beside its checkpoint leads there."""
    with service(outage.site, **outage.env):
        call(outage.site, "stop", **outage.env)
    outage.put(A, 1, 3)
    assert files.read_json(outage.site.log_dir / ".pipeline" / "fallback.json")
    assert ask(outage.site, "replay-fallback")["records"] == 3
    assert os.listdir(outage.home)
