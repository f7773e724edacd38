"""How the supervisor leaves: nothing stays of the runtime directory when no lane needs it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from pipeline.host import clock, failpoint, files
from pipeline.paths import require_volume

if TYPE_CHECKING:
    from pipeline.paths import Places


def has_lanes(places: Places) -> bool:
    """Whether any lane is left, in memory or on disk; there may be some on a volume that is away."""
    try:
        require_volume(places, places.disk_lanes_dir)
    except OSError:
        return True
    parents = (places.lanes_dir, places.disk_lanes_dir)
    lanes = [parent / name for parent in parents for name in files.names_in(parent) if name[0] != "."]
    return any((lane / "alive").exists() for lane in lanes)


def leave(places: Places, *, keep_lanes: bool) -> None:
    """Take away what says that we are here; the runtime directory too when no lane needs it."""
    failpoint.reach("supervisor.leave.before")
    files.remove(places.runtime("supervisor.json"))
    files.remove(places.belongings_dir / "supervisor.json")
    if keep_lanes:
        return
    files.remove(places.spare_settings)
    failpoint.reach("supervisor.leave.before_remove")
    shutil.rmtree(places.runtime_dir, ignore_errors=True)
    failpoint.reach("supervisor.leave.removed")
    files.remove_directory(places.runtime_dir.parent)
    _remove_disk_lanes(places)


def mark_service(places: Places) -> None:
    """Say that this pipeline is operated as a service: producers then queue, and start nothing."""
    if places.state_dir.is_dir():
        files.write_json(places.service_mark, {"stopped": clock.wall_text()})


def _remove_disk_lanes(places: Places) -> None:
    lane_dir = places.disk_lanes_dir
    if any((lane_dir / name / "alive").exists() for name in files.names_in(lane_dir) if name[0] != "."):
        return
    shutil.rmtree(lane_dir, ignore_errors=True)
    files.remove_directory(lane_dir.parent)
