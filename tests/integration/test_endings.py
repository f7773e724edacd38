"""
Each way of ending an application, on a terminal: it ends as without us, and its records are in the files.

Every way is tried with the application's own signal handler installed before and after `start_pipeline()` and
with none, and with `start_pipeline()` called from the main thread and from another one. What is right is what
the same script does without a pipeline.
"""

import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.apps import App, Site

SCRIPT = """
    import os, signal, sys, time
    from stage import emit, say, start, start_in_thread

    way, handler, thread = sys.argv[1:]
    handled = []

    def mine(number, frame):
        handled.append(number)
        emit(f"handled {len(handled)}")
        say("handled", number)
        if way != "ctrl_c_twice" or len(handled) == 2:
            sys.exit(40 + number)

    def install():
        signal.signal(signal.SIGTERM, mine)
        signal.signal(signal.SIGINT, mine)

    def interrupted():
        emit("interrupted")
        say("interrupted")
        if way == "ctrl_c_twice":
            time.sleep(60)

    if handler == "before":
        install()
    start() if thread == "main" else start_in_thread()
    if handler == "after":
        install()
    for index in range(20):
        emit(f"early {index}")
    try:
        say("ready")
        if way == "sys_exit":
            sys.exit(3)
        if way == "os_exit":
            os._exit(4)
        if way == "exception":
            raise ValueError("of the application")
        while way != "return":
            time.sleep(60)
    except KeyboardInterrupt:
        interrupted()
        raise
    finally:
        emit("finally")
"""

HANDLERS = ("none", "before", "after")
THREADS = ("main", "other")
VARIANTS = list(itertools.product(HANDLERS, THREADS))


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Callable[[], Site]]:
    """Give a function that makes sites, which end with the test."""
    with ExitStack() as stack:
        numbers = itertools.count(1)
        yield lambda: stack.enter_context(Site(tmp_path / f"site{next(numbers)}"))


def press_twice(app: App) -> None:
    """Press Ctrl+C, wait until the application has noticed, and press it again."""
    app.press(b"\x03")
    app.expect(app.noticed)
    app.press(b"\x03")


DRIVERS: dict[str, Callable[[App], None]] = {
    "return": lambda _: None,
    "sys_exit": lambda _: None,
    "exception": lambda _: None,
    "os_exit": lambda _: None,
    "sigterm": lambda app: app.kill(signal.SIGTERM),
    "sigint": lambda app: app.kill(signal.SIGINT),
    "sigkill": lambda app: app.kill(signal.SIGKILL),
    "ctrl_c_twice": press_twice,
}


def begin(site: Site, way: str, handler: str, thread: str, plain: str | None) -> App:
    """Start the application and bring it to the moment of its end."""
    app = site.app(SCRIPT, way, handler, thread, on_tty=True, SITE_PLAIN=plain)
    app.noticed = "interrupted" if handler == "none" else "handled"
    return app


def is_told_as_died(way: str, handler: str, thread: str) -> bool:
    """Whether no code of ours can run at this end: off the main thread nobody catches SIGTERM."""
    return way in ("os_exit", "sigkill") or (way == "sigterm" and handler == "none" and thread == "other")


def said(app: App) -> list[str]:
    """Return what an application said, without the frames of tracebacks, which name files."""
    return [line for line in app.told if not line.startswith(" ")]


@pytest.mark.parametrize("way", DRIVERS)
def test_an_app_ends_as_it_would_without_us_and_nothing_is_lost(way: str, sites: Callable[[], Site]) -> None:
    """Status, output, records, the word about its end, and our own end are right in all variants of a way."""
    runs = []
    for handler, thread in VARIANTS:
        site = sites()
        plain, real = (begin(site, way, handler, thread, plain) for plain in ("1", None))
        runs.append((site, plain, real, handler, thread))
    for app in [app for run in runs for app in run[1:3]]:
        app.expect("ready")
        DRIVERS[way](app)
    for site, plain_app, app, handler, thread in runs:
        variant = f"{way}, handler {handler}, started in {thread} thread"
        expected = plain_app.wait()
        assert app.wait() == expected, variant
        assert said(app) == said(plain_app), variant
        site.until_ended()
        ends = list(site.check_ends(site.check()).values())
        kind = "producer_died" if is_told_as_died(way, handler, thread) else "producer_closed"
        assert [end["action_type"] for end in ends] == [kind], variant
        assert [end["pid"] for end in ends] == [app.pid], variant
