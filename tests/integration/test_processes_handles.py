"""What a handle does in one process or several: contexts, logging, joining, closing, where it goes."""

import os

import pytest
from support.apps import Site
from support.waiting import until


def test_context_follows_tasks_and_stays_out_of_other_threads(site: Site) -> None:
    """
    context() is a contextvar.

    Nested values add up, tasks inherit them, threads and siblings do not see them.
    """
    site.run("""
        import asyncio, contextvars, threading
        import pipeline
        from stage import emit, start
        start()

        async def task(name):
            with pipeline.context(task=name):
                emit(f"{name} before")
                await asyncio.sleep(0.01)
                emit(f"{name} after", extra=1)
            emit(f"{name} outside")

        async def main():
            with pipeline.context(session_id="s-1"):
                await asyncio.gather(*(task(f"task {n}") for n in range(3)))
                thread = threading.Thread(target=emit, args=("thread",))
                thread.start()
                thread.join()
                carried = contextvars.copy_context()
                thread = threading.Thread(target=carried.run, args=(emit, "carried"))
                thread.start()
                thread.join()
                with pipeline.context(session_id="s-2", trace_id="t"):
                    emit("inner", session_id="s-3")
            emit("none")

        asyncio.run(main())
    """)
    site.until_ended()
    found = {
        record["tag"]: {key: record[key] for key in ("session_id", "task", "trace_id") if key in record}
        for record in site.check()
        if "tag" in record
    }
    for name in ("task 0", "task 1", "task 2"):
        assert found[f"{name} before"] == {"session_id": "s-1", "task": name}
        assert found[f"{name} after"] == {"session_id": "s-1", "task": name}
        assert found[f"{name} outside"] == {"session_id": "s-1"}
    assert found["thread"] == found["none"] == {}
    assert found["carried"] == {"session_id": "s-1"}
    assert found["inner"] == {"session_id": "s-3", "trace_id": "t"}


def test_logging_goes_through_the_queue_unchanged(site: Site) -> None:
    """
    logging.handlers.QueueHandler(pl.queue) is all it takes.

    Level, logger, message, extra and traceback arrive.
    """
    site.run("""
        import logging, logging.handlers
        from stage import start
        pl = start()
        log = logging.getLogger("shop.cart")
        log.setLevel("DEBUG")
        log.addHandler(logging.handlers.QueueHandler(pl.queue))
        log.info("added %d of %s", 3, "tea", extra={"cart": 17})
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("failed")
    """)
    site.until_ended()
    added, failed = site.of_type("log")
    assert (added["level"], added["logger"], added["message"]) == ("INFO", "shop.cart", "added 3 of tea")
    assert added["cart"] == 17
    assert failed["level"] == "ERROR"
    assert "ZeroDivisionError: division by zero" in str(failed)


def test_disabled_it_starts_nothing_touches_nothing_and_accepts_nothing(site: Site) -> None:
    """enabled=False: no process, no file, no handler, and every call answers as if all were well."""
    app = site.run("""
        import asyncio, os, pickle, signal, threading
        import pipeline
        from stage import say, start
        def state():
            handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
            return handlers, threading.active_count()
        before = state()
        fds = os.listdir("/proc/self/fd")
        pl = start(enabled=False)
        assert pl.emit("work") == pl.emit("work", durable=True) == pipeline.emit("work") == 0
        assert asyncio.run(pl.aemit("work")) == 0
        assert asyncio.run(pl.aflush())
        assert pl.flush() and pl.health()["status"] == "ok"
        pl.queue.put("x")
        pl.queue.put_nowait("x")
        assert pickle.loads(pickle.dumps(pl)).emit("work") == 0
        assert pl.close()
        assert state() == before
        assert len(os.listdir("/proc/self/fd")) == len(fds)
    """)
    assert app.wait() == 0
    assert not site.workers()
    assert not site.log_dir.exists()
    assert not os.listdir(site.root)


def test_two_apps_over_one_directory_share_the_workers(site: Site) -> None:
    """The second joins: one supervisor, one writer, one file; the pipeline ends with the later of them."""
    text = """
        from stage import emit, hear, say, start
        import sys
        start()
        for index in range(100):
            emit(f"{sys.argv[1]} {index}")
        say("ready")
        hear()
        emit(f"{sys.argv[1]} end")
    """
    first = site.app(text, "first")
    first.expect("ready")
    pids = (site.supervisor(), site.writer())
    second = site.app(text, "second")
    second.expect("ready")
    first.tell("end")
    assert first.wait() == 0
    until(lambda: len(site.ends()) == 1, "the end of the first")
    assert (site.supervisor(), site.writer()) == pids
    assert len(site.workers()) == 2
    second.tell("end")
    assert second.wait() == 0
    site.until_ended()
    assert len(site.accepted()) == 202
    assert len(site.files()) == 1
    assert len(site.of_type("pipeline_started")) == len(site.of_type("pipeline_stopped")) == 1
    assert len(site.check_ends(site.check())) == 2


