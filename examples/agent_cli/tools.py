"""What the agent can do: three tools, each a function from arguments to text."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

DANGEROUS = frozenset({"bash"})
"""Tools that are asked for before they run."""


def bash(command: str) -> str:
    """Run a command, and return what it prints; an error when it fails."""
    done = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"exit status {done.returncode}")
    return done.stdout


def read_file(path: str) -> str:
    """Return the text of a file."""
    return Path(path).read_text()


def wait(seconds: str) -> str:
    """Do nothing for a while, as slow tools seem to; Ctrl+C ends it."""
    time.sleep(float(seconds))
    return f"waited {seconds} s"


TOOLS: dict[str, Callable[..., str]] = {"bash": bash, "read_file": read_file, "wait": wait}
