"""`pipeline run`: the supervisor as a service in the foreground."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final, NoReturn

import click

from pipeline import launch, settings as settings_table
from pipeline.cli.options import act_as_owner, dir_option, shown
from pipeline.cli.waiting import wait_until
from pipeline.errors import AlreadyRunningError, RuntimeDirectoryError, SettingsError
from pipeline.host import files, processes
from pipeline.host.locks import RecordLock
from pipeline.paths import Places, create_runtime, places_for, resolve_log_dir

if TYPE_CHECKING:
    from pipeline.settings import Reading, Settings

EPILOG: Final = """\b
Examples:
  $ pipeline run                                       over the default log directory
  $ pipeline run --dir /var/log/app --health-port 9180
  $ pipeline run --settings-file /etc/app/pipeline.toml

\b
Signals:
  SIGTERM, SIGINT  write what is queued, wait for producers up to drain_timeout_sec, exit 0
  SIGUSR1          bring everything to the disk now (as `pipeline flush`)
  SIGUSR2          read the settings file again and replace the writer (as `pipeline reload`)
  SIGHUP           close the day files and open them again

\b
After a clean stop producers start nothing by themselves: their records wait for the next `pipeline run`.
Run it as the user of the application, outside of any other pid namespace than the application's.
"""
_TAKE_OVER_SEC: Final = 60.0
_LAUNCH_SEC: Final = 10.0


@click.command(name="run", epilog=EPILOG)
@dir_option
@click.option(
    "--settings-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Settings in JSON, TOML or YAML.  [default: $PIPELINE_SETTINGS_FILE, else ~/.pipeline/settings.*]",
)
@click.option(
    "--health-host", metavar="ADDRESS", help="Where the health endpoint listens.  [default: 127.0.0.1]"
)
@click.option(
    "--health-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Its port.  [default: any free one; `pipeline status` shows it]",
)
@click.option("--strict", is_flag=True, help="Refuse to start with a setting that cannot be used.")
def command(
    directory: str | None,
    settings_file: str | None,
    health_host: str | None,
    health_port: int | None,
    *,
    strict: bool,
) -> None:
    """
    Run the pipeline as a service in the foreground, for applications that attach().

    Takes over from a supervisor that an application has started; nobody notices and nothing is lost. Settings
    come from the options, the environment and the file, in this order.
    """
    given = {
        "log_dir": directory,
        "health_host": health_host,
        "health_port": health_port,
        "strict": strict or None,
    }
    options = {name: value for name, value in given.items() if value is not None}
    reading = settings_table.read(options, settings_file)
    settings = reading.settings
    for complaint in reading.complaints:
        click.echo(f"Warning: {complaint}", err=True)
    if not settings.enabled:
        raise SettingsError("the pipeline is switched off", where="enabled", remedy="Try: enabled = true")
    log_dir = resolve_log_dir(settings.log_dir or None)
    act_as_owner(log_dir)
    places = places_for(log_dir, settings.state_dir)
    python = processes.worker_python(settings.worker_python)
    _prepare_log_dir(places, settings)
    with_lock = take_over(places, reading)
    _announce(places, settings)
    _become_supervisor(places, python, with_lock)


def take_over(places: Places, reading: Reading) -> RecordLock:
    """
    Stop whoever supervises now and publish our settings; returns the launch lock, held.

    While it is held nobody else starts a supervisor; it passes to the supervisor that this process becomes.
    """
    _refuse_second_service(places)
    while True:
        _stop_running(places)
        create_runtime(places)
        lock = RecordLock(places.runtime("launch.lock"))
        if not wait_until(lock.try_acquire, _LAUNCH_SEC, lambda: "waiting for another launcher"):
            lock.close()
            raise AlreadyRunningError(
                "somebody else keeps starting this pipeline", where=shown(places.log_dir)
            )
        if lock.is_current() and launch.supervisor_pid(places) is None:
            break
        lock.close()
    launch.publish_settings(places, reading)
    files.remove(places.runtime(launch.STOPPED_MARK))
    files.remove(places.service_mark)
    return lock


def _refuse_second_service(places: Places) -> None:
    pid = launch.supervisor_pid(places)
    about = files.read_json(places.runtime("supervisor.json")) or {}
    if pid is not None and about.get("service") and about.get("pid") == pid:
        raise AlreadyRunningError(
            f"a service runs here already, pid {pid}",
            where=shown(places.log_dir),
            remedy="Try: pipeline status, or pipeline stop first",
        )


def _stop_running(places: Places) -> None:
    """End the supervisor that an application started, and hold producers back from starting another."""
    pid = launch.supervisor_pid(places)
    if pid is None:
        return
    files.write_json(places.runtime(launch.STOPPED_MARK), {"by": "pipeline run", "pid": os.getpid()})
    if pid > 0:
        os.kill(pid, signal.SIGTERM)
    if not wait_until(
        lambda: launch.supervisor_pid(places) is None, _TAKE_OVER_SEC, lambda: f"taking over from pid {pid}"
    ):
        raise AlreadyRunningError(
            f"the running supervisor, pid {pid}, does not end",
            where=shown(places.log_dir),
            remedy="Try: pipeline status --log",
        )


def _prepare_log_dir(places: Places, settings: Settings) -> None:
    """Make the log directory. A volume that is not there yet is no reason not to start: the queue holds."""
    try:
        places.log_dir.mkdir(mode=settings.dir_mode, parents=True, exist_ok=True)
        if not os.access(places.log_dir, os.W_OK | os.X_OK):
            raise PermissionError(13, "no permission to write there")
    except OSError as error:
        click.echo(
            f"Warning: {shown(places.log_dir)}: {error.strerror}; records wait in the queue till then",
            err=True,
        )


def _announce(places: Places, settings: Settings) -> None:
    port = settings.health_port
    where = (
        f"health at http://{settings.health_host}:{port}/health"
        if port
        else "for the address: pipeline status"
    )
    click.echo(
        f"pipeline {launch.VERSION}: pid {os.getpid()}, log directory {shown(places.log_dir)}, {where}",
        err=True,
    )


def _become_supervisor(places: Places, python: str, lock: RecordLock) -> NoReturn:
    """Replace this program by the supervisor: same pid, so whoever started us watches the right process."""
    os.set_inheritable(lock.fd, True)  # noqa: FBT003 - the only way to say it
    command_line = [python, "-P", "-m", "workers", "supervisor", *launch.place_arguments(places), "--service"]
    try:
        os.execve(python, [*command_line, "--take-over"], processes.worker_environment())  # noqa: S606 - our own
    except OSError as error:
        raise RuntimeDirectoryError(
            "the interpreter of the workers cannot be started", where=python, cause=error.strerror
        ) from error