def test_two_directories_in_one_process_stay_apart(site: Site) -> None:
    """Each handle writes to its own directory; pipeline.emit() goes to the one that was started last."""
    site.run("""
        import os
        import pipeline
        first = pipeline.start_pipeline(os.environ["SITE_LOG_DIR"])
        other = pipeline.start_pipeline(os.environ["SITE_LOG_DIR"] + "/../other")
        for index in range(50):
            assert first.emit("work", to="first") == index + 1
            assert other.emit("work", to="other") == index + 1
        assert pipeline.emit("work", to="other") == 51
        other.close()
        assert first.emit("work", to="first") == 51
        assert other.emit("work", to="nobody") == 0
    """)
    site.until_ended()
    other = site.log_dir.parent / "other"
    assert [record["to"] for record in site.of_type("work")] == ["first"] * 51
    text = "".join(path.read_text() for path in other.glob("*.jsonl"))
    assert text.count('"to":"other"') == 51
    assert '"to":"first"' not in text


def test_closing_one_handle_leaves_another_on_the_same_directory_open(site: Site) -> None:
    """
    A library and the application each hold a handle.

    The library's close() does not silence the application.
    """
    site.run("""
        from stage import emit, note, start
        library, app = start(), start()
        note("library", library.emit("work", tag="library"))
        assert library.close()
        assert library.emit("work", tag="never") == 0
        number = app.emit("work", tag="app")
        assert number
        note("app", number)
    """)
    site.until_ended()
    assert len(site.accepted()) == 2
    site.check_ends(site.check())


def test_closing_is_idempotent_and_a_closed_process_may_start_again(site: Site) -> None:
    """
    close() waits until all is in the files, answers the same when repeated.

    Does not forbid another start.
    """
    site.run("""
        import pipeline
        from stage import emit, start, note
        with start() as pl:
            for index in range(200):
                emit(f"first {index}")
        assert pl.close() and pl.close(timeout=0)
        assert pl.emit("work") == pipeline.emit("work") == 0
        assert pipeline.close() and pipeline.close() and pipeline.flush()
        again = start()
        for index in range(200):
            emit(f"second {index}")
        assert pipeline.close()
        assert "second 199" in "".join(
            path.read_text() for path in __import__("pathlib").Path(pl.log_dir).glob("*.jsonl")
        )
    """)
    site.until_ended()
    ends = site.check_ends(site.check())
    assert [end["last_action_number"] for end in ends.values()] == [200, 200]
    assert {end["action_type"] for end in ends.values()} == {"producer_closed"}


def test_module_functions_without_a_pipeline_do_nothing(site: Site) -> None:
    """A library may call pipeline.emit() whether or not its application has a pipeline."""
    site.run("""
        import pipeline
        assert pipeline.emit("work") == 0
        assert pipeline.flush() and pipeline.close()
        with pipeline.context(a=1):
            pass
    """)
    assert not os.listdir(site.root)


@pytest.mark.parametrize("given", ["variable", "home", "dollar", "default"])
def test_the_log_directory_is_found_alike_by_start_and_attach(given: str, site: Site) -> None:
    """
    $PIPELINE_LOG_DIR, ~ and $NAME lead both to the same place.

    Where nothing is said it is ~/.pipeline/logs.
    """
    home = site.home / "home"
    home.mkdir()
    argument = {"variable": "", "home": "~/logs", "dollar": "$SHOP/logs", "default": ""}[given]
    where = home / ".pipeline" / "logs" if given == "default" else home / "logs"
    variable = "$SHOP/logs" if given == "variable" else None
    site.log_dir = where.resolve()
    text = """
        import sys
        import pipeline
        from stage import hear, note, say
        how = getattr(pipeline, sys.argv[1])
        pl = how(*sys.argv[2:])
        say("at", pl.log_dir)
        note(sys.argv[1], pl.emit("work", tag=sys.argv[1]))
        hear()
    """
    arguments = [argument] if argument else []
    env = {"HOME": str(home), "SHOP": str(home), "PIPELINE_LOG_DIR": variable}
    first = site.app(text, "start_pipeline", *arguments, **env)
    assert first.expect("at") == str(site.log_dir)
    second = site.app(text, "attach", *arguments, **env)
    assert second.expect("at") == str(site.log_dir)
    # A second launcher may have started a supervisor that finds the place taken and ends.
    until(lambda: len(site.workers("supervisor")) == 1, "one supervisor")
    for app in (first, second):
        app.tell("end")
        assert app.wait() == 0
    site.until_ended()
    assert len(site.check_ends(site.check())) == 2
