"""The progress bar that comes only when something takes long."""

import io
import sys

import pytest

from pipeline.cli import bars


class Terminal(io.StringIO):
    """What says that it is a terminal, and keeps what is sent to it."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the time, in a list of one."""
    now = [100.0]
    monkeypatch.setattr(bars.clock, "monotonic", lambda: now[0])
    return now


def test_bar_comes_after_a_second_and_goes_when_it_is_over(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is over sooner shows none; what takes longer leaves an empty line."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with bars.late_progress_bar("searching") as show:
        show(10, 100)
        assert sys.stderr.getvalue() == ""
        clock[0] += 1.5
        show(50, 100)
        show(60, 100)
    drawn = sys.stderr.getvalue()
    assert "searching" in drawn
    assert drawn.endswith("\x1b[2K")


def test_no_terminal_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of another program is no place for one."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with bars.late_progress_bar("searching") as show:
        assert show is None
