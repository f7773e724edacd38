"""What an application uses: start_pipeline(), attach(), the handle, and the process-wide default pipeline."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

from pipeline import endings, inquiry, launch, settings as settings_table
from pipeline.emitter import Emitter
from pipeline.episodes import Episodes, Tracer
from pipeline.errors import NotRunningError
from pipeline.host import clock, files
from pipeline.paths import Places, create_runtime, find_places, places_for, resolve_log_dir
from pipeline.relaunch import Relauncher

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from _typeshed import DataclassInstance

    from pipeline.queueing import QueueFace
    from pipeline.records.typed import Record
    from pipeline.settings import Reading, Settings

    Emittable = str | Mapping[str, Any] | Record | DataclassInstance

_ASYNC_POLL_SEC = 0.002


class Pipeline(Episodes):
    """
    A handle on a pipeline in this process. Get one from `start_pipeline()` or `attach()`.

    Handles of the same log directory share the lanes of the process. A handle can be pickled to a child
    process, used from threads and tasks, and as a context manager.
    """

    def __init__(self, places: Places, settings: Settings, *, complaints: list[str] | None = None) -> None:
        self._places = places
        self._settings = settings
        self._complaints = complaints or []
        self._emitter = _emitter_for(places, settings)
        self._is_open = settings.enabled
        if self._is_open:
            self._emitter.handles += 1
        # The emitter's closure takes the method's place: one call less on every record.
        self.emit = self._emitter.emit if settings.enabled else _refuse  # type: ignore[method-assign]

    def emit(self, record: Emittable, /, *, durable: bool = False, **fields: Any) -> int:
        """
        Accept a record and return its action_number (> 0), or 0 when it was not accepted.

        `record` is an action_type with its fields as keywords; or a mapping with `action_type` in it, a typed
        record such as `ToolCall(…)`, a dataclass, to which keywords are added. Never raises for what it is
        given, unless `validation` is strict. `durable=True` returns after the fsync; NotDurable is raised
        when that takes longer than `durable_timeout_sec`, and the record stays queued.
        """
        return self._emitter.emit(record, durable=durable, **fields)

    def wants(self, action_type: str) -> bool:
        """Whether records of a type are recorded: not when `action_types` switches it off."""
        return self._settings.enabled and self._emitter.wants(action_type)

    def was_left_out(self) -> bool:
        """Whether this thread's last record, which emit() answered with 0, was sampled or limited away."""
        return self._emitter.was_left_out()

    @property
    def log_dir(self) -> str:
        """The log directory."""
        return str(self._places.log_dir)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings

    @property
    def queue(self) -> QueueFace:
        """The queue as `multiprocessing.Queue` offers it, for `logging.handlers.QueueHandler(pl.queue)`."""
        from pipeline.queueing import QueueFace

        return QueueFace(self._emitter, is_enabled=self._is_open)

    def flush(self, timeout: float = 5.0, *, durable: bool = False) -> bool:
        """Whether all that this process emitted is in the files (durable: on the disk) within `timeout` s."""
        return not self._settings.enabled or self._emitter.flush(timeout, durable=durable)

    async def aemit(self, record: Emittable, /, *, durable: bool = False, **fields: Any) -> int:
        """Like emit(), for asyncio: waiting for `durable` does not stop the loop."""
        number = self.emit(record, **fields)
        if number and durable and not await self.aflush(self._settings.durable_timeout_sec, durable=True):
            from pipeline.errors import NotDurable

            raise NotDurable(number, self._settings.durable_timeout_sec)
        return number

    async def aflush(self, timeout: float = 5.0, *, durable: bool = False) -> bool:
        """Like flush(), for asyncio."""
        import asyncio

        receipts = self._emitter.receipts()
        deadline = clock.Deadline(timeout)
        while not self._emitter.arrived(receipts, durable=durable):
            if deadline.has_passed:
                return False
            self._emitter.nudge(durable=durable)
            await asyncio.sleep(min(_ASYNC_POLL_SEC, deadline.left))
        return True

    def health(self) -> dict[str, Any]:
        """Return the document of GET /health, with what this process knows of itself in `producer`."""
        if not self._settings.enabled:
            return {"status": "ok", "reasons": [], "enabled": False}
        document = inquiry.fetch_health(self._places) or inquiry.absent_health(self._places)
        return inquiry.with_producer(document, self._emitter, self._complaints)

    def cleanup(
        self,
        retention: float | str | None = None,
        max_size_mb: float | str | None = None,
        *,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Pack old files, let go of those beyond the limits, now; returns what `pipeline cleanup` tells."""
        from pipeline.keeping import at_once

        return at_once.clean(self._places, self._settings, retention, max_size_mb, dry_run=dry_run).document()

    def close(self, timeout: float = 30.0) -> bool:
        """
        End this handle: wait until all that was emitted is in the files. Idempotent.

        The last handle of a log directory closes the lanes of the process.

        Whether everything was written in time; what was not stays queued for the workers.
        """
        if not self._is_open:
            return True
        self._is_open = False
        self.emit = _refuse  # type: ignore[method-assign]
        is_done = self._emitter.flush(timeout)
        self._emitter.handles -= 1
        if self._emitter.handles == 0:
            _forget_emitter(self._places)
            self._emitter.close()
        return is_done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (
            str(self._places.log_dir),
            str(self._places.state_dir),
            settings_table.to_dict(self._settings),
        )

    def __repr__(self) -> str:
        state = "open" if self._is_open else "closed"
        return f"<Pipeline {self.log_dir} {state}>"


_lock = threading.RLock()
_emitters: dict[str, Emitter] = {}
_default: Pipeline | None = None


def start_pipeline(
    log_dir: str | os.PathLike[str] | None = None,
    *,
    settings_file: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Pipeline:
    """
    Start the pipeline over a log directory, or join the one that runs.

    It becomes the default of this process.

    Returns at once; the workers start beside the application. `options` are settings by name. Raises
    SettingsError for an unknown name (and, with strict=True, for a wrong value), WorkerPythonError when no
    interpreter can run the workers, RuntimeDirectoryError when there is no safe place for the queue.
    """
    if log_dir is not None:
        options["log_dir"] = os.fspath(log_dir)
    reading = settings_table.read(options, settings_file)
    settings = reading.settings
    places = places_for(resolve_log_dir(settings.log_dir or None), settings.state_dir)
    if settings.enabled:
        _start(places, reading)
    return _make_default(Pipeline(places, settings, complaints=reading.complaints))


def attach(log_dir: str | os.PathLike[str] | None = None, **options: Any) -> Pipeline:
    """
    Join the pipeline of a log directory, with the settings it runs with.

    It becomes the default of this process.

    Starts its workers when none run, unless it is operated as a service (`pipeline run`): then records wait
    in the queue.
    """
    state_dir = options.get("state_dir") or settings_table.given_outside("state_dir")
    places = find_places(resolve_log_dir(log_dir or settings_table.given_outside("log_dir")), str(state_dir))
    running = launch.published_settings(places)
    reading = running or settings_table.read(
        {**options, **({"log_dir": os.fspath(log_dir)} if log_dir else {})}
    )
    settings, complaints = reading.settings, reading.complaints
    if settings.enabled:
        create_runtime(places)
        if running is None:
            launch.publish_settings(places, reading)
        pipeline = Pipeline(places, settings, complaints=complaints)
        pipeline._emitter.open_lane()  # noqa: SLF001 - made by this module
        if not launch.is_held_back(places):
            launch.start_supervisor(places, settings)
        endings.install(_ending_emitters, settings.container_drain_timeout_sec)
        return _make_default(pipeline)
    return _make_default(Pipeline(places, settings, complaints=complaints))


def default() -> Pipeline:
    """Return the default pipeline of this process; NotRunningError before start_pipeline() or attach()."""
    if _default is None:
        raise NotRunningError(
            "no pipeline in this process", remedy="Call pipeline.start_pipeline() or pipeline.attach() first"
        )
    return _default


def default_or_none() -> Pipeline | None:
    """Return the default pipeline of this process, None when there is none."""
    return _default


def replace_default(pipeline: Any) -> Any:
    """Put something with the face of a Pipeline in the default one's place; returns what was there."""
    global _default
    before, _default = _default, pipeline
    return before


def emit(record: Emittable, /, *, durable: bool = False, **fields: Any) -> int:
    """Emit into the default pipeline; 0 when there is none."""
    if _default is None:
        return 0
    return _default.emit(record, durable=durable, **fields)


class _OfDefault(Episodes):
    """Episodes whose records go into what is the default pipeline when they are emitted."""

    def emit(self, record: Emittable, /, *, durable: bool = False, **fields: Any) -> int:
        return emit(record, durable=durable, **fields)


_episodes = _OfDefault()
llm, session, span, tool = _episodes.llm, _episodes.session, _episodes.span, _episodes.tool


def get_tracer(name: str) -> Tracer:
    """Return a source of spans that are recorded in the default pipeline, with `name` as their scope."""
    return Tracer(_episodes, name)


def flush(timeout: float = 5.0, *, durable: bool = False) -> bool:
    """Flush the default pipeline; True when there is none."""
    return _default is None or _default.flush(timeout, durable=durable)


def close(timeout: float = 30.0) -> bool:
    """Close the default pipeline; True when there is none."""
    global _default
    pipeline, _default = _default, None
    return pipeline is None or pipeline.close(timeout)


def open_lane() -> bool:
    """Make this process's lane in the default pipeline now and not at its first record."""
    return _default is not None and _default._emitter.open_lane()  # noqa: SLF001 - of this module


def _start(places: Places, reading: Reading) -> None:
    settings = reading.settings
    create_runtime(places)
    files.remove(places.runtime(launch.STOPPED_MARK))
    files.remove(places.service_mark)
    pid = launch.supervisor_pid(places)
    if pid is None:
        launch.publish_settings(places, reading)
    emitter = _emitter_for(places, settings)
    emitter.open_lane()
    if pid is not None and launch.is_older(launch.running_version(places) or launch.VERSION):
        launch.start_supervisor(places, settings, extra=("--take-over",))
    elif pid is None:
        launch.start_supervisor(places, settings)
    endings.install(_ending_emitters, settings.container_drain_timeout_sec)


def _emitter_for(places: Places, settings: Settings) -> Emitter:
    """Return this process's emitter for a log directory: one, whatever the number of handles."""
    key = str(places.runtime_dir)
    with _lock:
        emitter = _emitters.get(key)
        if emitter is None:
            look = Relauncher(places, settings).look
            emitter = Emitter(places, settings, on_lane=endings.install_in_child, on_look=look)
            _emitters[key] = emitter
        return emitter


def _forget_emitter(places: Places) -> None:
    with _lock:
        _emitters.pop(str(places.runtime_dir), None)


def _ending_emitters() -> list[Emitter]:
    return list(_emitters.values())


def _make_default(pipeline: Pipeline) -> Pipeline:
    global _default
    _default = pipeline
    return pipeline


def _unpickle(log_dir: str, state_dir: str, values: Mapping[str, Any]) -> Pipeline:
    settings = settings_table.from_dict(values)
    from pathlib import Path

    places = places_for(Path(log_dir), state_dir)
    pipeline = Pipeline(places, settings)
    if settings.enabled:
        endings.install(_ending_emitters, settings.container_drain_timeout_sec)
    return pipeline if _default is not None else _make_default(pipeline)


def _refuse(_record: Emittable = "", /, *, durable: bool = False, **_fields: Any) -> int:  # noqa: ARG001 - emit()'s face
    return 0


def _at_exit() -> None:
    """
    Mark the lanes, and stay whole for what is emitted later.

    The interpreter sets the globals of every module in sys.modules to None at its end; a `__del__` that emits
    after that would find an emitter without its tools. A module that is not listed is left alone.
    """
    endings.at_exit(_ending_emitters())
    for name in [name for name in sys.modules if name.partition(".")[0] in ("pipeline", "orjson")]:
        del sys.modules[name]


atexit.register(_at_exit)
