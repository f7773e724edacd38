"""
What is asked of the disk, in order, when a file leaves: a sync that is missing no kill shows, only the calls.

A file goes when its entry is on the disk, and its copy where it was moved to.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.days import DAYS, history

from pipeline.keeping.cleaning import Cleaner
from pipeline.keeping.plan import Limits
from pipeline.paths import places_for
from pipeline.settings import Settings

NAME = f"{DAYS[0]}.jsonl"
MANIFEST = f"manifests/{NAME}.manifest"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a history once."""
    return history(tmp_path_factory.mktemp("made") / "logs", 2)


@pytest.fixture
def logs(made: Path, tmp_path: Path) -> Path:
    """Give a copy of it."""
    shutil.copytree(made, tmp_path / "logs")
    return tmp_path / "logs"


class Calls:
    """The calls that change or sync something, as `call two/last`: the last two parts of the path."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        for call in ("fsync", "fdatasync", "unlink", "write", "rename", "replace"):
            patch.setattr(os, call, self._noting(call, getattr(os, call)))

    def before(self, call: str) -> list[str]:
        """Return what was called before that."""
        return self.made[: self.made.index(call)]

    def behind(self, call: str, other: str) -> list[str]:
        """Return what was called behind the last of one call and before another."""
        before = self.before(other)
        return before[len(before) - before[::-1].index(call) :]

    def _noting(self, call: str, real: Callable[..., object]) -> Callable[..., object]:
        def noting(*arguments: object, **more: object) -> object:
            what = arguments[-1] if call in {"rename", "replace"} else arguments[0]
            path = os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else os.fspath(what)
            done = real(*arguments, **more)
            self.made.append(f"{call} {'/'.join(os.path.realpath(path).split('/')[-2:])}")
            return done

        return noting


def clean(logs: Path, **settings: str) -> None:
    """Let the first day leave."""
    done = list(Cleaner(places_for(logs), Settings(**settings), limits=Limits(max_files=1)).run())
    assert [(one.file, one.trouble) for one in done] == [(NAME, "")]


def test_a_file_goes_when_its_entry_is_on_the_disk(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And then it is gone on the disk, before the next one goes."""
    calls = Calls(monkeypatch)
    clean(logs)
    gone = f"unlink logs/{NAME}"
    assert f"fdatasync {MANIFEST}" in calls.behind(f"write {MANIFEST}", gone)
    place = calls.made.index(gone)
    assert calls.made[place + 1] == f"fsync {logs.parent.name}/logs"


@pytest.mark.parametrize("how", ["linked", "copied", "there"])
def test_a_moved_file_goes_when_its_new_place_is_on_the_disk(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """L1: its bytes and its name; also of a copy that somebody made who was killed before he synced it."""
    archive = tmp_path / "archive"
    if how == "there":
        archive.mkdir()
        shutil.copy(logs / NAME, archive / NAME)
    elif how == "copied":

        def refuse(*_: object) -> None:
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", refuse)
    calls = Calls(monkeypatch)
    clean(logs, expiry="move", expiry_dir=str(archive))
    before = calls.before(f"unlink logs/{NAME}")
    draft = [call for call in before if call.startswith(f"fsync archive/.{NAME}.")]
    assert f"fsync archive/{NAME}" in before or (how == "copied" and draft)
    assert before[-1] == f"fsync {tmp_path.name}/archive"
