"""
Files as the pipeline uses them: whole writes, atomic replacement, durable directories.

Never a mapped one.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

import orjson

from pipeline.host import failpoint

READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
APPEND: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_COPY_BYTES: Final = 1 << 20
CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


def pread_all(fd: int, size: int, offset: int) -> bytes:
    """Return up to `size` bytes at `offset`; fewer only at the end of the file."""
    data = os.pread(fd, size, offset)
    while len(data) < size:
        more = os.pread(fd, size - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def pwrite_all(fd: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`, over short writes."""
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data` at the descriptor's place, over short writes."""
    done = 0
    while done < len(data):
        done += os.write(fd, data[done:])


def replace(
    path: Path,
    data: bytes,
    *,
    durable: bool = False,
    is_only_writer: bool = False,
    give: Callable[[int], None] = lambda _fd: None,
) -> None:
    """
    Put `data` in place of the file at once: a reader sees the old content or the new, never a half.

    It is this user's alone unless `give` gives the new file another mode.
    """
    # Several processes may write settings.json at once; what has one writer has one draft, which a kill
    # leaves once.
    draft = path.with_name(f".{path.name}.new" if is_only_writer else f".{path.name}.{os.getpid()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, data)
        give(fd)
        if durable:
            os.fsync(fd)
    except OSError:
        remove(draft)
        raise
    finally:
        os.close(fd)
    if failpoint.IS_ARMED:
        failpoint.reach(f"replace.{path.name}")
    draft.replace(path)
    if durable:
        sync_directory(path.parent)


def sync_file(path: Path) -> None:
    """Make durable what a file holds, whoever wrote it."""
    fd = os.open(path, READ)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_again(path: Path, start: int) -> None:
    """Write what stands in a file from `start` on, where it stands: its pages may be on no disk."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        while data := pread_all(fd, _COPY_BYTES, start):
            pwrite_all(fd, data, start)
            start += len(data)
    finally:
        os.close(fd)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_ancestors(path: Path) -> None:
    """Make durable that a directory is where it is: its name, and those above it on the same file system."""
    device = path.stat().st_dev
    for directory in path.parents:
        try:
            if directory.stat().st_dev != device:
                return
            sync_directory(directory)
        except PermissionError:
            return  # what we may not read is not ours, and older


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, None when there is no such file or it holds something else."""
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(
    path: Path, value: object, *, is_only_writer: bool = False, give: Callable[[int], None] = lambda _fd: None
) -> None:
    """Put a JSON object in place of the file at once; the rest as `replace`."""
    data = orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str)
    replace(path, data, is_only_writer=is_only_writer, give=give)


def remove(path: Path) -> None:
    """Unlink a file that may be gone already, also where a read-only file system says so in its own way."""
    try:
        path.unlink()
    except OSError:
        if os.path.lexists(path):
            raise


def remove_directory(path: Path) -> bool:
    """Remove an empty directory; whether it is gone."""
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def remove_tree(path: Path) -> None:
    """Remove a directory with all that is in it, as far as that is possible."""
    import shutil

    shutil.rmtree(path, ignore_errors=True)


def names_in(path: Path) -> list[str]:
    """Return the names in a directory, none when it is not there."""
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def make_private(path: Path) -> None:
    """Make a directory, and what is missing above it, for this user alone."""
    if not path.is_dir():
        if path.parent != path:
            make_private(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def is_private_directory(path: Path) -> bool:
    """Whether `path` is a directory of this user that nobody else may enter, and no symbolic link."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def is_guarded_directory(path: Path) -> bool:
    """Whether `path` is a directory of this user that nobody else may write to, and no symbolic link."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def same_file(fd: int, path: Path) -> bool:
    """Whether the descriptor and the path are the same file now."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False


def identity_of(fd: int) -> tuple[int, int]:
    """Return (device, inode) of an open file."""
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def link_count(fd: int, identity: tuple[int, int]) -> int:
    """
    Return how many names the file still has, -1 when the descriptor is no longer the file we opened.

    Some programs close every descriptor they find; the number may be somebody else's file by now.
    """
    try:
        found = os.fstat(fd)
    except OSError:
        return -1
    return found.st_nlink if (found.st_dev, found.st_ino) == identity else -1


def close_if_ours(fd: int, identity: tuple[int, int]) -> None:
    """
    Close a descriptor that a fork inherited, if it still is the file we opened.

    The application may have closed all descriptors (daemons do) and opened its own since; the number alone
    says nothing.
    """
    with contextlib.suppress(OSError):
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) == identity:
            os.close(fd)


def free_bytes(path: Path) -> int | None:
    """Return what an ordinary user may still write below `path`, None when nobody can tell."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def exchange(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> None:
    """
    Let two paths change places: in one step by renameat2(2), else by three renames.

    OSError when they cannot be moved.
    """
    import ctypes

    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    paths = [os.fsencode(path) for path in (one, other)]
    if rename is not None and rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0:
        return
    third = f"{os.fspath(other)}.third"
    os.rename(other, third)
    os.rename(one, other)
    os.rename(third, one)
