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
_AWAY = "../integration/test_volume_away.py::test"
_BY_NAME = ("pipeline/storage/grip.py", "places.through(self._path)", "places")
_NUMBERS = "../integration/test_volume_numbers.py::test"
_REMOVED = "../integration/test_seats_removed.py::test"
_LEAVES = "../integration/test_volume_leaves.py::test"
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
                "self._mark([CutMark(name, *about) for name, about in self.pump.page.synced.files.items()])",
                "self._mark([])",
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
        "mount point not looked at",
        f"{_OUTAGE}_a_volume_that_is_unmounted_and_mounted_again",
        (
            (
                "pipeline/storage/volume.py",
                "if self._point and is_above(point, self._point):",
                "if False:",
            ),
        ),
    ),
    (
        "replay below a mount point",
        "../unit/test_replay.py::test_nothing_is_replayed_while_the_volume_is_away",
        (("pipeline/delivery/replay.py", "            self._grip.check()\n", ""),),
    ),
    (
        "lane on disk made where the volume was",
        f"{_LEAVES}_a_lane_is_not_made_below_the_mount_point",
        (
            (
                "pipeline/queue/lane.py",
                "            if draft.parent == self.places.disk_lanes_dir:\n",
                "            if False:\n",
            ),
        ),
    ),
    (
        "files known by the number of their mount",
        f"{_NUMBERS}_what_was_begun_in_a_file_is_ended_in_it[replay.appended]",
        (("pipeline/storage/grip.py", "(is_here and self.volume_id) or str", "str"),),
    ),
    (
        "new file cut by the mark of a deleted one",
        f"{_NUMBERS}_a_new_file_with_the_inode_of_a_marked_one_is_not_cut",
        (
            ("pipeline/delivery/retreat.py", "        pump.days.began = self._void\n", ""),
            ("pipeline/delivery/replay.py", "            self._void_marks(part)\n", ""),
        ),
    ),
    (
        "cut forgotten before it is durable",
        f"{_NUMBERS}_a_new_file_with_the_inode_of_a_marked_one_is_not_cut",
        (
            (
                "pipeline/storage/days.py",
                "            os.fsync(file.fileno())  # also",
                "            if end > size:\n                os.fsync(file.fileno())  # also",
            ),
        ),
    ),
    (
        "mark of another volume worked off",
        f"{_NUMBERS}_a_mark_of_another_volume_waits_for_it",
        (
            (
                "pipeline/storage/grip.py",
                "return self._identity is not None and volume",
                "return False and volume",
            ),
        ),
    ),
    (
        "alone while lanes are out of sight",
        f"{_AWAY}_nobody_is_alone_while_lanes_may_be_on_a_volume_that_is_away",
        (("workers/writer.py", "return self._footing.sees_all_lanes() and all(", "return all("),),
    ),
    (
        "runtime directory removed while lanes are out of sight",
        f"{_AWAY}_the_runtime_directory_stays_while_lanes_may_be_on_a_volume_that_is_away",
        (
            (
                "workers/departure.py",
                "        require_volume(places, places.disk_lanes_dir)\n",
                "        pass\n",
            ),
        ),
    ),
    (
        "second writer stays beside one that lost its seat",
        f"{_REMOVED}_who_comes_leaves_the_files_to_a_writer_that_lost_its_seat",
        (
            (
                "workers/writer.py",
                "            if seats.has_lost(",
                "            if False and seats.has_lost(",
            ),
        ),
    ),
    (
        "writer goes on without seat and append lock",
        f"{_REMOVED}_a_writer_without_seat_and_append_lock_delivers_nothing_and_leaves",
        (("workers/seating.py", "self.is_lost = not self._footing.is_held", "self.is_lost = False"),),
    ),
    (
        "page taken along without the seat",
        f"{_REMOVED}_a_writer_with_the_append_lock_goes_on_until_it_has_its_seat_again",
        (("workers/seating.py", "if not seat.try_acquire():", "if not seat.try_acquire() and False:"),),
    ),
    (
        "cut marks of an earlier moment",
        "../integration/test_two_at_one_store.py::test_a_part_is_not_cut_by_a_mark_that_somebody_has_worked_off",
        (
            (
                "workers/footing.py",
                "            _load(pump)\n            pump.retreat.cut",
                "            pump.retreat.cut",
            ),
        ),
    ),
    (
        "part made below a mount point",
        f"{_LEAVES}_a_part_is_not_made_below_the_mount_point",
        (_BY_NAME,),
    ),
    (
        "files asked below a mount point",
        f"{_LEAVES}_a_recovery_takes_no_file_for_gone[_stored]",
        (_BY_NAME,),
    ),
    (
        "lane made below a mount point",
        f"{_AWAY}_a_lane_makes_no_directory_below_the_mount_point",
        (
            (
                "pipeline/queue/lane.py",
                "_lanes_dir)\n        self.disk_dir = None\n",
                "_lanes_dir) if False else None\n        self.disk_dir = None\n",
            ),
        ),
    ),
    (
        "manifest continued below a mount point",
        f"{_AWAY}_manifests_are_not_continued_below_the_mount_point",
        (
            (
                "pipeline/storage/manifests.py",
                "        self._check_volume()\n        if self._chain",
                "        if self._chain",
            ),
        ),
    ),
    (
        "volume forgotten with the runtime directory",
        f"{_AWAY}_who_removes_the_runtime_directory_does_not_make_us_forget_the_volume",
        (("workers/writer.py", "        self._footing.renew_notes(self.fallback.path)\n", ""),),
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
                "self._mark([CutMark(name, *about) for name, about in self.pump.page.synced.files.items()])",
                "self._mark([])",
            ),
        ),
    ),
    (
        "stand-in passes over what is out of its sight",
        f"{_STAND_IN}_it_waits_for_what_is_out_of_its_sight",
        (("pipeline/queue/lanes.py", "return not lane.about.has_disk or self._sees_all()", "return True"),),
    ),
    (
        "emit() looks at the disk",
        f"{_HANGS}[everything]",
        (("pipeline/queue/usage.py", "    if not is_look_needed:\n", "    if False:\n"),),
    ),
)
