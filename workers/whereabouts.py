"""Where the supervisor is to be found: a file in the runtime directory, and a copy beside the day files."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from pipeline.host import files
from pipeline.storage.directories import make_belongings
from pipeline.storage.grip import Grip

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.paths import Places
    from pipeline.settings import Settings


class Whereabouts:
    """
    Publishes what a supervisor says of itself, until it has worked.

    The copy is made on a thread of its own: the log directory may hang, and the supervisor must not.
    """

    def __init__(self, places: Places, about: dict[str, Any], note: Callable[[str], None]) -> None:
        self._places = places
        self._about = about
        self._note = note
        self._is_published = False
        self._is_copied = False
        self._error = ""
        self._copying: threading.Thread | None = None

    def publish(self, settings: Settings) -> None:
        """Try what has not worked yet; called again and again."""
        if not self._is_published:
            try:
                files.write_json(self._places.runtime("supervisor.json"), self._about)
                self._is_published = True
            except OSError as error:
                self._say(str(error))
        if not self._is_copied and (self._copying is None or not self._copying.is_alive()):
            self._copying = threading.Thread(target=self._copy, args=(settings,), name="copy", daemon=True)
            self._copying.start()

    def renew(self) -> None:
        """Publish once more: somebody removed the runtime directory."""
        self._is_published = self._is_copied = False

    def settle(self) -> None:
        """Wait until no copy is being made that would stand there after us."""
        if self._copying is not None:
            self._copying.join()

    def _copy(self, settings: Settings) -> None:
        grip = Grip(self._places)
        try:
            grip.make(settings)
            make_belongings(grip.places, settings)
            path = grip.places.belongings_dir / "supervisor.json"
            files.write_json(path, self._about, is_only_writer=True)
            self._is_copied = True
        except OSError as error:
            self._say(grip.named(str(error)))
        finally:
            grip.close()

    def _say(self, error: str) -> None:
        if error != self._error:
            self._note(f"cannot say where we are, will try again: {error}")
        self._error = error
