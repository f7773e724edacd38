"""
Fakes for tests, ours and yours: a directory that forgets what was not synced when its power is cut.

    with FragileDirectory(path) as disk:
        ...                                  # write below `path`, in this process
        disk.cut_power(random.Random(7))     # below `path` is now what a power cut may leave
"""

from pipeline.testing.fragile import FragileDirectory

__all__ = ["FragileDirectory"]
