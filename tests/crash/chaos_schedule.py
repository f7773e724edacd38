"""
What happens in a chaos soak, and when: a function of the seed and the length alone.

Six tracks run beside each other, so that troubles overlap while a command looks at them: the volume of the
logs, the fallback store (seldom), kills, processes that stand still, commands, and times in which every
keeper is killed. Each event of a track begins after the one before it is over.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

AWAY = frozenset({"unmounted", "emergency"})
"""While and after these the log directory is empty, or not there at all."""
VOLUME = {"full": 4, "tight": 2, "unmounted": 3, "read_only": 2, "forbidden": 2, "emergency": 1}
FALLBACK = {"fallback_full": 2, "fallback_locked": 1}
KILLS = {
    "kill_writer": 5,
    "kill_supervisor": 3,
    "kill_both": 3,
    "kill_producer": 5,
    "kill_all": 1,
    "restart_apps": 1,
    "remove_queue": 0.6,
}
STOPS = {"stop_writer": 4, "stop_supervisor": 2, "stop_both": 1, "stop_producer": 1}
COMMANDS = {"verify": 3, "status": 3, "replay": 2}
KEEPERS = {"kill_keepers": 1}
"""Keepers are there for a moment only: each that comes is killed, sooner or later in its life."""
_STOP_SEC = (0.1, 15.0)
_VOLUME_SEC = (0.5, 15.0)
QUIET_SEC = 5.0
"""What removes the queue has so much time before and behind it without any other trouble: see `_cleared`."""
RESTART_SEC = 12.0
"""An end of all applications has so much time behind it in which the volume is there."""


@dataclass(frozen=True)
class Event:
    """One trouble."""

    at: float
    """Seconds from the start."""
    track: str
    kind: str
    seconds: float
    """How long it lasts; 0 for what is over at once."""
    number: int
    """What is left to choose is chosen by this."""

    @property
    def end(self) -> float:
        """When it is over."""
        return self.at + self.seconds

    def __str__(self) -> str:
        return f"{self.at:7.2f} {self.kind}" + (f" for {self.seconds:.1f} s" if self.seconds else "")


def schedule(seed: int, seconds: float) -> list[Event]:
    """Return the events of a soak by their time; the same for the same two numbers."""
    events = [
        *_track(seed, seconds, "volume", VOLUME, (2.0, 9.0), _VOLUME_SEC),
        *_track(seed, seconds, "fallback", FALLBACK, (8.0, 40.0), _VOLUME_SEC),
        *_track(seed, seconds, "kill", KILLS, (0.5, 6.0)),
        *_track(seed, seconds, "stop", STOPS, (1.0, 12.0), _STOP_SEC),
        *_track(seed, seconds, "command", COMMANDS, (0.5, 5.0)),
        *_track(seed, seconds, "keeper", KEEPERS, (1.0, 15.0), _VOLUME_SEC),
    ]
    return sorted(_cleared(events), key=lambda event: event.at)


def _track(
    seed: int,
    seconds: float,
    track: str,
    weights: dict[str, float],
    gap: tuple[float, float],
    length: tuple[float, float] | None = None,
) -> list[Event]:
    """Return one trouble after the other; short ones are as frequent as long ones ten times as long."""
    dice = random.Random(f"{seed}/{track}")
    events, now = [], 1.0
    while True:
        now += dice.uniform(*gap)
        kind = dice.choices(list(weights), list(weights.values()))[0]
        lasts = math.exp(dice.uniform(*map(math.log, length))) if length else 0.0
        number = dice.randrange(1 << 30)
        if now + lasts > seconds:
            return events
        events.append(Event(now, track, kind, lasts, number))
        now += lasts


def _cleared(events: list[Event]) -> list[Event]:
    """
    Drop what would happen near a removal of the queue.

    Then only what living processes hold is promised: a lane whose producer was killed, or that a full
    volume keeps from being emptied, is rightly gone. And no volume is away when all applications end: a
    pipeline whose first process finds an empty directory cannot know that something belongs there.
    """
    removals = [event for event in events if event.kind == "remove_queue"]
    restarts = [event for event in events if event.kind == "restart_apps"]
    return [
        event
        for event in events
        if event in removals
        or not (
            _is_near(event, removals, QUIET_SEC, QUIET_SEC)
            or (event.kind in AWAY and _is_near(event, restarts, 0.0, RESTART_SEC))
        )
    ]


def _is_near(event: Event, others: list[Event], before: float, behind: float) -> bool:
    return any(event.at < other.at + behind and event.end > other.at - before for other in others)
