"""
The one tree of errors.

Each says what failed, where (path or field), the cause, what to do, and whether trying again can help, so
that callers and commands decide by the object and never by its text.
"""

from __future__ import annotations

from typing import ClassVar


class PipelineError(Exception):
    """Base of everything this library raises."""

    can_retry: ClassVar[bool] = False
    """Whether the same call may succeed later without anybody changing anything."""

    def __init__(self, what: str, *, where: str = "", cause: object = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.cause = str(cause)
        self.remedy = remedy
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        place = f" ({self.where})" if self.where else ""
        cause = f": {self.cause}" if self.cause else ""
        remedy = f". {self.remedy}" if self.remedy else ""
        return f"{self.what}{place}{cause}{remedy}"


class SettingsError(PipelineError):
    """A setting has a name or value that cannot be used. `where` is the field."""


class RuntimeDirectoryError(PipelineError):
    """No runtime directory that is safe to use: wrong owner, mode, a symbolic link, or no space."""


class WorkerPythonError(PipelineError):
    """`sys.executable` cannot run the workers (frozen or embedded); set `worker_python`."""


class RecordError(PipelineError):
    """A field of a record is not as its type says; raised by emit() under `validation=strict`."""


class QueryError(PipelineError):
    """A query that cannot be understood, or not be answered in full. `where` is the argument or the file."""


class LaneError(PipelineError):
    """A lane or segment could not be created; emit() then decides by its policy."""

    can_retry = True


class NotRunningError(PipelineError):
    """A command needs a running pipeline and there is none."""


class AlreadyRunningError(PipelineError):
    """Somebody else holds the lock that this process needs."""

    can_retry = True


class ControlPageError(PipelineError):
    """The control page is torn, foreign or of another version; recovery then goes by what the files hold."""


class FallbackError(PipelineError):
    """The fallback store did not take what it was given: locked, no space, an error of its volume."""

    can_retry = True


class FallbackFull(FallbackError):
    """`fallback_max_mb` is reached; what was refused stays in the queue."""


class FallbackMoved(FallbackError):
    """Another process has stored records of these lanes since their positions were read."""


class FallbackBusy(FallbackError):
    """Another process replays the fallback store just now."""


class PackingRefused(PipelineError):
    """A day file stays as it is: what it holds is not what its manifest says, or it is changed meanwhile."""


class LeavingError(PipelineError):
    """A file could not take its leave: it stays where it is, and the next cleaning tries again."""

    can_retry = True


class NotDurable(PipelineError):
    """
    A record was accepted, but is not known to be on the disk yet.

    The one exception that `emit()` has. The record stays queued; `action_number` is its number.
    """

    can_retry = True

    def __init__(self, action_number: int, timeout_sec: float) -> None:
        self.action_number = action_number
        super().__init__(
            f"record {action_number} was not on the disk within {timeout_sec} s",
            remedy="It stays queued and is written as soon as that is possible: do not emit it again",
        )
