"""
Every fail point of the library, and what has to happen so that it is reached: a case for each.

A case arms one or more points; the last one named in `spec` is the one that the case is about.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.ground import Ground, Plan

import pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.oracle import Verdict

_TRUSTED = 24  # where the control page says whether positions follow from it
_CALL = re.compile(r'failpoint\.(?:reach|is_aimed_at)\("([a-z._]+)"\)')


def names_in_source() -> set[str]:
    """Return the fail points that the installed packages have."""
    root = Path(pipeline.__file__).parents[1]
    paths = [path for package in ("pipeline", "workers") for path in (root / package).rglob("*.py")]
    return {name for path in paths for name in _CALL.findall(path.read_text("utf-8"))}


def small() -> Plan:
    """Return a main process with a thread, and a forked child, that emit steadily; many small batches."""
    settings = {"fsync_interval_sec": 0.05, "lanes": "memory", "batch_max_bytes": 16384}
    return Plan(main=[0, 1], forked=[[2]], settings=settings)


def rolling() -> Plan:
    """Return producers that fill a segment every few milliseconds."""
    return replace(small(), big_share=0.5, small_chars=4000)


def on_disk(plan: Plan) -> Plan:
    """Return the plan with disk lanes."""
    return replace(plan, settings=plan.settings | {"lanes": "disk"})


def family() -> Plan:
    """Return a main process and three forked children, so that three processes can die at one place."""
    return replace(small(), main=[0], forked=[[1], [2], [3]])


def overrun() -> Plan:
    """Return four processes that fill a small queue in no time; one record in twenty is an error."""
    settings = {"queue_max_mb": 1, "queue_full_strategy": "drop_oldest"}
    plan = replace(family(), big_share=0.5, small_chars=4000, critical_every=20, burst=4, pause_sec=0.02)
    return replace(plan, settings=plan.settings | settings)


def overrun_on_disk() -> Plan:
    """Return the same with disk lanes."""
    return on_disk(overrun())


@dataclass
class Case:
    """One fail point: the plan, who is armed, how often it kills, and what the test does meanwhile."""

    name: str
    skip: int = 0
    times: int = 3
    aim: str = "workers"
    plan: Callable[[], Plan] = small
    spec: str = ""
    """Points that come first."""
    before: Callable[[Ground], None] | None = None
    """Done while nothing runs yet."""
    during: Callable[[Ground], None] | None = None
    """Done once, while it runs."""
    poke: Callable[[Ground], None] | None = None
    """Done again and again until the point has killed often enough."""
    after: Callable[[Ground], None] | None = None
    """Done once it has."""
    at_end: bool = False
    """Reached only when the producers end."""
    starts_again: bool = False
    """Nobody is left to go on: only the next start does."""
    recovers_by: str = ""
    """What a writer has to say that it went by when it took over."""
    is_slow: bool = False
    """Left to the long run: another case shows the same place."""
    more: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    """Tells a second case of the same point from the first."""

    @property
    def id(self) -> str:
        """What the test is called."""
        return f"{self.name}{self.label}"

    def run(self, ground: Ground) -> Verdict:
        """Let the point kill as often as it should, wait until all is drained, and judge."""
        spec = ",".join(filter(None, [self.spec, f"{self.name}:{self.skip}:{self.times}"]))
        plan = replace(self.plan(), failpoint=spec, aim=self.aim, **self.more)
        if self.before is not None:
            self.before(ground)
        ground.start(plan)
        if self.during is not None:
            self.during(ground)
        if self.at_end:
            ground.until_stored(200)
            ground.ledger.stop()
        ground.until(lambda: self._has_killed(ground), f"{spec} to kill")
        if self.after is not None:
            self.after(ground)
        ground.finish(starts=self.starts_again)
        assert f"recovered by {self.recovers_by}" in ground.told(), ground.told()
        verdict = ground.check(unacknowledged_max=8 if self.aim == "producers" or self.before else 0)
        assert bool(verdict.dropped) == (self.plan in (overrun, overrun_on_disk)), verdict
        return verdict

    def _has_killed(self, ground: Ground) -> bool:
        if ground.kills(self.name) >= self.times:
            return True
        if self.poke is not None:
            self.poke(ground)
        return False


# What a test does to the files around the writer


def delete_day(ground: Ground) -> None:
    """Remove the day file once, when there is something in it that is not yet durable."""
    path = ground.day_file()
    ground.until(lambda: path.stat().st_size > 2000, "something in the day file")
    path.unlink()


def ask_for_settings(ground: Ground) -> None:
    """Have the settings read again, once records flow."""
    ground.until_stored(100)
    os.kill(ground.one("supervisor"), signal.SIGUSR2)


def add_foreign_line(ground: Ground) -> None:
    """Write into the newest day file, as a person does with `echo >>`."""
    line = f"a stranger was here {ground.kills('writer.rotate.part')} {ground.lines()}"
    if ground.day_file().stat().st_size > 2000:
        ground.foreign.add(line.encode())
        with ground.day_file().open("a") as file:
            file.write(line + "\n")


def spoil_page(ground: Ground) -> None:
    """Ruin the control page between two writers: the next one has to ask the files."""
    supervisor = ground.one("supervisor")
    ground.until_stored(200)
    os.kill(supervisor, signal.SIGSTOP)
    ground.until_killed("writer.append.partial")
    (ground.runtime_dir() / "control").write_bytes(b"")
    os.kill(supervisor, signal.SIGCONT)


def remove_runtime(ground: Ground) -> None:
    """Remove the runtime directory under load."""
    ground.until_stored(200)
    shutil.rmtree(ground.runtime_dir(), ignore_errors=True)


def leave_trusted_page(ground: Ground) -> None:
    """Kill a pipeline whose positions follow from its control page: the next one goes by that."""
    ground.start(replace(small(), main=[10, 11], forked=[[12]]))
    page = ground.runtime_dir() / "control"
    ground.until(
        lambda: page.exists() and page.read_bytes()[_TRUSTED : _TRUSTED + 1] == b"\1",
        "a control page that is trusted",
    )
    while ground.kill(""):
        pass


def leave_dead_instance(plan: Plan) -> Callable[[Ground], None]:
    """Return what lets a pipeline die and makes its lanes those of another instance."""

    def leave(ground: Ground) -> None:
        ground.start(replace(plan, main=[10, 11], forked=[[12]]))
        ground.until_stored(200)
        ground.kill("supervisor", signal.SIGSTOP)
        ground.kill("writer")
        ground.until_accepted(ground.begun() + 200)
        while ground.kill(""):
            pass
        key = ground.runtime_dir()
        other = key.name.partition("-")[0] + "-abcdef"  # the same log directory, another pid namespace
        key.rename(key.with_name(other))
        lanes = ground.log_dir / ".pipeline" / "lanes"
        (lanes / key.name).rename(lanes / other)

    return leave


def hold_workers(ground: Ground) -> None:
    """Stop writer and supervisor: nobody reads the queue any more."""
    ground.until_stored(50)
    ground.one("supervisor")
    ground.kill("supervisor", signal.SIGSTOP)
    ground.kill("writer", signal.SIGSTOP)


def let_workers_go(ground: Ground) -> None:
    """Let them go on."""
    ground.kill("writer", signal.SIGCONT)
    ground.kill("supervisor", signal.SIGCONT)


def overrun_workers(ground: Ground) -> None:
    """Stop them until segments were dropped, all but the newest; then let them tell of it."""
    hold_workers(ground)
    ground.until(lambda: _stubs(ground), "a dropped segment")
    ground.until_accepted(ground.begun() + 300)
    let_workers_go(ground)


def _stubs(ground: Ground) -> list[Path]:
    paths = [*ground.root.rglob("*.seg"), *ground.log_dir.rglob("*.seg")]
    return [path for path in paths if path.exists() and path.read_bytes()[12:13] >= b"\4"]


# Before a writer's first sync its successor asks the files, later it goes by the control page: both ways.
_BATCH_STEPS = [
    *(Case(f"writer.intent.{step}", skip=3) for step in ("before", "partial", "after")),
    *(Case(f"writer.append.{step}", skip=3) for step in ("before", "partial", "after")),
    *(Case(f"writer.commit.{step}", skip=3) for step in ("before", "after")),
    Case("writer.position.stored", skip=7),
    Case("writer.sync.begun", skip=2),
    Case("writer.sync.before", skip=2),
    Case("writer.sync.after", skip=2),
    Case("writer.sync.published", skip=2),
]

_DROPS = [
    Case("writer.take.before", skip=3),
    Case("writer.take.after", skip=3),
    Case("writer.drop.told", plan=overrun, during=overrun_workers),
    Case("writer.drop.passed", plan=overrun, during=overrun_workers, times=1),
    *(
        Case(
            f"emit.drop.{step}",
            skip=2,
            aim="producers",
            plan=plan,
            during=hold_workers,
            after=let_workers_go,
            label=label,
            is_slow=bool(label),
        )
        for step in ("drafted", "replaced")
        for plan, label in ((overrun, ""), (overrun_on_disk, "@disk"))
    ),
]

_WRITER_STEPS = [
    *(replace(case, before=leave_trusted_page, recovers_by="page") for case in _BATCH_STEPS),
    *(replace(case, label="@early", is_slow=True) for case in _BATCH_STEPS),
    Case("writer.sync.before_directory"),
    Case("writer.checkpoint.before", plan=rolling),
    Case("replace.checkpoint.json", plan=rolling),
    Case("writer.checkpoint.after", plan=rolling),
    Case("writer.release.before_unlink", plan=rolling),
    Case("writer.release.before_unlink", plan=lambda: on_disk(rolling()), label="@disk", is_slow=True),
    Case("writer.release.after_unlink", plan=rolling),
    Case("writer.release.after_unlink", plan=lambda: on_disk(rolling()), label="@disk", is_slow=True),
    Case("writer.page.created"),
    Case("writer.manifest.before"),
    Case("writer.manifest.partial", skip=1),
    Case("writer.manifest.after", skip=1),
    Case("replace.writer.json", skip=1, times=2),
    Case("writer.rotate.created", times=1),
    Case("writer.rotate.part", poke=add_foreign_line, times=2),
    Case("writer.rotate.full", times=2, more={"settings": small().settings | {"rotate_max_mb": 0.02}}),
    Case("writer.rotate.seal", times=1, more={"age_sec": 3 * 86400}, at_end=True),
    Case(
        "writer.redeliver.before", during=delete_day, times=1, more={"settings": {"fsync_interval_sec": 30}}
    ),
    Case("writer.redeliver.after", during=delete_day, times=1, more={"settings": {"fsync_interval_sec": 30}}),
]

_RECOVERY = [
    Case("writer.recover.before", spec="writer.append.partial:3", before=leave_trusted_page),
    Case("writer.recover.resumed", spec="writer.append.partial:3:2", before=leave_trusted_page, times=2),
    *(
        Case(f"writer.recover.{step}", times=times, spec="writer.append.partial:9", during=spoil_page)
        for step, times in (
            ("files", 3),
            ("distrusted", 3),
            ("mend", 3),
            ("mended", 1),
            ("looked", 3),
            ("trust", 3),
        )
    ),
    *(
        Case(
            f"writer.adopt.{step}",
            times=times,
            before=leave_dead_instance(plan),
            label=label,
            is_slow=bool(label),
        )
        for step, times in (("before_move", 2), ("moved", 2), ("after", 1))
        for plan, label in ((small(), ""), (on_disk(small()), "@disk"))
    ),
]

_LANES = [
    Case("writer.register.before", at_end=True),
    Case("writer.register.after", at_end=True),
    Case("writer.lane.before_announce", at_end=True),
    Case("writer.lane.before_remove", at_end=True),
    Case("writer.lane.directory_removed", at_end=True),
    Case(
        "writer.lane.directory_removed",
        at_end=True,
        plan=lambda: on_disk(small()),
        label="@disk",
        is_slow=True,
    ),
    Case("writer.lane.removed", at_end=True),
    Case("writer.stop.announced", at_end=True),
    Case("writer.stop.synced", at_end=True),
]

_SUPERVISOR = [
    Case("supervisor.locked", times=2),
    Case("replace.supervisor.json", times=2),
    Case("supervisor.writer_started", times=1),
    Case("supervisor.settings_published", times=1, poke=ask_for_settings),
    Case("supervisor.leave.before", times=1, at_end=True, starts_again=True),
    Case("supervisor.leave.before_remove", times=1, at_end=True, starts_again=True),
    Case("supervisor.leave.removed", times=1, at_end=True, starts_again=True),
]

_EMIT = [
    *(
        Case(f"emit.append.{step}", skip=150, aim="producers", plan=family)
        for step in ("partial", "body", "head")
    ),
    *(
        Case(f"emit.disk.{step}", skip=150, aim="producers", plan=lambda: on_disk(family()))
        for step in ("partial", "written")
    ),
    *(
        Case(
            f"emit.segment.{step}",
            skip=2,
            aim="producers",
            plan=plan,
            more={"big_share": 0.5, "small_chars": 4000},
            label=label,
            is_slow=bool(label),
        )
        for step in ("drafted", "prepared", "created", "succeeded")
        for plan, label in ((family, ""), (lambda: on_disk(family()), "@disk"))
    ),
    *(
        Case(f"emit.lane.{step}", skip=1, aim="producers", plan=family)
        for step in ("drafted", "described", "locked", "made")
    ),
    Case("emit.lane.closing", aim="producers", plan=family, at_end=True),
    *(
        Case(f"emit.rescue.{step}", aim="producers", times=2, during=remove_runtime, plan=family)
        for step in ("before", "after")
    ),
]

_ALL = [*_WRITER_STEPS, *_DROPS, *_RECOVERY, *_LANES, *_SUPERVISOR, *_EMIT]

IN_A_ROW = {"writer.append.partial", "writer.commit.before", "writer.sync.before", "writer.recover.before"}
"""Points that kill as often as the case says in the short run, too; the others once or twice."""


def shortened(case: Case) -> Case:
    """Return a case as the short run has it."""
    keeps = case.name in IN_A_ROW or case.aim == "producers"
    return case if keeps else replace(case, times=min(case.times, 2))


CASES = [shortened(case) for case in _ALL if not case.is_slow]
LONG_CASES = [replace(case, label=f"{case.label}*{case.times}") for case in _ALL]
