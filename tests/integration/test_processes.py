"""Every kind of process may emit: each has a lane of its own, nothing is lost, a normal end is no death."""

import pytest
from support.apps import Site


def kinds(ends: dict) -> list[str]:
    """Return how the producers ended, sorted."""
    return sorted(end["action_type"].removeprefix("producer_") for end in ends.values())


CHILDREN = """
    import multiprocessing, sys
    import pipeline
    from stage import emit, start

    def work(name):
        for index in range(50):
            emit(f"{name} {index}")

    def work_with(pl, name):
        for index in range(50):
            emit(f"{name} {index}", through=pl)

    if __name__ == "__main__":
        method, handing_over = sys.argv[1:]
        context = multiprocessing.get_context(method)
        pl = start()
        emit("parent")
        jobs = [(f"child {n}",) for n in range(3)]
        if handing_over == "pickled":
            children = [context.Process(target=work_with, args=(pl, *job)) for job in jobs]
        else:
            children = [context.Process(target=work, args=job) for job in jobs]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == 0
"""


@pytest.mark.parametrize(
    ("method", "handing_over"),
    [("fork", "inherited"), ("fork", "pickled"), ("spawn", "pickled"), ("forkserver", "pickled")],
)
def test_children_of_multiprocessing_have_lanes_that_they_close(method, handing_over, site: Site) -> None:
    """A child of each start method emits through what it inherited or was given, and its end is no death."""
    site.run(CHILDREN, method, handing_over)
    site.until_ended()
    assert len(site.accepted()) == 151
    assert kinds(site.check_ends(site.check())) == ["closed"] * 4


POOLS = """
    import concurrent.futures, multiprocessing, sys
    import pipeline
    from stage import emit, start

    def work(name):
        emit(f"task {name}")

    def ready(pl):
        global kept
        kept = pl

    if __name__ == "__main__":
        kind, method = sys.argv[1:]
        context = multiprocessing.get_context(method)
        pl = start()
        emit("parent")
        if kind == "pool":
            with context.Pool(3, initializer=ready, initargs=(pl,)) as pool:
                pool.map(work, range(200))
                pool.close()
                pool.join()
        else:
            with concurrent.futures.ProcessPoolExecutor(3, context, ready, (pl,)) as pool:
                list(pool.map(work, range(200)))
"""


@pytest.mark.parametrize(
    ("kind", "method"), [("pool", "fork"), ("pool", "spawn"), ("executor", "fork"), ("executor", "spawn")]
)
def test_pools_of_processes_lose_nothing_and_their_ends_are_normal(kind, method, site: Site) -> None:
    """Pool and ProcessPoolExecutor: 200 tasks, 200 records; workers that were joined closed their lanes."""
    site.run(POOLS, kind, method)
    site.until_ended()
    assert len(site.accepted()) == 201
    assert set(kinds(site.check_ends(site.check()))) == {"closed"}


def test_a_pool_that_is_terminated_loses_nothing(site: Site) -> None:
    """`with Pool()` ends its workers with SIGTERM in the middle of whatever they do."""
    site.run("""
        import multiprocessing, time
        from stage import emit, start

        def work(name):
            emit(f"task {name}")

        def endless(name):
            count = 0
            while True:
                count += 1
                emit(f"endless {name} {count}")

        if __name__ == "__main__":
            start()
            with multiprocessing.get_context("fork").Pool(2) as pool:
                pool.map(work, range(20))
                pool.map_async(endless, range(2))
                time.sleep(0.3)
    """)
    site.until_ended()
    site.check_ends(site.check(unacknowledged=2))


def test_forks_without_exec_get_lanes_of_their_own(site: Site) -> None:
    """os.fork(): the child's records are its own, the parent's lane goes on, os._exit() is a death."""
    site.run("""
        import os
        from stage import emit, start
        start()
        emit("parent before")
        for index in range(5):
            pid = os.fork()
            if pid == 0:
                emit(f"child {index}, first")
                grandchild = os.fork()
                if grandchild == 0:
                    emit(f"grandchild {index}")
                    os._exit(0)
                os.waitpid(grandchild, 0)
                emit(f"child {index}, last")
                os._exit(0)
            os.waitpid(pid, 0)
            emit(f"parent after {index}")
    """)
    site.until_ended()
    assert len(site.accepted()) == 1 + 5 * 4
    assert kinds(site.check_ends(site.check())) == ["closed"] + ["died"] * 10


def test_a_fork_that_never_emits_leaves_no_trace(site: Site) -> None:
    """A child that only ends does not end its parent's lane, whichever way it goes."""
    site.run("""
        import os, sys
        from stage import emit, start
        start()
        emit("before")
        for status in range(3):
            if os.fork() == 0:
                sys.exit(status) if status else os._exit(0)
            os.wait()
        emit("after")
    """)
    site.until_ended()
    (end,) = site.check_ends(site.check()).values()
    assert (end["action_type"], end["last_action_number"]) == ("producer_closed", 2)


