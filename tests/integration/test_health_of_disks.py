"""Health while the disk hangs or is nearly full, on small file systems that are mounted for it."""

import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.apps import Site
from support.days import history
from support.waiting import until

from pipeline.verification import verify

pytestmark = pytest.mark.faults

GUARD_SEC = 0.5

HOLDING = """
    import time
    from stage import emit, hear, say, start
    pl = start()
    emit("first")
    say("ready")
    while (word := hear()) not in ("end", ""):
        longest = 0.0
        for index in range(int(word)):
            begun = time.monotonic()
            emit(f"{word} {index}")
            longest = max(longest, time.monotonic() - begun)
        say("emitted", longest)
"""


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Give a function that mounts something, which is unmounted in the end."""
    points: list[Path] = []

    def mounted(name: str, *arguments: str) -> Path:
        point = tmp_path / name
        point.mkdir(exist_ok=True)
        subprocess.run(["mount", *arguments, str(point)], check=True)
        points.append(point)
        return point

    yield mounted
    for point in reversed(points):
        subprocess.run(["umount", "--lazy", str(point)], check=True)


def test_it_answers_and_tells_the_truth_while_the_disk_hangs(site: Site, mount, tmp_path: Path) -> None:
    """
    A frozen ext4: the writer hangs in the kernel.

    Emit() and /health go on, and after the thaw nothing is lost.
    """
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    point = mount("disk", "-o", "loop", str(image))
    site.log_dir = point / "logs"
    app = site.app(HOLDING)
    app.expect("ready")
    until(lambda: site.health()["counts"].get("durable"), "a durable record")
    subprocess.run(["fsfreeze", "-f", str(point)], check=True)
    try:
        app.tell("1000")
        app.expect("emitted")
        health = site.until_reason("writer_not_responding")
        assert health["queue"]["records"] >= 900
        times = []
        for path in ("/health", "/livez", "/readyz", "/metrics") * 5:
            begun = time.monotonic()
            site.get(path)
            times.append(time.monotonic() - begun)
        assert min(times) < GUARD_SEC
        site.until_reason("heartbeat_stale")
        app.tell("1000")
        app.expect("emitted")
    finally:
        subprocess.run(["fsfreeze", "-u", str(point)], check=True)
    site.until_reason("heartbeat_stale", holds=False)
    site.until_reason("writer_not_responding", holds=False)
    app.tell("end")
    assert app.wait() == 0
    site.until_ended(30)
    assert len(site.accepted()) == 2001
    site.check_ends(site.check())


def test_disk_nearly_full(site: Site, mount) -> None:
    """Less than 100 MiB free where the day files are, and room again."""
    point = mount("small", "-t", "tmpfs", "-o", "size=120m", "tmpfs")
    site.log_dir = point / "logs"
    app = site.app(HOLDING)
    app.expect("ready")
    site.until_reason("disk_nearly_full", holds=False)
    filler = point / "filler"
    filler.write_bytes(bytes(60 << 20))
    assert site.until_reason("disk_nearly_full")["status"] == "degraded"
    filler.unlink()
    site.until_reason("disk_nearly_full", holds=False)
    app.tell("end")
    assert app.wait() == 0
    site.until_ended(30)
    site.check_ends(site.check())


def test_room_is_scarce_and_old_days_leave_before_their_time(site: Site, mount) -> None:
    """Below 5 % of a small volume: the oldest days go, the stream says why; it ends when there is room."""
    point = mount("scarce", "-t", "tmpfs", "-o", "size=24m", "tmpfs")
    site.log_dir = history(point / "logs")
    filler = point / "filler"
    filler.write_bytes(bytes(21 << 20))
    app = site.app(HOLDING.replace("start()", 'start(compression="none", retention_days=0)'))
    app.expect("ready")
    site.until_reason("room_scarce", holds=False)
    with filler.open("ab") as file:
        file.write(bytes(os.statvfs(point).f_bavail * os.statvfs(point).f_frsize - (1 << 20)))
    assert site.until_reason("room_scarce")["status"] == "degraded"
    until(lambda: {one["cause"] for one in site.of_type("file_expired")} == {"min_free"}, "an early leave")
    filler.unlink()
    site.until_reason("room_scarce", holds=False)
    app.tell("end")
    assert app.wait() == 0
    site.until_ended(30)
    assert not verify(site.log_dir).findings


def fill(filler: Path) -> None:
    """Write until there is no space."""
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def test_a_full_disk_is_told_as_append_failing_and_loses_nothing(site: Site, mount) -> None:
    """ENOSPC: the reason and the error are told while records wait, and clear when there is room again."""
    point = mount("full", "-t", "tmpfs", "-o", "size=2m", "tmpfs")
    site.log_dir = point / "logs"
    app = site.app(HOLDING)
    app.expect("ready")
    until(lambda: site.health()["counts"].get("durable"), "a durable record")
    filler = point / "filler"
    fill(filler)
    app.tell("5000")
    app.expect("emitted")
    health = site.until_reason("append_failing")
    assert "No space left" in health["last_error"]
    filler.unlink()
    site.until_reason("append_failing", holds=False)
    app.tell("end")
    assert app.wait() == 0
    site.until_ended(30)
    site.check_ends(site.check())
