"""The mutants of dropping and taking, for mutants.py: (mistake, test, file, what stands there, mistaken)."""

_TEST = "../integration/test_dropping.py::test_"
_LATE = _TEST + "a_dropper_that_comes_late_is_not_heard"
_FIRST = _TEST + "the_newest_stay_and_the_others_are_named[memory]"
_OVERTAKEN = _TEST + "a_writer_that_is_overtaken_reads_nothing_that_was_dropped"
_KILLED = _TEST + "a_dropper_killed_at_any_step_loses_nothing_it_does_not_name"
_IN_VAIN = _TEST + "a_record_larger_than_the_quota_drops_nothing"

_PUMP = "pipeline/delivery/pump.py"
_DROPPING = "pipeline/queue/dropping.py"
_ROOM = "pipeline/queue/room.py"
_TAILER = "pipeline/queue/tailer.py"
_ANNOUNCER = "workers/announcer.py"

DROPS = [
    (
        "read before it is taken",
        _TEST + "what_a_killed_writer_had_begun_is_not_dropped[writer.release.after_unlink]",
        _PUMP,
        "return all(self.lanes.watched[producer].tailer.take(serial) for producer, serial in segments)",
        "return bool(segments)",
    ),
    (
        "active segment dropped",
        _TEST + "the_oldest_goes_whoever_it_belongs_to",
        _DROPPING,
        "is_final = header.state == SUCCEEDED or _is_dead(directory)",
        "is_final = True",
    ),
    (
        "critical records dropped",
        _TEST + "no_critical_record_is_dropped_to_make_room[memory]",
        _DROPPING,
        "if importance.is_critical_line(line, self._critical_types))",
        "if False)",
    ),
    (
        "stub put in two steps",
        f"{_KILLED}[emit.drop.replaced-memory]",
        _DROPPING,
        '    draft.rename(victim.path)\n    failpoint.reach("emit.drop.replaced")\n',
        """    files.remove(victim.path)
    failpoint.reach("emit.drop.replaced")
    draft.rename(victim.path)
""",
    ),
    (
        "stub before it removed first",
        f"{_KILLED}[emit.drop.replaced-memory]",
        _DROPPING,
        "    draft.rename(victim.path)\n",
        """    if before is not None:
        files.remove(before.path)
    failpoint.reach("emit.drop.replaced")
    draft.rename(victim.path)
""",
    ),
    (
        "any stub taken over",
        "../property/test_dropping_histories.py",
        _DROPPING,
        "return is_next and (mine.period == other.header.period or mine.end == mine.start)",
        "return True",
    ),
    ("dropped in vain", _IN_VAIN, _ROOM, "if is_possible else []", ""),
    ("dropped in vain for a disk that refuses", _IN_VAIN, _ROOM, "if is_used_up and has_share else []", ""),
    (
        "late stub heard",
        _LATE,
        _TAILER,
        "return segment.header.is_stub and not segment.is_taken and is_read",
        "return False and is_read",
    ),
    (
        "stub read with the one that took it over",
        f"{_KILLED}[emit.drop.replaced-memory]",
        _TAILER,
        "        if self._is_covered(stub.serial):",
        "        if False:",
    ),
    (
        "stub told while it can be taken over",
        _LATE,
        _TAILER,
        "        if later and self._is_final(self.segments[later]):",
        "        if False:",
    ),
    (
        "segment read though it was dropped",
        _OVERTAKEN,
        _TAILER,
        "if not files.same_file(segment.fd, path) and self._put_stub(serial, path, is_taken=True):",
        "if False:",
    ),
    (
        "segment read though its stub was taken over",
        _OVERTAKEN,
        _TAILER,
        "        if not segment.is_taken and segment.is_replaced():\n            self.open_all()",
        "        if False:\n            self.open_all()",
    ),
    (
        "dropped segment kept open",
        _TEST + "a_writer_that_cannot_write_keeps_only_what_it_has_begun_to_read",
        _TAILER,
        "            if segment.is_taken or not segment.is_replaced():\n                continue",
        "            if True:\n                continue",
    ),
    (
        "drop not told",
        _FIRST,
        _ANNOUNCER,
        "            if not self._stub(lane, stub):",
        "            if False:",
    ),
    (
        "read on before the drop is told",
        _TEST + "a_gap_is_never_stored_before_its_reason",
        _ANNOUNCER,
        "if self._own.arrived(self._told_stubs[place], durable=False):",
        "if True:",
    ),
    (
        "stored records named",
        _TEST + "a_take_that_a_power_cut_undid_names_nothing_that_is_stored",
        _ANNOUNCER,
        " | (lane.tailer.stored or set())",
        "",
    ),
    (
        "what is stored forgotten at a stub",
        _TEST + "what_lies_behind_a_drop_is_not_stored_again_when_the_files_are_asked",
        _PUMP,
        "if not pending and lane.tailer.stub is None:",
        "if not pending:",
    ),
    (
        "dropped record reported durable",
        _TEST + "a_dropped_record_is_not_reported_durable",
        "pipeline/queue/lane.py",
        " and last_stub < max(1, end >> OFFSET_BITS)",
        "",
    ),
]
