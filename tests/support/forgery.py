"""
What somebody does to stored days, from a flipped bit to a forgery with every digest computed anew.

The forger knows the format of the manifests (docs/internals/manifest.md) and none of the library's code.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def manifest_of(path: Path) -> Path:
    """Return the manifest of a day file."""
    return path.parent / ".pipeline" / "manifests" / f"{path.name}.manifest"


def entries_of(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a day file."""
    return [json.loads(line) for line in manifest_of(path).read_bytes().splitlines()]


def edit_lines(path: Path, edit: Callable[[list[bytes]], object]) -> None:
    """Let somebody change the list of a file's lines."""
    lines = path.read_bytes().splitlines(keepends=True)
    edit(lines)
    path.write_bytes(b"".join(lines))


def flip_bit(path: Path) -> None:
    """Flip one bit of a text in the middle of the file: every line still parses."""
    data = bytearray(path.read_bytes())
    data[data.index(b"xxxx", len(data) // 2) + 1] ^= 1
    path.write_bytes(data)


def delete_line(path: Path) -> None:
    """Delete a line from the middle."""
    edit_lines(path, lambda lines: lines.pop(len(lines) // 2))


def delete_tail(path: Path) -> None:
    """Delete the last ten lines."""
    edit_lines(path, lambda lines: lines.__delitem__(slice(-10, None)))


def duplicate_line(path: Path) -> None:
    """Let a line stand twice."""
    edit_lines(path, lambda lines: lines.insert(len(lines) // 2, lines[len(lines) // 2]))


def swap_pair(path: Path) -> None:
    """Let two neighbours of one length change places."""

    def swap(lines: list[bytes]) -> None:
        at = next(n for n in range(len(lines) // 2, len(lines)) if len(lines[n]) == len(lines[n + 1]))
        lines[at], lines[at + 1] = lines[at + 1], lines[at]

    edit_lines(path, swap)


def remove_file(path: Path) -> None:
    """Remove the file alone."""
    path.unlink()


def remove_day(path: Path) -> None:
    """Remove the file with its manifest."""
    path.unlink()
    manifest_of(path).unlink()


def forge_entry(path: Path) -> None:
    """Change bytes, and their digest in the manifest."""
    flip_bit(path)
    rewrite_digests(path)


def rewrite_digests(path: Path) -> None:
    """Let each entry of a file have the digest of what stands there now."""
    data, entries = path.read_bytes(), entries_of(path)
    for entry in entries:
        if entry["kind"] == "block":
            block = data[entry["offset"] : entry["offset"] + entry["length"]]
            entry["digest"] = hashlib.sha256(block).hexdigest()
    write_entries(manifest_of(path), entries)


def delete_entry(path: Path) -> None:
    """Delete an entry from the middle of a manifest."""
    entries = entries_of(path)
    entries.pop(len(entries) // 2)
    write_entries(manifest_of(path), entries)


def delete_tail_with_entries(path: Path) -> None:
    """Delete the end of a file with all entries that knew of it."""
    entries = entries_of(path)
    last = entries.pop()
    path.write_bytes(path.read_bytes()[: last["offset"]])
    write_entries(manifest_of(path), entries)


def forge_everything(path: Path) -> None:
    """Change bytes, and compute their digest, the whole chain and the catalog anew."""
    forge_entry(path)
    chain_anew(path.parent)


def chain_anew(log_dir: Path) -> None:
    """Compute the whole chain and the catalog anew."""
    manifests = {path: _read(path) for path in (log_dir / ".pipeline" / "manifests").iterdir()}
    entries = sorted((e for m in manifests.values() for e in m), key=lambda entry: entry["serial"])
    previous, head = "0" * 64, ""
    for entry in entries:
        entry["previous"] = previous
        previous = hashlib.sha256(dump(entry)).hexdigest()
        head = f"{entry['serial']}:{previous}"
    for path, those in manifests.items():
        write_entries(path, those)
    catalog = json.loads((log_dir / "metadata.json").read_bytes())
    (log_dir / "metadata.json").write_text(json.dumps(catalog | {"head": head}))


def write_entries(manifest: Path, entries: list[dict[str, Any]]) -> None:
    """Write a manifest."""
    manifest.write_bytes(b"".join(dump(entry) + b"\n" for entry in entries))


def dump(entry: dict[str, Any]) -> bytes:
    """Return an entry as its line."""
    return json.dumps(entry, separators=(",", ":")).encode()


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]
