"""
Mistakes in what survives outages and power cuts: rows for `mutants.py`, which says how they are run.

A row is (name, test, edits); docs/internals/crash-safety.md names them beside the faults that they belong to.
"""

_OUTAGE = "../integration/test_outages.py::test"
_POWER = "../property/test_power_model.py::test_a_power_cut_at_any_step_loses_nothing_durable"
_HANGS = "../integration/test_hanging_writers.py::test_a_write_that_hangs_is_left_to_a_stand_in"
_STAND_IN = "../integration/test_stand_ins.py::test"
_SEATS = "../integration/test_seats.py::test"
_HALVES = "../integration/test_outage_of_half_batches.py::test"
_STEPS = "../integration/test_outage_in_process.py::test"
_FULL = f"{_OUTAGE}_a_full_volume_that_is_freed"
_FSYNC = f"{_OUTAGE}_an_fsync_that_fails_with_and_without_the_data"

FAULTS = (
    (
        "half a batch durable by a sync",
        f"{_HALVES}_the_whole_lines_of_half_a_batch_are_stored_once_although_a_sync_covered_them",
        (
            (
                "pipeline/delivery/pump.py",
                "            file.synced_size = min(file.synced_size, batch.offset)\n",
                "            pass\n",
            ),
        ),
    ),
    (
        "log directory's own name not synced",
        _POWER,
        (
            (
                "pipeline/host/files.py",
                "            sync_directory(directory)\n        except",
                "            pass\n        except",
            ),
        ),
    ),
    (
        "day file not synced before a power cut",
        _POWER,
        (("pipeline/storage/day_file.py", "        os.fsync(self.fd)\n", ""),),
    ),
    (
        "hole in a day file served",
        _POWER,
        (("pipeline/delivery/recovery.py", "    holes.mend(pump.days, beat)\n", ""),),
    ),
    (
        "zeros of a disk lane delivered",
        _POWER,
        (("pipeline/queue/opened.py", 'hole = piece.find(b"\\0")', "hole = -1"),),
    ),
    (
        "end of a producer told by its lane alone",
        _POWER,
        (("pipeline/queue/tailer.py", "max(self.stored_last, segment.last_number)", "segment.last_number"),),
    ),
    (
        "files not asked after a power cut",
        _POWER,
        (("pipeline/delivery/recovery.py", "found[producer] |= numbers\n    return", "pass\n    return"),),
    ),
    (
        "no cut mark",
        f"{_FSYNC}[eio_fsync]",
        (
            (
                "pipeline/delivery/retreat.py",
                "days.close()\n        self._mark([CutMark(name, *about) for name, about in",
                "days.close()\n        self._mark([CutMark(name, *about) for name, about in {} and",
            ),
        ),
    ),
    (
        "fsync tried again",
        f"{_FSYNC}[eio_write]",
        (
            (
                "pipeline/delivery/pump.py",
                "            self.is_retreating = True\n            raise\n",
                "            raise\n",
            ),
        ),
    ),
    (
        "cut mark worked off by probes only",
        f"{_OUTAGE}_a_log_directory_in_whose_place_is_a_file",
        (("pipeline/delivery/delivery.py", "        if self.pump.retreat.cuts:\n", "        if False:\n"),),
    ),
    (
        "manifest before the cut",
        f"{_STEPS}_a_writer_that_cannot_reach_the_files_begins_with_the_fallback",
        (
            (
                "workers/footing.py",
                "        pump.retreat.cut_marked()\n",
                "        pump.days.manifests.recover(lambda: None)\n        pump.retreat.cut_marked()\n",
            ),
        ),
    ),
    (
        "idle writer leaves its replay",
        "../integration/test_outage_left.py::test_a_writer_that_nobody_needs_any_more_stays_for_a_long_replay",
        (("workers/writer.py", " and not self.replayer.is_at_work", ""),),
    ),
    (
        "heartbeat that was removed taken for old",
        "test_files_changed.py::test_a_removed_runtime_directory_costs_no_writer",
        (
            ("workers/supervisor.py", "        self._mend_runtime()  # first", "        # first"),
            (
                "workers/supervisor.py",
                "        self._mind_writer()\n        self.keepers",
                "        self._mind_writer()\n        self._mend_runtime()\n        self.keepers",
            ),
        ),
    ),
    (
        "batch never given up",
        f"{_FULL}[tmpfs]",
        (("pipeline/delivery/backoff.py", "return self.is_exhausted or is_pressed or", "return False and"),),
    ),
    (
        "first failure given up",
        f"{_OUTAGE}_errors_for_a_moment_are_tried_again",
        (("pipeline/delivery/backoff.py", "return self.is_exhausted or is_pressed or", "return True or"),),
    ),
    (
        "half line of a full disk left",
        f"{_FULL}[tmpfs]",
        (("pipeline/delivery/retreat.py", "        file.cut_to(intent.offset + length)\n", ""),),
    ),
    (
        "idle writer waits for its files",
        f"{_OUTAGE}_an_emergency_that_makes_it_read_only",
        (("workers/writer.py", "(self.append_error and self.delivery.fallback_error)", "self.append_error"),),
    ),
    (
        "replay without the way back",
        f"{_OUTAGE}_files_that_may_not_be_changed",
        (
            (
                "pipeline/delivery/delivery.py",
                "return not self.error and not self.is_away and self.pump.retreat.may_touch_files",
                "return False and self.pump.retreat.may_touch_files",
            ),
        ),
    ),
    (
        "fallback that fails taken for full delivery",
        f"{_OUTAGE}_logs_and_fallback_on_one_full_volume",
        (
            (
                "pipeline/delivery/retreat.py",
                (
                    "        except FallbackError:\n            self.is_store_in_doubt = True\n"
                    "            raise\n"
                ),
                "        except FallbackError:\n            return\n",
            ),
        ),
    ),
    (
        "seat taken without a look at the others",
        f"{_SEATS}_a_place_that_becomes_free_leads_nobody_past_who_sits",
        (
            (
                "pipeline/host/seats.py",
                "if all(self._is_free(other) for other in range(_PLACES)):",
                "if True:",
            ),
        ),
    ),
    (
        "condemned process keeps its seat",
        f"{_HANGS}[a_write]",
        (
            (
                "pipeline/host/seats.py",
                "return pid is None or processes.is_condemned(pid)",
                "return pid is None",
            ),
        ),
    ),
    (
        "stand-in takes the log directory for its own",
        f"{_HANGS}[everything]",
        (
            (
                "workers/child.py",
                "is_stand_in = not _is_alone(seat)",
                "is_stand_in = False and _is_alone(seat)",
            ),
        ),
    ),
    (
        "stand-in looks at the log directory",
        f"{_HANGS}[everything]",
        (("workers/writer.py", "places.out_of_reach() if stand_in else places", "places"),),
    ),
    (
        "files gone to while the stuck one has them open",
        "../integration/test_hanging_writers.py::test_a_frozen_writer_is_left_to_a_stand_in",
        (
            (
                "workers/child.py",
                "is_stand_in = not _is_alone(seat)",
                "is_stand_in = False and _is_alone(seat)",
            ),
            (
                "pipeline/host/locks.py",
                "            return False\n        return True\n",
                "            return True\n        return True\n",
            ),
        ),
    ),
    (
        "stand-in takes nothing back",
        f"{_STAND_IN}_what_a_hanging_fsync_was_about_to_make_durable_is_delivered_elsewhere",
        (("pipeline/delivery/recovery.py", "    pump.is_retreating = True\n", ""),),
    ),
    (
        "stand-in without cut marks",
        f"{_HANGS}[a_write]",
        (
            (
                "pipeline/delivery/retreat.py",
                "days.close()\n        self._mark([CutMark(name, *about) for name, about in",
                "days.close()\n        self._mark([CutMark(name, *about) for name, about in {} and",
            ),
        ),
    ),
    (
        "stand-in passes over what is out of its sight",
        f"{_STAND_IN}_it_waits_for_what_is_out_of_its_sight",
        (
            (
                "pipeline/queue/lanes.py",
                "        if not lane.about.has_disk:\n            return True\n",
                "        return True\n",
            ),
        ),
    ),
    (
        "emit() looks at the disk",
        f"{_HANGS}[everything]",
        (("pipeline/queue/usage.py", "    if not is_look_needed:\n", "    if False:\n"),),
    ),
)
