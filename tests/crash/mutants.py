"""
Mutants: the library with one mistake each, and the test that has to turn red for it.

By hand: `python tests/crash/mutants.py` runs them all and prints a table; names as arguments run some. Each
mutant is a textual replacement in a copy of both packages, which then stands first on the path of the test
and of everything it starts. A mutant that no test turns red says that the suite proves nothing about that
line.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mutants_of_accounts import ACCOUNTS
from mutants_of_drops import DROPS
from mutants_of_faults import FAULTS
from mutants_of_keeping import KEEPING
from mutants_of_packing import PACKING
from mutants_of_retention import RETENTION
from mutants_of_simulation import COMBINATIONS
from mutants_of_volumes import VOLUMES

import pipeline

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "workers")
HANG_SEC = 20
_POINT = "test_fail_points.py::test_a_kill_at_this_point_loses_and_repeats_nothing"
_REPLAY = "test_replay_killed.py::test_a_kill_at_this_point_of_a_replay_loses_and_repeats_nothing"
_RELOADS = "../integration/test_reloading.py"
_R = "pipeline/delivery/replay.py"
_SYNC_LOOP = """\
        for file in list(self.days.open.values()):
            if file.name in self._unsynced:"""
_CHECKPOINT = "self.checkpoint.store(self.page.committed, self.days, self.lanes.all())"
_BODY = "            view[start : start + size] = line\n"
_HEAD = "            words[HEAD_WORD] = word + size + ONE_RECORD\n"
_ORDER = "test_sync_order.py::test_a_segment_is_unlinked_only_after_the_file_and_its_directory_were_synced"


@dataclass(frozen=True)
class Mutant:
    """One mistake, and the test that is red for it."""

    name: str
    test: str
    edits: tuple[tuple[str, str, str], ...]
    """(file, what stands there once, what a mistaken library has there)."""


MUTANTS = [
    Mutant(
        "settings read in the supervisor's loop",
        f"{_RELOADS}::test_a_file_that_hangs_stops_nobody",
        (
            (
                "workers/rereading.py",
                'threading.Thread(target=self._work, name="settings", daemon=True).start()',
                "self._work()",
            ),
        ),
    ),
    Mutant(
        "refused settings published",
        f"{_RELOADS}::test_a_file_that_cannot_be_used_changes_nothing_until_it_is_mended",
        (("pipeline/settings/reloading.py", "    if refused:\n", "    if False:\n"),),
    ),
    Mutant(
        "no tail comparison on resume",
        f"{_POINT}[writer.recover.resumed]",
        (
            ("pipeline/delivery/pump.py", "if not source.startswith(there):", "if False:"),
            ("pipeline/delivery/pump.py", "[source[len(there) :]]", "[source]"),
        ),
    ),
    Mutant(
        "open intent taken for done",
        f"{_POINT}[writer.recover.before]",
        (("pipeline/delivery/pump.py", "[source[len(there) :]]", '[b""]'),),
    ),
    Mutant(
        "half line not completed",
        f"{_POINT}[writer.recover.trust]",
        (("pipeline/delivery/recovery.py", "        mend_tail(pump, name, found)", "        pass"),),
    ),
    Mutant(
        "files not asked after a lost page",
        f"{_POINT}[writer.recover.trust]",
        (
            (
                "pipeline/queue/tailer.py",
                "        self.stored = numbers or None\n",
                "        self.stored = None\n",
            ),
        ),
    ),
    Mutant(
        "last intent not applied at a start",
        f"{_POINT}[writer.commit.after]",
        (("pipeline/delivery/recovery.py", "        pump.advance(last.settled())\n", ""),),
    ),
    Mutant(
        "intent after append",
        f"{_POINT}[writer.append.after]",
        (
            (
                "pipeline/delivery/pump.py",
                "        self.page.propose(intent)\n        self.days.manifests",
                "        self.days.manifests",
            ),
            (
                "pipeline/delivery/pump.py",
                "        self.page.commit(intent.batch)\n",
                "        self.page.propose(intent)\n        self.page.commit(intent.batch)\n",
            ),
        ),
    ),
    Mutant(
        "commit before append",
        f"{_POINT}[writer.append.before]",
        (
            ("pipeline/delivery/pump.py", "        self.page.commit(intent.batch)\n", ""),
            (
                "pipeline/delivery/pump.py",
                '        failpoint.reach("writer.append.before")\n',
                '        self.page.commit(intent.batch)\n        failpoint.reach("writer.append.before")\n',
            ),
            # Without this the mistake is found by the length of the file, and put right.
            (
                "pipeline/delivery/recovery.py",
                "if file is None or file.actual_size() < last.offset + last.length:",
                "if file is None:",
            ),
        ),
    ),
    Mutant(
        "position stored before the intent",
        f"{_POINT}[writer.intent.before]",
        (
            (
                "pipeline/delivery/pump.py",
                "        self.page.propose(intent)\n        self.days",
                "        self._advance(slices)\n        self.page.propose(intent)\n        self.days",
            ),
        ),
    ),
    Mutant(
        "what a deleted file held is not written again",
        "test_files_changed.py::test_a_day_file_that_is_deleted_loses_only_what_was_durable_in_it",
        (("pipeline/delivery/pump.py", "        self._lost[:0] = lost\n", ""),),
    ),
    Mutant(
        "no fsync",
        f"{_ORDER}[memory]",
        (("pipeline/storage/day_file.py", "        os.fsync(self.fd)\n", ""),),
    ),
    Mutant(
        "no directory fsync",
        f"{_ORDER}[memory]",
        (("pipeline/storage/day_file.py", "files.sync_directory(self.path.parent)", "pass"),),
    ),
    Mutant(
        "directory synced by the file's creator only",
        f"{_ORDER}[disk-creator-killed]",
        (
            (
                "pipeline/storage/day_file.py",
                "self.needs_directory_sync = True",
                "self.needs_directory_sync = self.is_new",
            ),
        ),
    ),
    Mutant(
        "checkpoint before data",
        f"{_ORDER}[memory]",
        (
            ("pipeline/delivery/pump.py", _SYNC_LOOP, f"        {_CHECKPOINT}\n{_SYNC_LOOP}"),
            ("pipeline/delivery/pump.py", f"is_safe = {_CHECKPOINT}", "is_safe = True"),
        ),
    ),
    Mutant(
        "release before durable",
        f"{_ORDER}[memory]",
        (
            ("pipeline/queue/tailer.py", "self.durable >= position", "self.written >= position"),
            ("pipeline/delivery/pump.py", _SYNC_LOOP, f"        self._release()\n{_SYNC_LOOP}"),
        ),
    ),
    Mutant(
        "head before body",
        f"{_POINT}[emit.append.head]",
        (("pipeline/queue/fastpath.py", _BODY + _HEAD, _HEAD + _BODY),),
    ),
    Mutant(
        "half a line of a disk lane committed",
        f"{_POINT}[emit.disk.partial]",
        (("pipeline/queue/opened.py", "end = known + newline + 1", "end = known + len(piece)"),),
    ),
    Mutant(
        "number not derived from the head",
        f"{_POINT}[emit.segment.created]",
        (
            (
                "pipeline/queue/appender.py",
                "        return self._base + (segment.words[HEAD_WORD] >> OFFSET_BITS",
                "        return self._base + 1 + (segment.words[HEAD_WORD] >> OFFSET_BITS",
            ),
        ),
    ),
    Mutant(
        "liveness ignored",
        "test_stopped_processes.py::test_a_stopped_producer_keeps_its_lane",
        (
            (
                "pipeline/queue/lanes.py",
                "if self._is_own(lane.producer) or lane.is_locked():",
                "if self._is_own(lane.producer):",
            ),
        ),
    ),
    Mutant(
        "end of a producer not told",
        f"{_POINT}[writer.lane.before_announce]",
        (("workers/finisher.py", "if not self._writer.announcer.ended(lane):", "if False:"),),
    ),
    Mutant(
        "removed segment not rescued",
        "test_files_changed.py::test_a_queue_that_is_removed_while_nobody_writes_is_rescued_by_its_producers",
        (
            (
                "pipeline/queue/appender.py",
                "        if self._is_displaced():\n            self._rescue()\n",
                "",
            ),
        ),
    ),
    Mutant(
        "append lock ignored",
        "test_stopped_processes.py::test_two_pipelines_over_one_log_directory_append_one_after_the_other",
        (("pipeline/storage/fence.py", "if not lock.try_acquire():", "if False:"),),
    ),
    *(Mutant(name, test, ((file, old, new),)) for name, test, file, old, new in DROPS),
    Mutant(
        "append before its claim",
        f"{_REPLAY}[replay.appended]",
        ((_R, "put_claim(connection, claim))\n", "claims(connection) and None)\n"),),
    ),
    Mutant(
        "claim not compared with the part",
        f"{_REPLAY}[replay.append.partial]",
        ((_R, "part.append(expected[len(there) :])", "part.append(expected)"),),
    ),
    Mutant(
        "claims not settled at a start",
        f"{_REPLAY}[replay.synced]",
        ((_R, "            self._settle(claim)\n", "            pass\n"),),
    ),
    Mutant(
        "rows removed before they are appended",
        f"{_REPLAY}[replay.append.partial]",
        (
            (
                _R,
                "        part.append(data)\n",
                (
                    "        self._fallback.change(lambda c: fallback_rows.remove(c, rows, claim.part))\n"
                    "        part.append(data)\n"
                ),
            ),
        ),
    ),
    Mutant(
        "failed fsync of a part forgotten",
        "../unit/test_replay.py::test_after_a_failed_fsync_the_piece_goes_to_another_part",
        ((_R, "            self._leave(part, claim)\n", "            pass\n"),),
    ),
    Mutant(
        "rows removed without a sync",
        "../unit/test_replay.py::test_after_a_failed_fsync_the_piece_goes_to_another_part",
        ((_R, "            part.sync()\n        except", "            pass\n        except"),),
    ),
    Mutant(
        "damaged row replayed",
        "../unit/test_replay.py::test_a_damaged_row_goes_to_quarantine_and_the_rest_goes_on",
        ((_R, "            if not row.is_whole():", "            if False:"),),
    ),
    Mutant(
        "order within a part not kept",
        "../unit/test_replay.py::test_what_would_go_back_begins_another_part",
        (
            (_R, "        if row.first <= last.get(row.producer, 0):", "        if False:"),
            (_R, " or _goes_back(part, first):", ":"),
        ),
    ),
    Mutant(
        "two processes replay one store",
        "../integration/test_cli_replay_fallback.py::test_two_commands_at_once_share_the_work",
        ((_R, "if not self._lock.try_acquire():", "if False:"),),
    ),
    Mutant(
        "positions committed before the rows",
        "test_replay_killed.py::test_a_kill_around_a_commit_keeps_all_of_it_or_nothing",
        (
            (
                "pipeline/storage/fallback.py",
                "        self.change(work)\n        self._positions.update",
                (
                    "        self.change(lambda c: fallback_tables.put_positions(c, positions))\n"
                    "        self.change(work)\n        self._positions.update"
                ),
            ),
        ),
    ),
    Mutant(
        "removed store not noticed",
        "../unit/test_fallback_store.py::test_a_removed_database_is_made_again_with_all_that_was_in_it",
        (("pipeline/storage/fallback_file.py", "return self._found() != self._identities", "return False"),),
    ),
    *(Mutant(*row) for row in (*FAULTS, *COMBINATIONS, *ACCOUNTS, *KEEPING, *PACKING, *RETENTION, *VOLUMES)),
]


def copy_packages(target: Path) -> None:
    """Copy both packages as they are installed."""
    source = Path(pipeline.__file__).parents[1]
    for package in PACKAGES:
        shutil.copytree(source / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))


def apply(mutant: Mutant, target: Path) -> None:
    """Make the mistake; AssertionError when the library no longer has the text that it replaces."""
    for name, old, new in mutant.edits:
        path = target / name
        text = path.read_text("utf-8")
        assert text.count(old) == 1, f"{mutant.name}: {name} has {text.count(old)} times: {old!r}"
        path.write_text(text.replace(old, new), "utf-8")


def run(mutant: Mutant) -> tuple[bool, str]:
    """Run the mutant's test on the mutant; (whether it turned red, what it said)."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as home:
        copy = Path(home)
        copy_packages(copy)
        apply(mutant, copy)
        command = [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-o",
                "addopts=--import-mode=importlib",
            ),
            *("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "--basetemp", str(copy / "tmp")),
            str(ROOT / "tests" / "crash" / mutant.test),
        ]
        env = os.environ | {"PYTHONPATH": str(copy), "CRASH_HANG_SEC": str(HANG_SEC)}
        done = subprocess.run(
            command, cwd=copy, env=env, capture_output=True, text=True, timeout=600, check=False
        )
    text = done.stdout + done.stderr
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{mutant.name}: pytest ended with {done.returncode}\n{text[-3000:]}")
    said = re.search(r"^E +(?:\w*Error: )?(.{1,110})", text, re.MULTILINE)
    return done.returncode == 1, said[1] if said else ""


def main(names: list[str]) -> int:
    """Run mutants and print what each turned red."""
    survivors = 0
    print(f"{'mutant':45} {'red':4} test — what it said")
    for mutant in MUTANTS:
        if names and not any(name in mutant.name for name in names):
            continue
        is_red, said = run(mutant)
        survivors += not is_red
        test = mutant.test.rpartition("::")[2]
        print(f"{mutant.name:45} {'yes' if is_red else 'NO':4} {test} — {said}", flush=True)
    print(f"{survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
