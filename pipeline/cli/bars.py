"""A progress bar on a terminal's stderr, for work on many bytes; nothing where there is no terminal."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from pipeline.host import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LATE_SEC: Final = 1.0


@contextmanager
def progress_bar(word: str) -> Iterator[Callable[[int, int], None] | None]:
    """Give a function that is told (bytes done, bytes in all), None where nobody would see the bar."""
    if not sys.stderr.isatty():
        yield None
        return
    # Here, since it takes longer to import than a small directory takes to verify.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn(word), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(word, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def late_progress_bar(word: str) -> Iterator[Callable[[int, int], None] | None]:
    """Give the same, for work that mostly is over at once: the bar comes when a second has passed."""
    if not sys.stderr.isatty():
        yield None
        return
    began = clock.monotonic()
    with ExitStack() as stack:
        bar: Callable[[int, int], None] | None = None

        def show(done: int, total: int) -> None:
            nonlocal bar
            if bar is None and clock.monotonic() - began > _LATE_SEC:
                bar = stack.enter_context(progress_bar(word))
            if bar is not None:
                bar(done, total)

        yield show
