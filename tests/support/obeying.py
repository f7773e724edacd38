"""Applications that do as a test tells them, over small file systems and whatever goes wrong in these."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.apps import App, Site
from support.waiting import until

from pipeline.paths import Places, places_for
from pipeline.verification import account

Mount = Callable[..., Path]

BOUND_SEC = 10.0
"""What emit() takes longer than this for, without having been asked to wait, hangs."""

OBEYING = """
    import json, os, sys, time
    from stage import emit, hear, say, start

    pl = start(**json.loads(os.environ.get("SITE_OPTIONS", "{}")))
    say("ready")

    def emit_some(name, count, size):
        accepted, longest = 0, 0.0
        for index in range(count):
            begun = time.monotonic()
            accepted += bool(emit(f"{name} {index}", fill="x" * size))
            longest = max(longest, time.monotonic() - begun)
        return accepted, longest

    while words := hear().split():
        if words[0] == "emit":
            say("emitted", *emit_some(words[1], int(words[2]), int(words[3])))
        elif words[0] == "fork":
            pid = os.fork()
            if pid == 0:
                accepted, _ = emit_some(words[1], int(words[2]), int(words[3]))
                os._exit(0 if accepted == int(words[2]) else 1)
            say("forked", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        elif words[0] == "flush":
            say("flushed", pl.flush(30))
        elif words[0] == "end":
            break
"""


class StateSite(Site):
    """A site whose state directory may be elsewhere."""

    state_dir = ""

    @property
    def places(self) -> Places:
        """Where the pipeline lives, as this site's processes see it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PIPELINE_RUNTIME_ROOT", str(self.root))
            return places_for(self.log_dir, self.state_dir)


@contextmanager
def mounts_below(place: Path) -> Iterator[Mount]:
    """Give a function that mounts small file systems below a place; they are unmounted in the end."""
    points: list[Path] = []

    def mounted(name: str, options: str) -> Path:
        point = place / name
        point.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(point)], check=True)
        points.append(point)
        return point

    yield mounted
    for point in reversed(points):
        subprocess.run(["umount", "--lazy", str(point)], check=True)


def started(site: StateSite, **options: object) -> App:
    """Start an application that does as it is told."""
    site.state_dir = str(options.get("state_dir", ""))
    app = site.app(OBEYING, SITE_OPTIONS=json.dumps(options))
    app.expect("ready")
    return app


def emits(app: App, name: str, count: int, size: int = 100) -> int:
    """Let it emit, which must not take long; how many were accepted."""
    app.tell(f"emit {name} {count} {size}")
    accepted, longest = app.expect("emitted").split()
    assert float(longest) < BOUND_SEC
    return int(accepted)


def ends(site: StateSite, app: App) -> None:
    """Let it end, wait for the workers, and compare the ledger with the files and every account."""
    app.tell("end")
    assert app.wait() == 0, app.error_text()
    assert app.error_text() == ""
    until(lambda: not site.workers(), "the end of our processes")
    site.check()
    with pytest.MonkeyPatch.context() as patch:
        # An instance that was ended with its container has left its lanes there.
        patch.setenv("PIPELINE_RUNTIME_ROOT", str(site.root))
        found = account(site.log_dir, state_dirs=[site.places.state_dir])
    assert found.ok, [one.sentence for one in found.faulty]


def fill(place: Path) -> Path:
    """Fill a file system to its last byte."""
    path = place / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return path


def segments(parent: Path) -> list[Path]:
    """Return the segments below a directory."""
    return [path for kind in ("seg", "taken") for path in parent.glob(f"*/*.{kind}")]


def health_of(site: StateSite) -> list[str]:
    """Return the reasons in health now, none when nobody answers."""
    try:
        return list(site.health()["reasons"])
    except OSError:
        return []


def flushes(app: App) -> None:
    """Let it flush, which has to succeed."""
    app.tell("flush")
    assert app.expect("flushed") == "True"
