"""An outage of a plain application: its secrets are masked in the fallback store and in what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.needles import PASSWORD, SECRET, files_with, leaks
from support.waiting import until

from pipeline.testing import LogDirectoryAway

if TYPE_CHECKING:
    from support.apps import Site

APPLICATION = f"""
    from stage import emit, hear, say, start

    pl = start(breaker_probe_sec=0.4)
    say("ready")
    while (name := hear()) != "end":
        for index in range(50):
            emit(f"{{name}} {{index}}", note="key {SECRET}", args={{"password": "{PASSWORD}", "n": [index]}})
        say("emitted", name)
"""
SHOWN = b"ghp***[MASKED 40 chars]***"


def test_secrets_are_masked_in_the_fallback_store_and_in_what_is_replayed(site: Site) -> None:
    """The bytes of the SQLite file and of its WAL while it is in use, and those of the parts afterwards."""
    fallback = site.home / "fallback"
    app = site.app(APPLICATION, PIPELINE_FALLBACK_DIR=str(fallback))
    app.expect("ready")

    def emits(name: str) -> None:
        app.tell(name)
        assert app.expect("emitted") == name

    emits("before")
    until(lambda: len(site.of_type("work")) == 50, "the records in a file")
    with LogDirectoryAway(site.log_dir):
        emits("away")
        site.until_reason("fallback_in_use")
        until(lambda: files_with(SHOWN, fallback), "masked records in the store")
        assert any(path.name.endswith("-wal") for path in fallback.rglob("*"))
        assert not leaks(site.root, fallback)
    site.until_reason("fallback_in_use", holds=False)
    app.tell("end")
    assert app.wait() == 0, app.error_text()
    site.until_ended()
    site.check()
    (part,) = site.log_dir.glob("*.r*.jsonl")
    assert part.read_bytes().count(SHOWN) >= 50
    assert not leaks(site.log_dir, site.root, fallback)
