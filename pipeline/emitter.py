"""
emit(): the line between the application and the pipeline.

It never raises for what it is given, waits for nobody but where the caller asked for it (durable,
async_logging off, the `block` policy, a critical record at the quota), takes no lock that another process can
hold, and starts no thread.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import orjson

from pipeline.encoders import masking_of, quoted_type, shortening_of
from pipeline.errors import NotDurable, RecordError
from pipeline.host import clock, handlers, stderr
from pipeline.plans import Plans
from pipeline.privacy.sampling import Sampler
from pipeline.queue import bell, layout, receipts as receipts_of
from pipeline.queue.appender import BUSY, NO_ROOM, Appender
from pipeline.records import context, importance, open_telemetry
from pipeline.records.encoding import encode_fields
from pipeline.records.forms import unfolded

if TYPE_CHECKING:
    from pipeline.paths import Places
    from pipeline.records.checks import Checks
    from pipeline.settings import Settings

Encode = Callable[[dict[str, Any]], bytes]
_ENVELOPE_BYTES: Final = 256
"""Room for the four common fields beside the caller's, action_type included when it is of sane length."""
_ROOM_POLL_SEC: Final = 0.005
_LATE_REPORT_SEC: Final = 10.0

_emitters: weakref.WeakSet[Emitter] = weakref.WeakSet()


