"""Context that is carried to the processes of a pool, whichever way they are started."""

from support.apps import Site


def test_processes_of_a_pool_have_what_is_carried_to_them(site: Site) -> None:
    """wrap() and resume(): ids, the span's too, and baggage are in what spawned and forked processes emit."""
    site.run(
        """
        import multiprocessing, os
        from concurrent.futures import ProcessPoolExecutor
        import pipeline
        from pipeline import context
        from opentelemetry.sdk.trace import TracerProvider

        def work(way):
            pipeline.attach(os.environ["SITE_LOG_DIR"])
            pipeline.emit("work", way=way)
            pipeline.close()

        def resumed(way, carried):
            with context.resume(carried):
                work(way)

        if __name__ == "__main__":
            pl = pipeline.start_pipeline(os.environ["SITE_LOG_DIR"])
            with context(session_id="before"):
                for start in ("fork", "spawn"):
                    with ProcessPoolExecutor(1, multiprocessing.get_context(start)) as pool:
                        pool.submit(work, "plain " + start).result()
                        with context(session_id="s", baggage={"a": "1"}):
                            with TracerProvider().get_tracer("t").start_as_current_span("x"):
                                pl.emit("work", way="here " + start)
                                pool.submit(context.wrap(work), "wrapped " + start).result()
                                pool.submit(resumed, "resumed " + start, context.carry()).result()
                        pool.submit(work, "after " + start).result()
        """
    )
    site.until_ended()
    found = {record["way"]: record for record in site.of_type("work")}
    ids = ("session_id", "baggage", "trace_id", "span_id")
    for start in ("fork", "spawn"):
        here = {name: found[f"here {start}"][name] for name in ids}
        assert (here["session_id"], here["baggage"]) == ("s", {"a": "1"})
        for way in ("wrapped", "resumed"):
            assert {name: found[f"{way} {start}"][name] for name in ids} == here
        # A fork copies the context of the moment it was made in; a fresh process has none.
        inherited = {"session_id": "before"} if start == "fork" else {}
        for way in ("plain", "after"):
            record = found[f"{way} {start}"]
            assert {name: record[name] for name in ids if name in record} == inherited
    assert len({record["producer"] for record in found.values()}) >= 3
