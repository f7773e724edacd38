"""A log directory and a fallback store beside it, to replay the one into the other in this process."""

from pathlib import Path

from support.slices import make

from pipeline.delivery.replay import Replay
from pipeline.paths import places_for
from pipeline.settings import Settings
from pipeline.storage import fallback_rows

PIECE = 4 << 20
"""What a step brings over, in bytes."""


class ReplaySite:
    """A log directory and a store to replay into it."""

    def __init__(self, directory: Path) -> None:
        self.notes: list[str] = []
        self.store = make(directory / "fallback", self.notes)
        self.store.open()
        self.log_dir = directory / "logs"
        self.log_dir.mkdir()
        self.places = places_for(self.log_dir)
        self.told: list[tuple[str, dict]] = []
        self.settings = Settings()

    def replay(self, instance: str = "", **options) -> Replay:
        """Return a run over the store."""
        return Replay(self.store, self.places, instance, self.settings, **options)

    def run(self, bytes_max: int = PIECE, instance: str = "", **options) -> Replay:
        """Replay to the end."""
        run = self.replay(instance, **options)
        while run.step(bytes_max):
            pass
        fallback_rows.tell(self.store, self.emit)
        return run

    def emit(self, action_type: str, **fields) -> int:
        """Take a record of the writer's own."""
        self.told.append((action_type, fields))
        return len(self.told)

    def damage(self, number: int) -> None:
        """Change a byte of a row behind its checksum's back."""
        self.store.change(
            lambda conn: conn.execute(
                "UPDATE slices SET data = CAST(substr(data, 1, 120) || X'59' || substr(data, 122) AS BLOB)"
                " WHERE id = ?",
                (number,),
            )
        )