class Emitter:
    """The producer side of one process. A fork gets lanes of its own at its first emit()."""

    def __init__(
        self,
        places: Places,
        settings: Settings,
        *,
        role: str = "app",
        on_lane: Callable[[], None] | None = None,
        on_look: Callable[[], None] | None = None,
        encode: Encode = encode_fields,
    ) -> None:
        self.places = places
        self.settings = settings
        self.handles = 0
        """Open Pipeline handles that use this emitter."""
        self.failures = 0
        """Records that were refused because no lane could be made, or by an error of our own."""
        self.last_error = ""
        self.late = 0
        """Records that stay queued: not written within sync_timeout_sec although async_logging is off."""
        self._role = role
        self._is_workers = role != "app"
        """The pipeline's own records use the reserve, and never wait: it is the writer that makes room."""
        self._on_lane = on_lane
        self._on_look = on_look
        is_masked = encode is encode_fields and not self._is_workers
        self.masking = masking_of(settings, count=self._count, is_on=is_masked)
        self._encode = encode
        # Who encodes in another way has not promised that plain fields may go past it.
        self._encode_plain: Encode = orjson.dumps if encode is encode_fields else encode
        self._body_bytes_max = settings.max_record_bytes - _ENVELOPE_BYTES
        self._shortened = shortening_of(self.masking, self._body_bytes_max, self._count)
        self._late_at = -_LATE_REPORT_SEC
        self._waits = not settings.async_logging and not self._is_workers
        self._drops_low = settings.queue_full_strategy == "drop_low"
        self._sampler = None if self._is_workers else Sampler.of(settings)
        is_checked = settings.validation != "off" and not self._is_workers
        quoted = partial(quoted_type, self.masking.around(encode))
        self._plans = Plans(quoted, self.wants, are_checked=is_checked)
        self._appender: Appender | None = None
        self._nested: list[Appender] = []
        self._inherited: list[Appender] = []
        self._is_closed = False
        self._making = threading.RLock()
        self._retry_lane_at = 0.0
        self.emit = self._build_emit()
        _emitters.add(self)

    def _build_emit(self) -> Callable[..., int]:
        """Return emit() as a closure: its settings are cells, which cost a fifth of an attribute."""
        encode, encode_plain, masking, plans = self._encode, self._encode_plain, self.masking, self._plans
        current, span_module, loaded = context.current, open_telemetry.MODULE, open_telemetry.loaded_modules
        masks, waits, sifts = masking.masks, self._waits, self._drops_low or self._sampler is not None
        shortened, uncut_max = self._shortened, min(self._body_bytes_max, self.settings.max_output_chars)

        # A call costs 0.1 µs here. `durable` as a parameter: 0.12, each keyword is compared with its name.
        def emit(action_type: Any, /, **fields: Any) -> int:
            """See `Pipeline.emit`."""
            durable = "durable" in fields and bool(fields.pop("durable"))
            try:
                if type(action_type) is not str:
                    action_type, fields = unfolded(action_type, fields)
                plan = plans.get(action_type) or plans[action_type]
                opening, (names, test), checks = plan
                inherited = open_telemetry.with_span(current()) if span_module in loaded else current()
                if inherited:
                    fields = {**inherited, **fields}
                appender = (self._appender or self._first_appender()) if opening else None
                if appender is None or (sifts and self._sifts_out(appender, action_type, fields)):
                    return 0
                if [*fields] != names:  # a third of what it takes to look for the names of each record
                    plan[1] = names, test = checks.latest(fields)
                body = None
                try:
                    if test(fields):
                        body = encode_plain(fields)
                except Exception as error:  # noqa: BLE001 - a cycle, half a surrogate pair, an int of 70 bits
                    handlers.let_through(error)
                if body is None:
                    body = self._encode_odd(action_type, checks, fields)
                if masks and masking.may_hold(body):
                    body = masking.masked(body, fields, encode)
                if len(body) > uncut_max:
                    body = shortened(body)
                rest = body[1:] if fields else b""
                append = appender.append  # called as a method it would be looked for in the class first
                number = append(opening, rest, False)
                if number <= 0:
                    record = action_type, fields, opening, rest
                    appender, number = self._append_otherwise(appender, number, *record)
                if appender.look_due:
                    self._look(appender)
            except Exception as error:  # noqa: BLE001 - the application never pays for our errors
                self._note_failure(error)
                return 0
            if number and (durable or waits):
                self._wait_for(appender, number, durable=durable)
            return number

        return emit

    def flush(self, timeout: float = 5.0, *, durable: bool = False) -> bool:
        """Whether what this process emitted is in the files (durable: on the disk) within `timeout` s."""
        receipts = self.receipts()
        return receipts_of.wait(receipts, timeout, self.nudge, durable=durable)

    def receipts(self) -> list[tuple[Appender, int]]:
        """Return each lane of this process with the place behind its last record."""
        return [(appender, appender.end_position()) for appender in self.appenders()]

    def appenders(self) -> list[Appender]:
        """Return the lanes of this process."""
        return [appender for appender in (self._appender, *self._nested) if appender is not None]

    def arrived(self, receipts: list[tuple[Appender, int]], *, durable: bool) -> bool:
        """Whether the writer has got as far as the receipts say."""
        return receipts_of.have_arrived(receipts, durable=durable)

    def nudge(self, *, durable: bool) -> None:
        """Wake the writer, and see that there is one."""
        bell.ring(self.places, bell.SYNC if durable else bell.WAKE)
        for appender in self.appenders():
            if appender.is_look_time():
                appender.look_at_place()
                self._look(appender)

    def open_lane(self) -> bool:
        """Make this process's lane now and not at its first record; whether there is one."""
        appender = self._appender or self._first_appender()
        if appender is not None:
            appender.prepare()
        self.masking.prepare()
        return appender is not None

    def note_ending(self, signal_number: int = 0) -> None:
        """Mark the lanes: this process has begun a normal end. It can still emit."""
        for appender in self.appenders():
            appender.lane.note_ending(signal_number)

    def close(self) -> None:
        """End the lanes. Later records are not accepted."""
        self._is_closed = True
        appenders, self._appender, self._nested = self.appenders(), None, []
        for appender in appenders:
            appender.close()

    def refused(self) -> dict[str, int]:
        """Return how many records this process refused, by reason."""
        totals = Counter({"no_lane": self.failures})
        for appender in self.appenders():
            totals.update(appender.lane.counters)
        return {reason: count for reason, count in totals.items() if count}

    def counted(self, what: str) -> dict[str, int]:
        """Return what this process has counted by name, such as `masked` (layout.NAMED has all)."""
        totals: Counter[str] = Counter()
        for appender in self.appenders():
            totals.update(appender.lane.named[what].totals())
        return dict(totals)

    def wants(self, action_type: str) -> bool:
        """Whether records of a type are recorded: not when `action_types` switches it off."""
        return self._is_workers or self.settings.action_types.get(action_type, True)

    def was_left_out(self) -> bool:
        """Whether this thread's last record, which emit() answered with 0, was sampled or limited away."""
        return self._sampler is not None and self._sampler.last_reason != ""

    def has_room(self) -> bool:
        """Whether the queue is below the mark where back-pressure begins."""
        return self._appender is None or not self._appender.room.is_pressed

    def _encode_odd(self, action_type: str, checks: Checks, fields: dict[str, Any]) -> bytes:
        """Encode fields that are not plain, or not as their type says; count what is wrong, or raise."""
        faults = [f"{action_type}.{name}: {fault}" for name, fault in checks.faults(fields)]
        if faults and self.settings.validation == "strict":
            raise RecordError(
                "a record is not as its type says",
                where=action_type,
                cause="; ".join(faults),
                remedy=f"`pipeline schema {action_type}` prints what is expected",
            )
        for fault in faults:
            self._count(layout.WRONG_FIELDS, fault)
        return self._encode(fields)

    def _count(self, what: str, name: str) -> None:
        """Count something by name in this process's lane, which tells it to health."""
        appender = self._appender or self._first_appender()
        if appender is not None:
            appender.lane.count(what, name)

    def _sifts_out(self, appender: Appender, action_type: str, fields: dict[str, Any]) -> bool:
        """Whether a record is left out, by sampling or a limit, or gives way under `drop_low`: counted."""
        reason = self._sampler.reason_against(action_type, fields) if self._sampler is not None else ""
        if reason:
            appender.lane.count_left_out(reason)
        elif self._drops_low and appender.is_still_pressed() and self._is_spare(action_type, fields):
            appender.lane.count_drop("low_level")
        else:
            return False
        if appender.is_look_time():
            self._look(appender)
        return True

    def _is_spare(self, action_type: str, fields: Mapping[str, Any]) -> bool:
        return importance.is_low(fields) and not self._is_critical(action_type, fields)

    def _is_critical(self, action_type: str, fields: Mapping[str, Any]) -> bool:
        return self._is_workers or importance.is_critical(
            str(action_type), fields, self.settings.critical_action_types
        )

    def _first_appender(self) -> Appender | None:
        """Make the lane of this process. Re-entrant: a nested emit() gets a lane of its own."""
        with self._making:
            if self._appender is not None or self._is_closed or clock.monotonic() < self._retry_lane_at:
                return self._appender
            for appender in self._inherited:
                appender.forget()
            self._inherited = []
            try:
                self._appender = self._new_appender()
            except Exception as error:  # noqa: BLE001 - see emit()
                handlers.let_through(error)
                self._retry_lane_at = clock.monotonic() + 1.0
                self._note_failure(error)
            return self._appender

    def _new_appender(self) -> Appender:
        appender = Appender(self.places, self.settings, self._role)
        if self._on_lane is not None:
            self._on_lane()
        return appender

    def _append_otherwise(
        self,
        appender: Appender,
        answer: int,
        action_type: str,
        fields: Mapping[str, Any],
        opening: bytes,
        rest: bytes,
    ) -> tuple[Appender, int]:
        """Go on where the first attempt found the lane busy or the queue full."""
        if appender.is_lost:
            self._appender = None
            appender.close()
            appender = self._first_appender() or appender
            answer = appender.append(opening, rest, False)
        if answer == BUSY:
            appender, answer = self._append_nested(opening, rest)
        if answer != NO_ROOM:
            return appender, answer
        if self._is_critical(action_type, fields):
            return appender, self._append_critical(appender, opening, rest)
        if self.settings.queue_full_strategy == "block":
            number = self._append_waiting(
                appender, opening, rest, self.settings.block_timeout_sec, reserve=False
            )
            if not number:
                appender.lane.count_drop("block_timeout")
            return appender, number
        appender.lane.count_drop("queue_full")
        return appender, 0

    def _append_nested(self, opening: bytes, rest: bytes) -> tuple[Appender, int]:
        for appender in self._nested:
            answer = appender.append(opening, rest, False)
            if answer != BUSY:
                return appender, answer
        appender = self._new_appender()
        self._nested.append(appender)
        return appender, appender.append(opening, rest, False)

    def _append_critical(self, appender: Appender, opening: bytes, rest: bytes) -> int:
        timeout = 0.0 if self._is_workers else self.settings.critical_timeout_sec
        number = self._append_waiting(appender, opening, rest, timeout, reserve=True)
        if not number:
            lost = b'{"lost_record":true,"at":"' + clock.wall_text()[:-1].encode() + opening + b"0"
            stderr.write_line(lost + (b"," + rest if rest else b"}") + b"\n")
            appender.lane.count_drop("critical_timeout")
        return number

    def _append_waiting(
        self, appender: Appender, opening: bytes, rest: bytes, timeout: float, *, reserve: bool
    ) -> int:
        deadline = clock.Deadline(timeout)
        while True:
            number = appender.append(opening, rest, reserve)
            if number > 0 or deadline.has_passed:
                return max(number, 0)
            bell.ring(self.places, bell.SYNC)
            clock.sleep(min(_ROOM_POLL_SEC, deadline.left))

    def _look(self, appender: Appender) -> None:
        appender.look_due = False
        appender.lane.tell_counts()
        self.masking.look_around()
        if self._on_look is not None:
            self._on_look()

    def _wait_for(self, appender: Appender, number: int, *, durable: bool) -> None:
        timeout = self.settings.durable_timeout_sec if durable else self.settings.sync_timeout_sec
        receipts = [(appender, appender.end_position())]
        if receipts_of.wait(receipts, timeout, self.nudge, durable=durable):
            return
        if durable:
            raise NotDurable(number, timeout)
        self.late += 1
        self._late_at = clock.monotonic()

    def late_recently(self) -> bool:
        """Whether, in the last 10 s, async_logging off could not keep its promise."""
        return clock.monotonic() - self._late_at < _LATE_REPORT_SEC

    def _note_failure(self, error: Exception) -> None:
        """Note an error of ours. Raise what is none: a wrong record, a timeout of the application's own."""
        if isinstance(error, RecordError):
            raise error
        handlers.let_through(error)
        self.failures += 1
        self.last_error = f"{type(error).__name__}: {error}"

    def _become_child(self) -> None:
        """After a fork: nothing inherited is ours. Locks may be held by threads that do not exist here."""
        self._inherited = self.appenders()
        self._appender = None
        self._nested = []
        self._making = threading.RLock()
        if self._sampler is not None:
            self._sampler.reseed()
        self.failures = 0
        self.masking.become_child()


def _forked() -> None:
    for emitter in list(_emitters):
        emitter._become_child()  # noqa: SLF001 - the hook is part of the class


os.register_at_fork(after_in_child=_forked)
