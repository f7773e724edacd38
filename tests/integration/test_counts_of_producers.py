"""What producers mask and cut is counted outside of them, past their end and the writer's."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import TYPE_CHECKING

from support.commands import call
from support.waiting import until

if TYPE_CHECKING:
    from support.apps import Site

APP = """
    import os, sys
    import pipeline
    from stage import hear, say
    pl = pipeline.start_pipeline(os.environ["SITE_LOG_DIR"], max_record_bytes=4096)
    for _ in range(8):
        pl.emit("login", password="hunter22hunter22")
    pl.emit("sh", output="x" * 2000)
    pl.emit("sh", note="x" * 9000)
    if os.fork() == 0:
        pl.emit("login", password="hunter22hunter22")
        pl.close()
        os._exit(0)
    os.wait()
    say("emitted")
    hear()
"""
SAMPLE = re.compile(r'^pipeline_(values_masked|records_truncated)_total\{\w+="(\w+)"\} (\d+)$', re.MULTILINE)


def metrics(site: Site) -> dict[str, int]:
    """Return the samples of what was masked and cut."""
    found = SAMPLE.findall(site.get("/metrics")[1].decode())
    return {name: int(count) for _, name, count in found}


def test_counts_of_all_producers_add_up_and_outlive_them_and_the_writer(site: Site) -> None:
    """A forked child that ends, a producer that is killed, one that lives, and a writer that is killed."""
    killed, living = site.app(APP), site.app(APP)
    killed.expect("emitted")
    living.expect("emitted")
    expected = {"name": 18, "max_output_chars": 2, "max_record_bytes": 2}
    until(lambda: metrics(site) == expected, "the sum of four processes")
    killed.kill()
    until(lambda: site.of_type("producer_died"), "the end of the killed one")
    assert [end["masked"] for end in site.of_type("producer_died")] == [{"name": 8}]
    until(lambda: metrics(site) == expected, "the sum past the end of three of them")
    noted = site.places.runtime("writer.json")
    ended = {"masked": {"name": 10}, "truncated": {"max_output_chars": 1, "max_record_bytes": 1}}
    until(lambda: json.loads(noted.read_bytes())["counted_of_ended"] == ended, "a note for the next writer")
    os.kill(site.writer(), signal.SIGKILL)
    until(lambda: site.of_type("writer_restarted"), "a successor")
    until(lambda: metrics(site) == expected, "the sum from the next writer")
    page = call(site, "status").stdout
    assert "\nmasked     18 name\ntruncated  2 max_output_chars, 2 max_record_bytes\n" in page
    assert site.health()["masked"] == {"name": 18}
    living.tell("end")
    assert living.wait() == 0
