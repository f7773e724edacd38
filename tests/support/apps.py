"""
A site: one log directory with a runtime root of its own, the applications of a test, and what they left.

Applications are scripts that run in processes of their own, on pipes or on a terminal, and import `stage`.
"""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import textwrap
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.waiting import HANG_SEC, until

from pipeline.host import seats
from pipeline.paths import Places, places_for

_STAGE = Path(__file__).with_name("stage.py")
END_SEC = 10.0
"""Our processes end within 2 s after the last producer; five times that is a hang."""


class App:
    """A running application of a test."""

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path, *, on_tty: bool = False) -> None:
        self._told = b""
        self.told: list[str] = []
        """All lines that it said and the test has read."""
        self._tty = -1
        if on_tty:
            self._tty, theirs = pty.openpty()
            _turn_echo_off(theirs)
            self.process = subprocess.Popen(
                ["setsid", "--ctty", *command], stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=cwd
            )
            os.close(theirs)
            self._ear = self._mouth = self._tty
        else:
            self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                env=env,
                cwd=cwd,
            )
            self._ear, self._mouth = self.process.stdout.fileno(), self.process.stdin.fileno()
        self._poll = select.poll()  # select(2) knows no descriptor above 1023
        self._poll.register(self._ear, select.POLLIN)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def expect(self, word: str, timeout_sec: float = HANG_SEC) -> str:
        """Read until a line begins with `word`, and return the rest of that line."""
        deadline = time.monotonic() + timeout_sec
        while True:
            line = self._line(deadline)
            if line is None:
                raise AssertionError(f"never said {word!r}; said {self.told}\n{self.error_text()}")
            if line.split(" ")[0] == word:
                return line[len(word) + 1 :]

    def tell(self, word: str) -> None:
        """Give it a line to hear."""
        os.write(self._mouth, word.encode() + b"\n")

    def press(self, keys: bytes) -> None:
        """Press keys on its terminal."""
        os.write(self._tty, keys)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self, timeout_sec: float = HANG_SEC) -> int:
        """Read its output to the end and return its status as Popen tells it, negative for a signal."""
        deadline = time.monotonic() + timeout_sec
        while self._line(deadline) is not None:
            pass
        return self.process.wait(max(0.1, deadline - time.monotonic()))

    def error_text(self) -> str:
        """Return what it wrote to stderr; on a terminal, that is among `told`."""
        if self._tty >= 0:
            return ""
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def close(self) -> None:
        """End it if it still runs, and close what leads to it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._tty >= 0:
            os.close(self._tty)
            return
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            stream.close()

    def _line(self, deadline: float) -> str | None:
        """Return the next line, None at the end of the output or the deadline."""
        while b"\n" not in self._told:
            ready = self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            try:
                more = os.read(self._ear, 65536) if ready else b""
            except OSError:
                more = b""  # EIO: nobody has the terminal open any more
            if not more:
                return None
            self._told += more
        line, _, self._told = self._told.partition(b"\n")
        self.told.append(line.decode(errors="replace").rstrip("\r"))
        return self.told[-1]


class Site:
    """A log directory, the runtime root over it, and the applications of one test."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.log_dir = Path(os.path.realpath(home)) / "logs"
        self.root = Path(tempfile.mkdtemp(prefix="pipeline-test-", dir="/dev/shm"))
        self.ledger = home / "ledger"
        self.scripts = home / "scripts"
        self.scripts.mkdir()
        shutil.copy(_STAGE, self.scripts / "stage.py")
        self.apps: list[App] = []
        self._count = 0

    def env(self, **more: str | None) -> dict[str, str]:
        """Return the environment of the applications: the test's, without anything of another pipeline."""
        env = {
            key: value for key, value in os.environ.items() if not key.startswith(("PIPELINE_", "PYTEST_"))
        }
        env |= {
            "PIPELINE_RUNTIME_ROOT": str(self.root),
            "PIPELINE_FALLBACK_DIR": str(self.root / "fallback"),
            "PIPELINE_SETTINGS_FILE": "",
            "SITE_LOG_DIR": str(self.log_dir),
            "SITE_LEDGER": str(self.ledger),
        } | more
        return {key: value for key, value in env.items() if value is not None}

    def script(self, text: str) -> Path:
        """Write a script down and return where."""
        self._count += 1
        path = self.scripts / f"app{self._count}.py"
        path.write_text(textwrap.dedent(text))
        return path

    def app(
        self,
        text: str,
        *arguments: str,
        on_tty: bool = False,
        python: tuple[str, ...] = (sys.executable,),
        cwd: Path | None = None,
        **env: str | None,
    ) -> App:
        """Start a script."""
        command = [*python, str(self.script(text)), *arguments]
        return self.command(command, on_tty=on_tty, cwd=cwd, **env)

    def command(
        self, command: list[str], *, on_tty: bool = False, cwd: Path | None = None, **env: str | None
    ) -> App:
        """Start a program."""
        app = App(command, self.env(**env), cwd or self.scripts, on_tty=on_tty)
        self.apps.append(app)
        return app

    def run(self, text: str, *arguments: str, status: int = 0, **how: Any) -> App:
        """Run a script to its end, which has to be `status`."""
        app = self.app(text, *arguments, **how)
        found = app.wait()
        assert found == status, f"exit status {found}\n{app.told}\n{app.error_text()}"
        return app

    def weigh_down_first_writer(self, mib: int) -> None:
        """Let the next writer take so much memory, by a sitecustomize for the PYTHONPATH `home/ballast`."""
        (self.home / "ballast").mkdir()
        (self.home / "ballast" / "sitecustomize.py").write_text(
            textwrap.dedent(f"""
                import os, sys
                if "writer" in sys.orig_argv:
                    try:
                        os.close(os.open({str(self.home / "weighed")!r}, os.O_CREAT | os.O_EXCL))
                        sys.ballast = b"x" * ({mib} << 20)
                    except FileExistsError:
                        pass
            """)
        )

    @property
    def places(self) -> Places:
        """Where the pipeline over the log directory lives, as this site's processes see it."""
        before = os.environ.get("PIPELINE_RUNTIME_ROOT")
        os.environ["PIPELINE_RUNTIME_ROOT"] = str(self.root)
        try:
            return places_for(self.log_dir)
        finally:
            if before is None:
                del os.environ["PIPELINE_RUNTIME_ROOT"]
            else:
                os.environ["PIPELINE_RUNTIME_ROOT"] = before

    def workers(self, role: str = "") -> list[int]:
        """Return the pids of this site's processes of ours, of one role or all."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if str(self.log_dir).encode() in words and b"workers" in words and words[0] != b"/bin/sh":
                place = words.index(b"workers") + 1
                if role in ("", words[place].decode()):
                    found.append(int(name))
        return sorted(found)

    def writer(self) -> int:
        """Return the pid of the one writer that holds the writer's lock, when there is one."""
        return until(lambda: seats.holder(self.places.runtime("writer.lock")), "a writer")

    def supervisor(self) -> int:
        """Return the pid of the supervisor, when there is one that has published its address."""
        path = self.places.runtime("supervisor.json")
        until(path.exists, "an address of the supervisor")
        return until(lambda: seats.holder(self.places.runtime("supervisor.lock")), "a supervisor")

    def get(self, path: str, timeout_sec: float = HANG_SEC) -> tuple[int, bytes]:
        """Ask the health endpoint; (status, body). Between two supervisors nobody answers for a moment."""
        return until(lambda: self._ask(path, timeout_sec), "an answer")

    def _ask(self, path: str, timeout_sec: float) -> tuple[int, bytes] | None:
        self.supervisor()
        address = json.loads(self.places.runtime("supervisor.json").read_bytes())["address"]
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=timeout_sec) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except urllib.error.URLError:
            return None

    def health(self) -> dict[str, Any]:
        """Return the health document."""
        return json.loads(self.get("/health")[1])

    def until_reason(self, code: str, *, holds: bool = True, timeout_sec: float = HANG_SEC) -> dict[str, Any]:
        """Wait until a reason is, or is no longer, in the health document, and return that."""
        seen: list[Any] = [None]

        def is_so() -> bool:
            try:
                seen[0] = self.health()
            except OSError:
                return False
            return (code in seen[0]["reasons"]) is holds

        until(is_so, f"reason {code}: {holds}; {seen}", timeout_sec)
        return seen[0]

    def signal_supervisor(self, number: int) -> None:
        """Send the supervisor a signal."""
        os.kill(self.supervisor(), number)

    def until_ended(self, timeout_sec: float = END_SEC) -> None:
        """Wait until none of our processes is left, nor a trace of them in the runtime root."""
        until(lambda: not self.workers(), f"the end of our processes {self.workers()}", timeout_sec)
        until(lambda: not os.listdir(self.root), f"an empty {os.listdir(self.root)}", timeout_sec)

    def files(self) -> list[Path]:
        """Return the day files."""
        return sorted(self.log_dir.glob("*.jsonl"))

    def records(self) -> list[dict[str, Any]]:
        """Return all records; each line has to parse."""
        lines = [line for path in self.files() for line in path.read_bytes().splitlines(keepends=True)]
        assert all(line.endswith(b"\n") for line in lines), "the last line is unfinished"
        return [json.loads(line) for line in lines]

    def of_type(self, action_type: str) -> list[dict[str, Any]]:
        """Return the records of a type."""
        return [record for record in self.records() if record["action_type"] == action_type]

    def accepted(self) -> list[tuple[str, int]]:
        """Return the ledger: (tag, number) of all accepted records."""
        if not self.ledger.exists():
            return []
        pairs = (line.rsplit(" ", 1) for line in self.ledger.read_text().splitlines())
        return [(tag, int(number)) for tag, number in pairs]

    def check(self, *, unacknowledged: int = 0, in_order: bool = True) -> list[dict[str, Any]]:
        """
        Return the records, after comparing them with the ledger.

        Each accepted one is there once, under its number; each producer's numbers run 1, 2, 3 … in order (not
        `in_order`: what was replayed stands in parts of its own, which come before or behind the others); and
        at most `unacknowledged` are there whose application was killed before it could write its ledger.
        """
        records = self.records()
        stored = Counter((record["tag"], record["action_number"]) for record in records if "tag" in record)
        accepted = Counter(self.accepted())
        assert not accepted - stored, f"lost: {sorted((accepted - stored).elements())[:10]}"
        surplus = stored - accepted
        assert surplus.total() <= unacknowledged, f"too many: {sorted(surplus.elements())[:10]}"
        for producer, numbers in numbers_of(records).items():
            found = numbers if in_order else sorted(numbers)
            assert found == list(range(1, len(numbers) + 1)), f"{producer}: {numbers[:50]}"
        return records

    def ends(self) -> dict[str, dict[str, Any]]:
        """Return what the stream says about the end of each producer of the applications."""
        kinds = ("producer_closed", "producer_died")
        told = [r for r in self.records() if r["action_type"] in kinds and r["role"] == "app"]
        subjects = [record["subject"] for record in told]
        assert len(subjects) == len(set(subjects)), "an end was told twice"
        return {record["subject"]: record for record in told}

    def check_ends(self, records: list[dict[str, Any]], *, live: int = 0) -> dict[str, dict[str, Any]]:
        """Return the ends, compared with the records; of `live` producers none may be told yet."""
        ends = self.ends()
        emitted = {p: n for p, n in numbers_of(records).items() if any_tagged(records, p)}
        assert set(ends) <= set(emitted)
        assert len(emitted) - len(ends) <= live
        for producer, end in ends.items():
            assert end["last_action_number"] == emitted[producer][-1]
        return ends

    def close(self) -> None:
        """End everything that runs here, and take the runtime root away."""
        for app in self.apps:
            app.close()
        for pid in self.workers("supervisor"):
            _send(pid, signal.SIGTERM)
        try:
            until(lambda: not self.workers(), "the end of our processes")
        finally:
            for pid in self.workers():
                _send(pid, signal.SIGKILL)
            shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def numbers_of(records: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Return each producer's action numbers in the order of the files."""
    numbers: dict[str, list[int]] = {}
    for record in records:
        numbers.setdefault(record["producer"], []).append(record["action_number"])
    return numbers


def any_tagged(records: list[dict[str, Any]], producer: str) -> bool:
    """Whether a producer is an application's."""
    return any("tag" in record for record in records if record["producer"] == producer)


def _turn_echo_off(tty: int) -> None:
    """Keep what the test types out of what the application says."""
    modes = termios.tcgetattr(tty)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(tty, termios.TCSANOW, modes)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
