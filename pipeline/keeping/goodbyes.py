"""
Having it said in the chain that a file leaves, before it does.

The chain of an instance has one extender, who holds its append lock. Where nobody does, it is taken for the
moment; where our own writer has it, that is asked by a file in the runtime directory, and the answer is the
entry itself. An instance that works elsewhere (another container on the same volume) says goodbye for its own
files.

Invariants                                                                  crash/test_leaving_killed.py
    G1  A file is there, or an entry that is on the disk says that it has left: at every step of a kill.
    G2  What was asked for and not done leaves nothing but the entry: the next plan goes on with it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pipeline.host import clock, failpoint, files
from pipeline.keeping.seals import own_instance
from pipeline.queue import bell
from pipeline.storage import catalog, departed
from pipeline.storage.directories import PRIVATE
from pipeline.storage.fence import lock_of
from pipeline.storage.manifest import SUFFIX, Chain, directory_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pipeline.paths import Places
    from pipeline.storage.directories import Access
    from pipeline.storage.manifest import Entry

DIRECTORY: Final = "goodbyes"
"""Where in the runtime directory the requests are, `NAME.json` each: the entry that is asked for."""
PATIENCE_SEC: Final = 10.0
_POLL_SEC: Final = 0.02


class Goodbyes:
    """For who lets files leave; `beat` is called while a writer is waited for."""

    def __init__(
        self, places: Places, access: Access = PRIVATE, beat: Callable[[], None] = lambda: None
    ) -> None:
        self._places = places
        self._access = access
        self._beat = beat
        self._manifests = directory_of(places.belongings_dir)

    def told(self, name: str) -> str:
        """Return why the manifest says that a file has left, empty when it does not."""
        return departed.cause_of(self._manifest(name))

    def say(
        self,
        leaving: Mapping[str, str],
        instance: str,
        words_of: Callable[[str, Path], Entry] = lambda _name, _manifest: {},
    ) -> set[str]:
        """
        Have entries written for files of one instance, each with its cause; return the names that have one.

        `words_of` is asked what the entry of a file says besides, by name and manifest.
        OSError when the disk refuses. A name that is missing in the answer stays: nobody could write its
        entry, or its writer says that it is in use.
        """
        asked = {name: cause for name, cause in leaving.items() if not self.told(name)}
        entries = {name: self._entry(name, cause, words_of) for name, cause in asked.items()}
        if asked and not self._say_here(entries, instance) and instance == own_instance(self._places):
            self._ask_writer(entries)
        return {name for name in leaving if self.told(name)}

    def _entry(self, name: str, cause: str, words_of: Callable[[str, Path], Entry]) -> Entry:
        manifest = self._manifest(name)
        return departed.entry_for(manifest, cause, words_of(name, manifest))

    def _say_here(self, entries: Mapping[str, Entry], instance: str) -> bool:
        """Write the entries with the append lock, if nobody has it."""
        lock = lock_of(self._places, instance)
        try:
            if not lock.try_acquire():
                return False
            known = catalog.load(self._places.log_dir, instance).get("head", "")
            chain = Chain(self._places.belongings_dir, instance, known, self._access)
            for name, entry in entries.items():
                failpoint.reach("leave.told.before")
                chain.extend(name, [entry])
            with suppress(OSError):  # the next one says it; a full disk must not keep files from going
                catalog.store(self._places.log_dir, chain)
        finally:
            lock.close()
        return True

    def _ask_writer(self, entries: Mapping[str, Entry]) -> None:
        """Leave requests for the writer, and wait until it has dealt with them."""
        directory = self._places.runtime(DIRECTORY)
        requests = {name: directory / f"{name}.json" for name in entries}
        try:
            files.make_private(directory)
            for name, path in requests.items():
                files.write_json(path, entries[name])
            failpoint.reach("leave.asked")
            bell.ring(self._places)
            self._wait_for(list(requests.values()))
        finally:
            for path in requests.values():
                with suppress(OSError):
                    path.unlink()

    def _wait_for(self, requests: list[Path]) -> None:
        give_up_at = clock.monotonic() + PATIENCE_SEC
        while clock.monotonic() < give_up_at and any(path.exists() for path in requests):
            self._beat()
            clock.sleep(_POLL_SEC)

    def _manifest(self, name: str) -> Path:
        return self._manifests / (name + SUFFIX)
