"""Two pipelines, each in a pid namespace of its own, that write in one directory and both keep its limits."""

import json
import os
import sys
from contextlib import suppress

import pytest
from support.apps import App
from support.obeying import OBEYING, StateSite, emits, flushes
from support.waiting import until

from pipeline.storage import naming
from pipeline.verification import account, verify

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]
PATIENCE_SEC = 150.0
QUIET = {"retention_days": 0, "max_total_size_mb": 0, "min_free_mb": 0, "compression": "none"}
IN_A_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def inside(site: StateSite, **options: object) -> App:
    """Start an application that does as it is told, in a namespace of its own."""
    command = [*IN_A_NAMESPACE, sys.executable, str(site.script(OBEYING))]
    app = site.command(command, SITE_OPTIONS=json.dumps(QUIET | options))
    app.expect("ready")
    return app


def expired(site: StateSite) -> dict[str, list[str]]:
    """Return the names of files that have left, by instance."""
    found: dict[str, list[str]] = {"": []}
    for name in verify(site.log_dir).expired:
        found.setdefault(naming.parse(name).instance, []).append(name)
    return found


def open_files(site: StateSite) -> set[str]:
    """Return the day files that writers have open."""
    found = set()
    for pid in site.workers("writer"):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.add(os.path.basename(os.readlink(f"/proc/{pid}/fd/{fd}")))
    return {name for name in found if naming.parse(name.removesuffix(" (deleted)"))}


@pytest.mark.parametrize("limit", [{"max_files": 6}, {"max_total_size_mb": 0.1}], ids=["number", "size"])
def test_two_that_keep_the_same_limit_keep_the_newest_of_both_together(
    state_site: StateSite, limit: dict[str, float]
) -> None:
    """Each lets its own go, none that is in use, and none in place of one that the other has yet to take."""
    apps = [inside(state_site, rotate_max_mb=0.02, **limit) for _ in range(2)]
    for turn in range(2):
        for _ in range(10):
            for app in apps:
                assert emits(app, f"x{turn}", 30, 500) == 30
                flushes(app)
        before = sorted(state_site.files(), key=lambda path: path.stat().st_mtime_ns)
        until(lambda: is_kept(state_site, limit), "room", PATIENCE_SEC)
        used = open_files(state_site)
        there = {path.name for path in state_site.files()}
        assert used <= there
        assert {naming.parse(name).instance for name in used} == set(expired(state_site))
        sealed = [path.name for path in before if path.name not in used]
        assert sorted(there - used) == sorted(sealed[len(sealed) - len(there - used) :])
    end(state_site, apps)


def is_kept(site: StateSite, limit: dict[str, float]) -> bool:
    """Whether the limit is met, by both; no file that is in use has gone meanwhile."""
    assert not any(name.endswith("(deleted)") for name in open_files(site))
    sizes = [path.stat().st_size for path in site.files() if path.exists()]
    is_within = len(sizes) <= limit.get("max_files", 1000)
    is_within &= sum(sizes) <= limit.get("max_total_size_mb", 1000) * (1 << 20)
    return is_within and not site.workers("keeper") and len(expired(site)) == 2


def end(site: StateSite, apps: list[App]) -> None:
    """End both; nobody who looks has a complaint, before and behind that."""
    assert not verify(site.log_dir).findings
    for app in apps:
        app.tell("end")
        assert app.wait() == 0, app.error_text()
    until(lambda: not site.workers(), "the end of our processes")
    assert not verify(site.log_dir).findings
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_RUNTIME_ROOT", str(site.root))  # where a namespace that is gone has left lanes
        found = account(site.log_dir)
    assert found.ok, [one.sentence for one in found.faulty]
    assert found.sums["emitted"] >= len(site.accepted())
