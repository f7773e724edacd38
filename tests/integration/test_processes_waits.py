"""Calls that wait: for the file, for the disk, for room, with or without an event loop."""

import os
import signal

from support.apps import Site
from support.waiting import until


def test_aemit_and_aflush_let_the_loop_go_on(site: Site) -> None:
    """Durable records of many tasks; while they wait another task keeps being served."""
    site.run("""
        import asyncio
        from stage import note, start
        pl = start()

        async def work(name):
            for index in range(5):
                tag = f"{name} {index}"
                note(tag, await pl.aemit("work", tag=tag, durable=index == 4))

        async def main():
            turns = 0
            async def tick():
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)
            ticking = asyncio.create_task(tick())
            await asyncio.gather(*(work(f"task {n}") for n in range(20)))
            assert await pl.aflush(20, durable=True)
            ticking.cancel()
            assert turns > 100, turns

        asyncio.run(main())
    """)
    site.until_ended()
    assert len(site.accepted()) == 100
    site.check_ends(site.check())


def test_the_queue_has_the_face_of_a_multiprocessing_queue(site: Site) -> None:
    """
    put, put_nowait, qsize, full and empty.

    What the policy refuses is queue.Full, and put() waits for room.
    """
    app = site.app("""
        import queue, time
        from stage import hear, note, say, start
        pl = start(queue_max_mb=1, queue_full_strategy="drop_newest")
        assert not pl.queue.full()
        pl.queue.put({"action_type": "work", "tag": "a mapping"})
        note("a mapping", 1)
        pl.queue.put_nowait("a text")
        say("ready")
        hear()
        count = 0
        try:
            while True:
                item = {"action_type": "work", "tag": f"filling {count}", "filling": "x" * 10_000}
                pl.queue.put_nowait(item)
                count += 1
                note(f"filling {count - 1}", count + 2)
        except queue.Full:
            pass
        assert pl.queue.full()
        assert pl.queue.qsize() >= count, pl.queue.qsize()
        assert not pl.queue.empty()
        begun = time.monotonic()
        try:
            pl.queue.put({"action_type": "work", "filling": "x" * 10_000}, timeout=0.3)
            raise SystemExit("there was room")
        except queue.Full:
            assert time.monotonic() - begun >= 0.3
        try:
            pl.queue.put({"action_type": "work", "filling": "x" * 10_000}, block=False)
            raise SystemExit("there was room")
        except queue.Full:
            pass
        say("full")
        pl.queue.put({"action_type": "work", "tag": "waited", "filling": "x" * 10_000})
        note("waited", count + 3)
        say("waited")
        assert pl.flush(30)
        assert pl.queue.qsize() == 0 and pl.queue.empty()
    """)
    app.expect("ready")
    writer = site.writer()
    until(lambda: any("tag" in record for record in site.records()), "the first record")
    os.kill(writer, signal.SIGSTOP)
    app.tell("go")
    app.expect("full")
    os.kill(writer, signal.SIGCONT)
    app.expect("waited")
    assert app.wait() == 0, app.error_text()
    site.until_ended()
    site.check()
    (dropped,) = [r for r in site.of_type("records_dropped") if r["reason"] == "queue_full"][-1:]
    assert dropped["count"] > 0


def test_async_logging_off_returns_when_the_record_is_in_the_file(site: Site) -> None:
    """
    Each emit() is followed by a look into the day file.

    With the writer stopped it returns late, and says so.
    """
    app = site.app("""
        import os, pathlib
        from stage import emit, hear, say, start
        pl = start(async_logging=False, sync_timeout_sec=30)
        def is_stored(tag):
            days = pathlib.Path(os.environ["SITE_LOG_DIR"]).glob("*.jsonl")
            return any(f'"tag":"{tag}"' in day.read_text() for day in days)
        for index in range(20):
            emit(f"record {index}")
            assert is_stored(f"record {index}"), index
        pl.close()
        pl = start(async_logging=False, sync_timeout_sec=0.2)
        emit("again")
        say("ready")
        hear()
        assert emit("late") > 0
        say(*pl.health()["reasons"])
    """)
    app.expect("ready")
    writer = site.writer()
    os.kill(writer, signal.SIGSTOP)
    app.tell("go")
    try:
        app.expect("sync_late")
    finally:
        os.kill(writer, signal.SIGCONT)
    assert app.wait() == 0, app.error_text()
    site.until_ended()
    assert len(site.accepted()) == 22
    site.check()


def test_a_durable_record_that_does_not_get_there_raises_and_stays_queued(site: Site) -> None:
    """
    NotDurable while the writer is stopped names the number.

    The record is in the file once the writer goes on.
    """
    app = site.app("""
        import asyncio
        from pipeline import NotDurable
        from stage import emit, hear, note, say, start
        pl = start(durable_timeout_sec=0.3)
        assert pl.emit("work") and pl.flush(30)
        note("first", pl.emit("work", tag="first", durable=True, amount=3))
        say("ready")
        hear()
        for tag in ("second", "third"):
            try:
                if tag == "second":
                    pl.emit("work", tag=tag, durable=True)
                else:
                    asyncio.run(pl.aemit("work", tag=tag, durable=True))
                raise SystemExit("it says durable with the writer stopped")
            except NotDurable as error:
                note(tag, error.action_number)
        assert not pl.flush(0.2) and not pl.flush(0.2, durable=True)
        assert not asyncio.run(pl.aflush(0.2))
        say("refused")
        hear()
        assert pl.flush(30, durable=True)
    """)
    app.expect("ready")
    writer = site.writer()
    os.kill(writer, signal.SIGSTOP)
    app.tell("go")
    try:
        app.expect("refused")
    finally:
        os.kill(writer, signal.SIGCONT)
    app.tell("go")
    assert app.wait() == 0, app.error_text()
    site.until_ended()
    assert [number for _, number in site.accepted()] == [2, 3, 4]
    site.check()
