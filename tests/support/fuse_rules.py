"""
A directory seen through a FUSE file system that lets chosen operations on chosen files go wrong.

A fault is a rule: `OPERATION GLOB ACTION [FIRST [LAST]]`, for example `write *.jsonl EIO 3 5`. OPERATION is a
method of `fuse_passage.Passage` or `*`; ACTION an error's name, `short` (half of a write is done) or `hang`
(until the rule is gone); FIRST and LAST count the calls that match, from 1. The first rule that matches
counts. A file that is unlinked while open keeps a name of FUSE's own.
"""

from pathlib import Path

from support.fuse_process import FuseProcess

_SERVER = Path(__file__).with_name("fuse_passage.py")


class RuledDirectory:
    """The directory as a test sees it: below `path` the rules hold, in `behind` they do not."""

    def __init__(self, place: Path) -> None:
        self.behind = place / "behind"
        self.behind.mkdir(parents=True)
        self.path = place / "ruled"
        self.process = FuseProcess(_SERVER, self.path, place / "rules", str(self.behind))

    def set(self, *rules: str) -> None:
        """Let these rules hold in place of those before."""
        self.process.set(*rules)

    def end(self) -> None:
        """Take it away; what is behind it stays."""
        self.process.end()
