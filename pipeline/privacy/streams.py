"""
A stream masked as it comes.

What is held back is the line that has not ended, and a private key that has begun: a secret ends with its
line, except a key. So a stream is as late as its lines are long. A line longer than `LINE_BYTES_MAX` is cut
in the middle of `WINDOW_BYTES` in which the scan stops at nothing; a line of which every part looks
suspicious is held up to `HELD_BYTES_MAX` and then cut where it is, which is the one place where a secret
could be cut in two. The effort (`privacy.effort`) is one for the whole stream, which pays for it as it comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.privacy.effort import Effort

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.privacy.masker import Masker

LINE_BYTES_MAX: Final = 64 << 10
WINDOW_BYTES: Final = 8 << 10
HELD_BYTES_MAX: Final = 4 << 20
_TRIES: Final = 8
_BEGIN, _END = b"-----BEGIN", b"-----END"


class Stream:
    """The bytes of one stream on their way: `feed` them, and `finish`."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = bytearray()
        self._is_in_key = False
        self._effort = Effort(0)
        self._awaited = b"\n"
        self._look_at_bytes = LINE_BYTES_MAX
        """Until so much is held, only what is awaited makes a look at it worth while: chunks may be small."""

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk and return what can go on, masked."""
        self._held += chunk
        is_there = self._held.find(self._awaited, max(0, len(self._held) - len(chunk) - len(_END))) >= 0
        if not is_there and len(self._held) <= self._look_at_bytes:
            return b""
        self._awaited, self._look_at_bytes = b"\n", LINE_BYTES_MAX
        return self._released(self._ready_bytes())

    def finish(self) -> bytes:
        """Return what is left, masked."""
        return self._released(len(self._held))

    def _released(self, size: int) -> bytes:
        ready = bytes(self._held[:size])
        del self._held[:size]
        if self._is_in_key:
            ready = self._behind_key(ready)
        return self._masked(ready) if ready else b""

    def _ready_bytes(self) -> int:
        size = self._held.rfind(b"\n") + 1
        key = self._held.rfind(_BEGIN, 0, size)
        if key >= 0 and not self._has_ended(key):
            if len(self._held) - key < HELD_BYTES_MAX:
                self._await_end_of(key)
                return self._held.rfind(b"\n", 0, key) + 1
            self._is_in_key = True
            return len(self._held)
        return size if size or len(self._held) <= LINE_BYTES_MAX else self._quiet_place()

    def _await_end_of(self, key: int) -> None:
        self._awaited = _END if self._held.find(_END, key) < 0 else b"\n"
        self._look_at_bytes = HELD_BYTES_MAX

    def _has_ended(self, key: int) -> bool:
        """Tell whether the last line of a key is there, whole."""
        end = self._held.find(_END, key)
        return end >= 0 and self._held.find(b"\n", end) >= 0

    def _quiet_place(self) -> int:
        """Return a place in a very long line where nothing on either side is suspicious, 0 for none."""
        half = WINDOW_BYTES // 2
        last = len(self._held) - half
        for place in range(last, max(half, last - _TRIES * half), -half):
            if not self._masker.texts.is_suspicious(bytes(self._held[place - half : place + half])):
                return self._character_start(place)
        if len(self._held) > HELD_BYTES_MAX:
            return self._character_start(last)
        self._look_at_bytes = len(self._held) + half
        return 0

    def _character_start(self, place: int) -> int:
        while place > 0 and self._held[place] & 0xC0 == 0x80:  # noqa: PLR2004 - UTF-8 says so
            place -= 1
        return place

    def _behind_key(self, ready: bytes) -> bytes:
        """Hide what comes until the key ends."""
        end = ready.find(_END)
        if end < 0:
            return b""
        self._is_in_key = False
        return ready[end:].partition(b"\n")[2]

    def _masked(self, ready: bytes) -> bytes:
        if not self._masker.texts.is_suspicious(ready):
            return ready
        self._effort.earn(len(ready))
        lines = [self._json_line(line) for line in ready.splitlines(keepends=True)]
        return self._masker.raw_text(b"".join(lines), self._effort)

    def _json_line(self, line: bytes) -> bytes:
        """Mask a line that is JSON as JSON: names of objects and lists are seen only there."""
        if self._effort.is_spent or line.lstrip()[:1] not in (b"{", b"["):
            return line
        text = line.decode("utf-8", "surrogateescape")
        content = text.rstrip("\r\n")
        return (self._masker.text(content, self._effort) + text[len(content) :]).encode(
            "utf-8", "surrogateescape"
        )


def mask_chunks(masker: Masker, chunks: Iterable[str] | Iterable[bytes]) -> Iterator[str | bytes]:
    """Yield a stream of texts or of bytes masked; empty pieces are left out."""
    stream = Stream(masker)
    kind: type = bytes
    for chunk in chunks:
        kind = type(chunk)
        piece = stream.feed(
            chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else bytes(chunk)
        )
        if piece:
            yield piece.decode("utf-8", "surrogatepass") if kind is str else piece
    rest = stream.finish()
    if rest:
        yield rest.decode("utf-8", "surrogatepass") if kind is str else rest
