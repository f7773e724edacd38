"""
Days of records that look like those of agents at work. Seeded: the same arguments give the same bytes.

    types        log 30 %, tool_call 18, tool_result 17, llm_request 10, llm_response 9.5, api_request 8,
                 agent_state_change 4, user_input 2.5, tool_error 0.8, system_warning 0.2
    time         arrivals of a Poisson process whose rate follows the hour: 1 at 4 h, 9 at 15 h
    sessions     30 are open at once; each has a number of records that is Pareto distributed (shape 1.2, at
                 least 20, at most 5,000), then another one takes its place
    trace_id     a new one each 8 records of its session, on the average (geometric)
    tool_use_id  in each call, and again in its result or error
    tool_name    bash 45 %, read 25, edit 15, grep 10, web_fetch 5
    lengths      texts are log-normal (median 60 characters, sigma 1.3, at most 8,000), of 400 words by Zipf
    duration_ms  log-normal (median 40, sigma 1.6)
    status       in results, errors and responses; left out elsewhere
"""

import hashlib
import math
import random
from pathlib import Path

import orjson

DAY = "2025-11-21"
BLOCK_BYTES = 1 << 20
_TYPES = {
    "log": 300,
    "tool_call": 180,
    "tool_result": 170,
    "llm_request": 100,
    "llm_response": 95,
    "api_request": 80,
    "agent_state_change": 40,
    "user_input": 25,
    "tool_error": 8,
    "system_warning": 2,
}
_TOOLS = {"bash": 45, "read": 25, "edit": 15, "grep": 10, "web_fetch": 5}
_WORDS = [f"{syllable}{number}" for number in range(100) for syllable in ("ta", "no", "ri", "mel")]
_WORD_WEIGHTS = [1 / rank for rank in range(1, len(_WORDS) + 1)]


class _Session:
    def __init__(self, drawn: random.Random, number: int) -> None:
        self.id = f"session-20251121{number:06d}-{drawn.randrange(10**6):06d}"
        self.left = min(5000, int(20 * drawn.paretovariate(1.2)))
        self.trace = f"{drawn.getrandbits(128):032x}"
        self.calls: list[tuple[str, str]] = []


def write_day(log_dir: Path, megabytes: int, seed: int = 1) -> Path:
    """Write a day of about so many MB, with its manifest; return its path. One that is there is kept."""
    day = log_dir / f"{DAY}.jsonl"
    if day.exists() and abs(day.stat().st_size / megabytes / 1e6 - 1) < 0.05:
        return day
    log_dir.mkdir(parents=True, exist_ok=True)
    drawn = random.Random(seed)
    texts = [_text(drawn) for _ in range(5000)]
    sessions = [_Session(drawn, number) for number in range(30)]
    count = round(megabytes * 1e6 / 375)
    number = 0
    with day.open("wb") as file, manifest_of(day).open("wb") as manifest:
        blocks = Blocks(manifest, day.name)
        for second in _moments(drawn, count):
            number += 1
            line = _line(drawn, number, second, sessions, texts)
            file.write(line)
            blocks.add(line)
        blocks.end()
    return day


def _moments(drawn: random.Random, count: int) -> list[float]:
    """Return so many moments of the day, in order."""
    weights = [5 - 4 * math.cos((hour - 4) / 24 * 2 * math.pi) for hour in range(24)]
    hours = drawn.choices(range(24), weights, k=count)
    return sorted(hour * 3600 + drawn.random() * 3600 for hour in hours)


def _line(
    drawn: random.Random, number: int, second: float, sessions: list[_Session], texts: list[str]
) -> bytes:
    place = drawn.randrange(len(sessions))
    session = sessions[place]
    session.left -= 1
    if session.left <= 0:
        sessions[place] = _Session(drawn, 30 + number)
    if drawn.random() < 1 / 8:
        session.trace = f"{drawn.getrandbits(128):032x}"
    kind = drawn.choices(list(_TYPES), list(_TYPES.values()))[0]
    whole = int(second)
    at = f"{DAY}T{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{int(second % 1 * 1e6):06d}Z"
    common = {"timestamp": at, "action_type": kind, "action_number": number, "producer": "3k9m2n8p7q6r"}
    ids = {"session_id": session.id, "trace_id": session.trace}
    return orjson.dumps(common | ids | _fields(drawn, kind, session, texts)) + b"\n"


def _fields(drawn: random.Random, kind: str, session: _Session, texts: list[str]) -> dict:
    text, duration = drawn.choice(texts), round(drawn.lognormvariate(math.log(40), 1.6), 3)
    if kind == "tool_call":
        tool = drawn.choices(list(_TOOLS), list(_TOOLS.values()))[0]
        use = f"toolu_{drawn.getrandbits(64):016x}"
        session.calls = [*session.calls[-9:], (use, tool)]
        return {"tool_name": tool, "tool_use_id": use, "args": {"command": text}}
    if kind in ("tool_result", "tool_error"):
        use, tool = session.calls.pop() if session.calls else ("toolu_0", "bash")
        named = {"tool_use_id": use, "tool_name": tool, "duration_ms": duration}
        if kind == "tool_error":
            return named | {"status": "error", "error_type": "CommandError", "error_message": text[:200]}
        return named | {"status": "success", "output": text}
    if kind == "llm_response":
        return {
            "status": "success",
            "duration_ms": duration,
            "content": text,
            "output_tokens": len(text) // 4,
        }
    if kind == "log":
        return {
            "level": drawn.choices(["INFO", "DEBUG", "WARNING", "ERROR"], [70, 20, 8, 2])[0],
            "message": text,
        }
    return {"content": text}


def _text(drawn: random.Random) -> str:
    size = min(8000, int(drawn.lognormvariate(math.log(60), 1.3)) + 1)
    return " ".join(drawn.choices(_WORDS, _WORD_WEIGHTS, k=size // 6 + 1))[:size]


def manifest_of(day: Path) -> Path:
    """Return where the manifest of a day is, in a directory that is there."""
    path = day.parent / ".pipeline" / "manifests" / f"{day.name}.manifest"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


class Blocks:
    """The manifest of the day: blocks of 1 MiB, as the writer makes them."""

    def __init__(self, file, name: str) -> None:
        self._file, self._name, self._serial, self._offset = file, name, 0, 0
        self._lines: list[bytes] = []
        self._size = 0
        self._write({"kind": "begin", "offset": 0})

    def add(self, line: bytes) -> None:
        """Take in a line."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= BLOCK_BYTES:
            self.end()

    def end(self) -> None:
        """Write the entry of what was taken in."""
        if self._lines:
            data = b"".join(self._lines)
            digest = hashlib.sha256(data).hexdigest()
            about = {"length": len(data), "lines": len(self._lines), "producers": {}, "digest": digest}
            self._write({"kind": "block", "offset": self._offset} | about)
            self._offset, self._lines, self._size = self._offset + len(data), [], 0

    def _write(self, entry: dict) -> None:
        self._serial += 1
        self._file.write(orjson.dumps({"serial": self._serial, "file": self._name} | entry) + b"\n")
