"""What is told of an end has to be true, and our handlers have to be good neighbours of the application's."""

import os
import signal

import pytest
from support.apps import Site
from support.waiting import until

SURVIVOR = """
    import signal, sys, time
    from stage import emit, hear, say, start

    signal.signal(signal.SIGTERM, lambda *_: say("survived"))
    start()
    emit("before")
    say("ready")
    while hear() != "end":
        emit("after")
        say("emitted")
"""


@pytest.mark.smoke
def test_sigterm_drains_what_was_emitted_and_is_named_as_the_end(site: Site) -> None:
    """The smallest whole run: start, emit, SIGTERM; records and end are in the files, and nobody is left."""
    app = site.app("""
        import time
        from stage import emit, say, start
        start()
        for index in range(100):
            emit(f"record {index}")
        say("ready")
        time.sleep(60)
    """)
    app.expect("ready")
    app.kill(signal.SIGTERM)
    assert app.wait() == -signal.SIGTERM
    site.until_ended()
    (end,) = site.check_ends(site.check()).values()
    assert (end["action_type"], end["signal"], end["last_action_number"]) == (
        "producer_closed",
        "SIGTERM",
        100,
    )


def test_a_signal_that_the_app_survived_is_not_told_as_its_end(site: Site) -> None:
    """An app that only notes SIGTERM goes on, and later ends for another reason: that one is told."""
    app = site.app(SURVIVOR)
    app.expect("ready")
    app.kill(signal.SIGTERM)
    app.expect("survived")
    app.tell("go on")
    app.expect("emitted")
    app.tell("end")
    assert app.wait() == 0
    site.until_ended()
    (end,) = site.check_ends(site.check()).values()
    assert end["action_type"] == "producer_closed"
    assert "signal" not in end


def test_an_app_killed_long_after_a_signal_it_survived_is_told_as_died(site: Site) -> None:
    """The mark of a normal end that SIGTERM left does not stand once the app has gone on."""
    app = site.app(SURVIVOR)
    app.expect("ready")
    app.kill(signal.SIGTERM)
    app.expect("survived")
    app.tell("go on")
    app.expect("emitted")
    app.kill(signal.SIGKILL)
    app.wait()
    site.until_ended()
    (end,) = site.check_ends(site.check(unacknowledged=1)).values()
    assert end["action_type"] == "producer_died"


def test_a_handler_that_calls_ours_before_and_after_a_second_start_ends_the_app(site: Site) -> None:
    """Handlers may be chained: a second start_pipeline() must not make ours and theirs call each other."""
    app = site.app("""
        import os, signal, time
        import pipeline
        from stage import emit, say, start
        start()
        before = signal.getsignal(signal.SIGTERM)
        def mine(number, frame):
            say("mine")
            before(number, frame)
        signal.signal(signal.SIGTERM, mine)
        pipeline.start_pipeline(os.environ["SITE_LOG_DIR"] + "/second")
        start()
        emit("one")
        say("ready")
        time.sleep(60)
    """)
    app.expect("ready")
    app.kill(signal.SIGTERM)
    status = app.wait()
    assert app.told.count("mine") == 1
    assert "RecursionError" not in app.error_text()
    assert status == -signal.SIGTERM


def test_an_ignored_signal_stays_ignored(site: Site) -> None:
    """Under nohup, or in a background job of a script, SIGINT is ignored before Python starts."""
    app = site.app("""
        import os, signal
        from stage import emit, hear, say, start
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        start()
        emit("one")
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        emit("two")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    """)
    assert app.wait() == 0, app.error_text()
    site.until_ended()
    (end,) = site.check_ends(site.check()).values()
    assert end["last_action_number"] == 2
    assert "signal" not in end


@pytest.mark.parametrize("first", ["while it runs", "at teardown"])
def test_records_of_atexit_del_and_module_teardown_are_kept(first: str, site: Site) -> None:
    """emit() works until the interpreter is gone, and the number told with the end counts all of it."""
    (site.scripts / "library.py").write_text("kept = []\n")
    site.run(
        """
        import atexit, sys
        import library
        from stage import emit, start

        class Last:
            def __init__(self, tag, emit):
                self.tag, self.emit = tag, emit
            def __del__(self):
                self.emit("work", tag=self.tag)

        pl = start()
        if sys.argv[1] == "while it runs":
            atexit.register(emit, "atexit")
            emit("running")
        library.kept.append(Last("in a library module", pl.emit))
        in_main = Last("in the main module", pl.emit)
        cycle = Last("in a cycle", pl.emit)
        cycle.itself = cycle
    """,
        first,
    )
    site.until_ended()
    ends = site.check_ends(site.check(unacknowledged=3))
    tags = {record["tag"] for record in site.of_type("work")}
    earlier = {"running", "atexit"} if first == "while it runs" else set()
    assert tags == earlier | {"in a library module", "in the main module", "in a cycle"}
    assert [end["action_type"] for end in ends.values()] == ["producer_closed"]


def test_an_exit_of_a_thread_and_an_exception_in_one_are_no_end(site: Site) -> None:
    """sys.exit() in a thread ends the thread; the process and its lane go on."""
    site.run("""
        import sys, threading
        from stage import emit, start
        start()
        def leave(how):
            emit(f"thread {how}")
            raise how
        threading.excepthook = lambda *_: None
        for how in (SystemExit(3), ValueError("of a thread")):
            thread = threading.Thread(target=leave, args=(how,))
            thread.start()
            thread.join()
        emit("main")
    """)
    site.until_ended()
    (end,) = site.check_ends(site.check()).values()
    assert (end["action_type"], end["last_action_number"]) == ("producer_closed", 3)


def test_everybody_killed_at_once_is_delivered_by_the_next_start(site: Site) -> None:
    """App, supervisor and writer get SIGKILL; the next app over the directory delivers what was queued."""
    app = site.app("""
        from stage import emit, hear, say, start
        start()
        for index in range(200):
            emit(f"first {index}")
        say("ready")
        hear()
        for index in range(5000):
            emit(f"last {index}")
        say("emitted")
        hear()
    """)
    app.expect("ready")
    victims = [site.supervisor(), site.writer()]
    os.kill(victims[1], signal.SIGSTOP)
    app.tell("emit")
    app.expect("emitted")
    for pid in (*victims, app.pid):
        os.kill(pid, signal.SIGKILL)
    app.wait()
    until(lambda: not site.workers(), "the end of all")
    site.run("""
        from stage import emit, start
        start()
        emit("second life")
    """)
    site.until_ended()
    ends = site.check_ends(site.check())
    assert sorted(end["action_type"] for end in ends.values()) == ["producer_closed", "producer_died"]
