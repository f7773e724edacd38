"""
The catalog, `metadata.json` in the log directory: an instance's files, their sizes, and the chain's head.

It is written when a file begins and when one is left, so at each rotation, seal and stop. Other instances on
the same directory have one each, `metadata.INSTANCE.json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from pipeline.host import clock, files
from pipeline.storage.manifest import EXPIRED, digest_of, last_line, parsed

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.storage.manifest import Chain

VERSION: Final = 1


def name_of(instance: str) -> str:
    """Return the catalog's name."""
    return f"metadata.{instance}.json" if instance else "metadata.json"


def load(log_dir: Path, instance: str) -> dict[str, Any]:
    """Return the catalog of an instance, an empty one when there is none that can be read."""
    found = files.read_json(log_dir / name_of(instance)) or {}
    return found if found.get("version") == VERSION else {}


def store(log_dir: Path, chain: Chain) -> None:
    """Write the catalog: what the manifests say now. OSError when the disk refuses."""
    content = {
        "version": VERSION,
        "at": clock.wall_text(),
        "head": chain.head,
        "files": [_describe(log_dir, chain, name) for name in chain.files()],
    }
    data = orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n"
    files.replace(
        log_dir / name_of(chain.instance),
        data,
        durable=True,
        is_only_writer=True,
        give=chain.access.give_file,
    )


def _describe(log_dir: Path, chain: Chain, name: str) -> dict[str, Any]:
    line = last_line(chain.path_of(name))
    entry = parsed(line) or {}
    has_left = entry.get("kind") == EXPIRED
    try:
        size = None if has_left else (log_dir / name).stat().st_size
    except OSError:
        size = None
    return {
        "name": name,
        "bytes": size,
        "expired": entry.get("cause", EXPIRED) if has_left else None,
        "proven_bytes": chain.covered(name),
        "last_entry": f"{entry.get('serial', 0)}:{digest_of(line)}",
    }