def test_200_forks_while_other_threads_emit_lose_nothing(site: Site) -> None:
    """The fork may come in the middle of an append of another thread; neither side loses one or hangs."""
    site.run("""
        import os, threading
        import pipeline
        from stage import note, start
        pl = start()
        done = threading.Event()
        accepted = []

        def keep_emitting(name):
            count = 0
            while not done.is_set():
                count += 1
                tag = f"{name} {count}"
                accepted.append((tag, pl.emit("work", tag=tag, filling="x" * 200)))
                if count % 5 == 0:
                    done.wait(0.001)

        threads = [threading.Thread(target=keep_emitting, args=(f"thread {n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for index in range(200):
            pid = os.fork()
            if pid == 0:
                note(f"child {index}", pl.emit("work", tag=f"child {index}"))
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        done.set()
        for thread in threads:
            thread.join()
        for tag, number in accepted:
            note(tag, number)
    """)
    site.until_ended()
    ends = site.check_ends(site.check())
    assert len(ends) == 201


def test_a_signal_handler_that_emits_in_the_middle_of_emit_neither_hangs_nor_loses(site: Site) -> None:
    """1,500 interrupts at a high rate: numbers in order per producer, each record once."""
    site.run("""
        import signal
        from stage import note, start
        pl = start()
        accepted = []
        interrupts = 0

        def interrupt(number, frame):
            global interrupts
            interrupts += 1
            tag = f"handler {interrupts}"
            accepted.append((tag, pl.emit("work", tag=tag)))
            signal.setitimer(signal.ITIMER_REAL, 0.0001)

        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.0001)
        count = 0
        while interrupts < 1500:
            count += 1
            accepted.append((f"main {count}", pl.emit("work", tag=f"main {count}")))
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert all(number for _, number in accepted), pl._emitter.last_error
        for tag, number in accepted[:2000] + accepted[-2000:]:
            note(tag, number)
    """)
    site.until_ended()
    ends = site.check_ends(site.check(unacknowledged=1_000_000))
    assert set(kinds(ends)) == {"closed"}
    assert len(ends) > 1, "no interrupt hit emit(): the test shows nothing"


@pytest.mark.parametrize("filling", [10, 150_000], ids=["small records", "a new segment each second record"])
def test_a_handler_that_raises_out_of_emit_leaves_a_lane_that_goes_on(filling: int, site: Site) -> None:
    """An exception between any two instructions of emit(): the record is there or its number is free."""
    site.run(
        """
        import signal, sys
        from stage import note, start
        pl = start(queue_max_mb=4096, queue_full_strategy="block", block_timeout_sec=20)
        filling = "x" * int(sys.argv[1])

        class Timeout(BaseException):
            pass

        def interrupt(number, frame):
            raise Timeout

        signal.signal(signal.SIGALRM, interrupt)
        for attempt in range(600):
            accepted = []
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0001 + attempt * 0.000001)
                while True:
                    tag = f"{attempt} {len(accepted)}"
                    accepted.append((tag, pl.emit("work", tag=tag, filling=filling)))
            except Timeout:
                pass
            for tag, number in accepted:
                note(tag, number)
        note("last", pl.emit("work", tag="last"))
    """,
        str(filling),
    )
    site.until_ended(30)
    (end,) = site.check_ends(site.check(unacknowledged=600)).values()
    assert end["action_type"] == "producer_closed"


def test_what_a_signal_handler_raises_passes_emit(site: Site) -> None:
    """Timeouts are built on handlers that raise: one that comes during emit() reaches the application."""
    site.run("""
        import signal
        from stage import start
        pl = start()

        def interrupt(number, frame):
            raise TimeIsUp

        class TimeIsUp(Exception):
            pass

        signal.signal(signal.SIGALRM, interrupt)
        for attempt in range(100):
            count = 0
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.001)
                while count < 100_000:
                    count += 1
                    pl.emit("work", tag=f"{attempt} {count}")
                raise SystemExit("the timeout was swallowed")
            except TimeIsUp:
                pass
    """)


def test_threads_share_a_lane_and_keep_their_order(site: Site) -> None:
    """Eight threads at once: one producer, each thread's records in its order."""
    site.run("""
        import threading
        from stage import note, start
        pl = start()
        rows = [[] for _ in range(8)]
        def work(row, name):
            for index in range(2000):
                tag = f"{name} {index}"
                row.append((tag, pl.emit("work", tag=tag, thread=name, index=index)))
        threads = [threading.Thread(target=work, args=(row, n)) for n, row in enumerate(rows)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for row in rows:
            for tag, number in row:
                note(tag, number)
    """)
    site.until_ended()
    records = site.check()
    assert kinds(site.check_ends(records)) == ["closed"]
    for thread in range(8):
        indexes = [record["index"] for record in records if record.get("thread") == thread]
        assert indexes == list(range(2000))
