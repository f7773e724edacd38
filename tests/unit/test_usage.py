"""How much room the queue may take: the quota, the share of memory, and where a lane lies."""

from pathlib import Path

import pytest

from pipeline.limits import MIB
from pipeline.queue import usage


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Machine":
    """Give a machine made of files."""
    return Machine(tmp_path, monkeypatch)


class Machine:
    """What /proc and /sys say, as files of the test."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.texts: dict[str, str] = {}
        real = usage._lines
        patch.setattr(usage, "_CGROUP_V1", str(home / "memory"))
        patch.setattr(usage, "_CGROUP_V2", str(home / "unified"))
        patch.setattr(
            usage, "_lines", lambda path: self.texts[path].splitlines() if path in self.texts else real(path)
        )
        patch.setattr(usage.os.path, "exists", lambda path: path in self.texts)
        patch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    def belongs_to(self, text: str) -> None:
        """Say what /proc/self/cgroup holds."""
        self.texts["/proc/self/cgroup"] = text

    def limit(self, name: str, value: str) -> None:
        """Write a limit of a cgroup."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n")


def test_no_cgroup_is_no_limit(machine: Machine) -> None:
    """A machine without cgroups."""
    machine.belongs_to("")
    assert usage.memory_limit_bytes() >= 1 << 60


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"unified/a/b/memory.max": "256000000"}, 256_000_000),
        ({"unified/a/memory.max": "100000000", "unified/a/b/memory.max": "max"}, 100_000_000),
        ({"unified/a/memory.max": "300", "unified/a/b/memory.max": "200", "unified/memory.max": "100"}, 100),
        ({"unified/a/b/memory.max": "max"}, 1 << 60),
        ({"unified/elsewhere/memory.max": "5"}, 1 << 60),
    ],
)
def test_the_tightest_limit_above_us_counts_in_version_2(
    machine: Machine, limits: dict[str, str], expected: int
) -> None:
    """A limit of any cgroup on the way up to the root binds us."""
    machine.belongs_to("0::/a/b")
    for name, value in limits.items():
        machine.limit(name, value)
    assert usage.memory_limit_bytes() == expected


def test_the_tightest_limit_counts_in_version_1(machine: Machine) -> None:
    """Controllers have trees of their own there; only that of memory counts, alone or with others."""
    machine.belongs_to("12:cpu,cpuacct:/x\n7:hugetlb,memory:/docker/abc\n3:name=systemd:/y\n0::/")
    machine.limit("memory/docker/abc/memory.limit_in_bytes", "64000000")
    machine.limit("memory/docker/memory.limit_in_bytes", "9223372036854771712")
    machine.limit("memory/x/memory.limit_in_bytes", "5")
    assert usage.memory_limit_bytes() == 64_000_000


def test_a_path_that_leads_nowhere_falls_back_to_the_root(machine: Machine) -> None:
    """Inside a container the path is that of the host, and the root of the mount is our own cgroup."""
    machine.belongs_to("0::/system.slice/docker-abc.scope")
    machine.limit("unified/memory.max", "50000000")
    assert usage.memory_limit_bytes() == 50_000_000


@pytest.mark.parametrize("path", ["/../../other", "/..", "/", "/a/../.."])
def test_a_path_above_our_root_ends(machine: Machine, path: str) -> None:
    """A cgroup namespace shows paths with dots; the way up has an end all the same."""
    machine.belongs_to(f"0::{path}")
    machine.limit("unified/memory.max", "70000000")
    assert usage.memory_limit_bytes() in (70_000_000, 1 << 60)


def test_the_share_is_the_least_of_quota_quarter_of_the_limit_and_half_of_what_is_free(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With our own segments counted as free, so that the share does not shrink as it is used."""
    machine.belongs_to("0::/a")
    monkeypatch.setattr(usage.files, "free_bytes", lambda _path: 100 * MIB)
    assert usage.memory_share_bytes(tmp_path, 10 * MIB) == 10 * MIB
    assert usage.memory_share_bytes(tmp_path, 1000 * MIB) == 50 * MIB
    machine.limit("unified/a/memory.max", str(80 * MIB))
    assert usage.memory_share_bytes(tmp_path, 1000 * MIB) == 20 * MIB
    (tmp_path / "lane").mkdir()
    (tmp_path / "lane" / "00000001.seg").write_bytes(bytes(20 * MIB))
    (tmp_path / "lane" / "alive").write_bytes(bytes(MIB))
    assert usage.used_bytes(tmp_path) == 20 * MIB
    machine.limit("unified/a/memory.max", "max")
    assert usage.memory_share_bytes(tmp_path, 1000 * MIB) == 60 * MIB


def test_what_cannot_be_measured_is_no_memory(machine: Machine, tmp_path: Path) -> None:
    """A directory that is gone has no free space; the disk is next."""
    machine.belongs_to("")
    assert usage.memory_share_bytes(tmp_path / "gone", 1000 * MIB) == 0


OVERLAY = "overlay / overlay rw,lowerdir=x 0 0\nproc /proc proc rw 0 0"
DISK = "/dev/sda1 / ext4 rw 0 0\nproc /proc proc rw 0 0"


@pytest.mark.parametrize(
    ("marks", "mounts", "pod", "place"),
    [
        ([], DISK, False, "memory"),
        (["/.dockerenv"], OVERLAY, False, "disk"),
        (["/run/.containerenv"], OVERLAY, False, "disk"),
        (["/.dockerenv"], OVERLAY, True, "memory"),
        (["/.dockerenv"], DISK, False, "memory"),
        ([], OVERLAY, False, "memory"),
    ],
)
def test_a_container_whose_memory_ends_with_it_has_its_lanes_on_disk(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, marks: list[str], mounts: str, pod: bool, place: str
) -> None:
    """Docker and Podman, but no Kubernetes pod, and no machine that was made from a container image."""
    monkeypatch.setattr(usage.os, "uname", lambda: type("uname", (), {"machine": "x86_64"}))
    for mark in marks:
        machine.texts[mark] = ""
    machine.texts["/proc/self/mounts"] = mounts
    if pod:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert usage.preferred_place("auto", is_memory=True)[0] == place


def test_another_machine_keeps_its_lanes_on_disk(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only x86-64 keeps the order of stores; what is set by hand is obeyed all the same."""
    machine.texts["/proc/self/mounts"] = DISK
    monkeypatch.setattr(usage.os, "uname", lambda: type("uname", (), {"machine": "aarch64"}))
    place, reason = usage.preferred_place("auto", is_memory=True)
    assert place == "disk"
    assert "aarch64" in reason


@pytest.mark.parametrize("lanes", ["auto", "memory", "disk"])
def test_nothing_on_a_disk_is_ever_mapped(lanes: str) -> None:
    """
    Where the runtime directory is on no file system in memory.

    Not even the setting makes a memory lane.
    """
    assert usage.preferred_place(lanes, is_memory=False)[0] == "disk"
