"""Everybody who can be measured, by name: ours first, then the peers in the order of the tables."""

from bench.ours import FEATURES, OURS
from bench.peer import Nothing, Peer
from bench.peers import PEERS

SUBJECTS: dict[str, type[Peer]] = {**OURS, **FEATURES, **PEERS, "nothing": Nothing}


def create(name: str) -> Peer:
    """Make a subject that is not set up yet."""
    subject = SUBJECTS[name]()
    subject.name = name
    return subject
