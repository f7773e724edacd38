"""
The catalog, `metadata.json` in the log directory: an instance's files, what is in them, and the chain's head.

It is written when a file begins and when one is left, so at each rotation, seal and stop; where files change
so often that this would cost more than a twentieth of the writer's time, it lags. A row that is as its
manifest and its file still are is taken over as it is. Other instances on the same directory have a catalog
each, `metadata.INSTANCE.json`.

`document()` has the fields of a row; they are a contract: fields are added, never renamed or removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from pipeline.host import clock, files
from pipeline.storage import departed
from pipeline.storage.manifest import EXPIRED, digest_of, last_entry, last_line, parsed

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.storage.manifest import Chain

VERSION: Final = 1
COUNTS: Final = "counts"
"""The directory of what was counted in finished files, FILE.json each."""
_COUNTED: Final = (
    "records",
    "other_lines",
    "first",
    "last",
    "types",
    "statuses",
    "unpacked_bytes",
    "sha256",
)


def name_of(instance: str) -> str:
    """Return the catalog's name."""
    return f"metadata.{instance}.json" if instance else "metadata.json"


def load(log_dir: Path, instance: str) -> dict[str, Any]:
    """Return the catalog of an instance, an empty one when there is none that can be read."""
    found = files.read_json(log_dir / name_of(instance)) or {}
    return found if found.get("version") == VERSION else {}


def counts_path(belongings_dir: Path, name: str) -> Path:
    """Return where the counts of a file are, once it was counted."""
    return belongings_dir / COUNTS / f"{name}.json"


def store(log_dir: Path, chain: Chain) -> None:
    """Write the catalog: what the manifests say now. OSError when the disk refuses."""
    known = {row.get("name"): row for row in load(log_dir, chain.instance).get("files", ())}
    content = {
        "version": VERSION,
        "at": clock.wall_text(),
        "head": chain.head,
        "files": [_row(log_dir, chain, name, known.get(name)) for name in chain.files()],
    }
    data = orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n"
    files.replace(
        log_dir / name_of(chain.instance),
        data,
        durable=True,
        is_only_writer=True,
        give=chain.access.give_file,
    )


def _row(log_dir: Path, chain: Chain, name: str, known: dict[str, Any] | None) -> dict[str, Any]:
    """Return the row of a file, the known one while nothing about the file is new."""
    if known is not None and known.get("expired"):
        return known
    line = last_line(chain.path_of(name))
    about = {
        "last_entry": f"{(parsed(line) or {}).get('serial', 0)}:{digest_of(line)}",
        **_form(log_dir, name),
    }
    is_new = known is None or any(known.get(key) != value for key, value in about.items())
    if known is not None and not is_new:
        is_counted = known.get("types") is not None
        if is_counted or not counts_path(chain.directory.parent, name).exists():
            return known
    return document(chain, name, about, known or {})


def document(chain: Chain, name: str, about: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """
    Return a row.

        name            of the file while it is plain
        bytes           on the disk, null when it is not there
        packing         zst, gz, or empty
        expired         why it has left, null while it has not
        proven_bytes    up to where the manifest has entries, of the plain file
        proven_records  how many records these are; more may be in a file that is being written
        last_entry      SERIAL:SHA-256 of the manifest's last entry
        records, other_lines, first, last, types, statuses, unpacked_bytes, sha256
                        what was counted once it was finished: lines that are records and others, the
                        earliest and latest timestamp, records by action_type and by status, and length
                        and digest of the plain file; null before
    """
    entry = last_entry(chain.path_of(name)) or {}
    has_left = entry.get("kind") == EXPIRED
    blocks = departed.entry_for(chain.path_of(name), "")
    counted = files.read_json(counts_path(chain.directory.parent, name)) or {}
    return {
        "name": name,
        **(about | {"bytes": None} if has_left else about),
        "expired": entry.get("cause", EXPIRED) if has_left else None,
        "proven_bytes": chain.covered(name),
        "proven_records": blocks["records"],
        **{key: counted.get(key, known.get(key)) for key in _COUNTED},
    }


def _form(log_dir: Path, name: str) -> dict[str, Any]:
    """Return in what form a file is there, and how long it is."""
    for packing in ("", "zst", "gz"):
        try:
            size = (log_dir / (f"{name}.{packing}" if packing else name)).stat().st_size
        except OSError:
            continue
        return {"bytes": size, "packing": packing}
    return {"bytes": None, "packing": ""}
