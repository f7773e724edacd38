"""The command `pipeline` as a test calls it: in a process of its own, over a site's log directory."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.apps import App, Site
from support.waiting import HANG_SEC, until

_SCRIPT = Path(sys.executable).with_name("pipeline")
PIPELINE = (
    [str(_SCRIPT)] if _SCRIPT.exists() else [sys.executable, "-c", "from pipeline.cli import main; main()"]
)
"""The console script that pip has installed beside this interpreter."""
_END_SEC = 5.0
EMIT_UNTIL_TOLD = """
    import select, sys
    import stage, pipeline, os
    pl = pipeline.attach(os.environ["SITE_LOG_DIR"]) if "attach" in sys.argv else stage.start()
    stage.say("ready", pl.settings.queue_max_mb)
    n = 0
    while not select.select([0], [], [], 0.002)[0]:
        n += 1
        stage.emit(f"app {n}", through=pl)
    stage.say("emitted", n)
"""
"""An application that records until `end` tells it to stop; "attach" lets it join a pipeline that runs."""


def call(
    site: Site, name: str, *arguments: str, status: int = 0, stdin: bytes = b"", **env: str | None
) -> subprocess.CompletedProcess[str]:
    """Run a subcommand over the site's log directory; it has to end with `status`."""
    result = subprocess.run(
        [*PIPELINE, name, "--dir", str(site.log_dir), *arguments],
        input=stdin,
        capture_output=True,
        env=site.env(**env),
        timeout=2 * HANG_SEC,
        check=False,
    )
    out, err = result.stdout.decode(), result.stderr.decode()
    assert result.returncode == status, f"exit status {result.returncode}\n{out}\n{err}"
    assert "Traceback" not in err
    return subprocess.CompletedProcess(result.args, status, out, err)


def ask(site: Site, name: str, *arguments: str, status: int = 0, **how: Any) -> dict[str, Any]:
    """Run a subcommand with --json and return what it printed."""
    return json.loads(call(site, name, *arguments, "--json", status=status, **how).stdout)


def start(site: Site, name: str, *arguments: str, **how: Any) -> App:
    """Start a subcommand and leave it running."""
    return site.command([*PIPELINE, name, "--dir", str(site.log_dir), *arguments], **how)


@contextmanager
def service(site: Site, *arguments: str, **env: str | None) -> Iterator[App]:
    """Run the pipeline as a service, ready to write."""
    app = start(site, "run", *arguments, **env)
    try:
        until(lambda: _is_ready(site, app), "a service that writes")
        yield app
    finally:
        _end(app)


def _end(app: App) -> None:
    """End a service that a failing test has left; the second signal ends its wait for producers."""
    for _ in range(2):
        if app.process.poll() is None:
            app.kill(signal.SIGTERM)
            try:
                app.process.wait(_END_SEC)
            except subprocess.TimeoutExpired:
                continue


def _is_ready(site: Site, app: App) -> bool:
    assert app.process.poll() is None, app.error_text()
    said = site.places.runtime("writer.json")
    about = site.places.runtime("supervisor.json")
    if not said.exists() or not about.exists():
        return False
    is_ours = json.loads(about.read_bytes()).get("pid") == app.pid
    return is_ours and json.loads(said.read_bytes()).get("state") == "writing"


def end(app: App) -> int:
    """Let an application that emits until it is told to stop end; returns how many records it emitted."""
    app.tell("end")
    count = int(app.expect("emitted"))
    assert app.wait() == 0
    return count
