"""
One call a day for who keeps logs by a scheduler of their own: pack what is over, delete what is old, upload.

A pipeline needs no such call, its keeper does all but the upload. `pipeline.LogLifecycleManager` is the name
that applications with such a scheduler know it by.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pipeline import settings as settings_table
from pipeline.host import files
from pipeline.keeping import at_once
from pipeline.paths import find_places, resolve_log_dir
from pipeline.storage import naming

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.paths import Places

_UPLOADED: Final = "uploaded.json"


class LogLifecycle:
    """
    Keeps a log directory by the day: gzip, expiry, upload.

    `upload`, if given, is called with the path of each packed file until it has returned once for it; the
    file may be moved or deleted by a later call of `daily_rotation`, but not by this one.
    """

    def __init__(
        self,
        base_path: str | os.PathLike[str],
        retention_days: float | str = 30,
        *,
        upload: Callable[[Path], object] | None = None,
    ) -> None:
        self._places = find_places(resolve_log_dir(base_path))
        self._retention = retention_days
        self._upload = upload

    def daily_rotation(self) -> dict[str, Any]:
        """
        Gzip the files of days that are over, let those leave that are too old, upload what is new.

        Returns what `pipeline cleanup --json` prints, and `uploaded` (names) and `not_uploaded` (why, by
        name). A clock that has leapt makes no file old enough for a day, as for a keeper. Only errors of a
        directory that cannot be used at all are raised.
        """
        own = {"log_dir": str(self._places.log_dir), "state_dir": str(self._places.state_dir)}
        settings = replace(
            settings_table.load(own)[0],
            compression="gzip",
            compress_after_days=0,
            max_total_size_mb=0,
            max_files=0,
            min_free_mb=0,
        )
        answer = at_once.clean(self._places, settings, self._retention, trusts_clock=False).document()
        uploaded, failed = self._uploads() if self._upload is not None else ([], {})
        return answer | {"uploaded": uploaded, "not_uploaded": failed}

    def _uploads(self) -> tuple[list[str], dict[str, str]]:
        """Upload what is packed and was not uploaded yet; return the names, and why others were not."""
        note = self._places.belongings_dir / _UPLOADED
        there = _packed(self._places)
        known = set((files.read_json(note) or {}).get("files", ())) & set(there)
        done, failed = [], {}
        for name in there:
            if name in known or self._upload is None:
                continue
            try:
                self._upload(self._places.log_dir / name)
            except Exception as error:  # noqa: BLE001 - whatever a store's client raises: the next day tries again
                failed[name] = str(error) or type(error).__name__
                continue
            done.append(name)
            with suppress(OSError):
                files.write_json(note, {"files": sorted(known.union(done))})
        return done, failed


def _packed(places: Places) -> list[str]:
    names = files.names_in(places.log_dir)
    parts = ((name, *naming.unpacked(name)) for name in sorted(names))
    return [name for name, plain, packing in parts if packing and naming.parse(plain) is not None]
