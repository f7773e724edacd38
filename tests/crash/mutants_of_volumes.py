"""
Mistakes in what survives volumes that leave and come back, and a runtime directory that is removed.

Rows for `mutants.py`, which says how they are run; docs/internals/crash-safety.md names them.
"""

_OUTAGE = "../integration/test_outages.py::test"
_AWAY = "../integration/test_volume_away.py::test"
_BY_NAME = ("pipeline/storage/grip.py", "places.through(self._path)", "places")
_NUMBERS = "../integration/test_volume_numbers.py::test"
_REMOVED = "../integration/test_seats_removed.py::test"
_LEAVES = "../integration/test_volume_leaves.py::test"

VOLUMES = (
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
        (("workers/seating.py", "        self._footing.renew_notes(writer.fallback.path)\n", ""),),
    ),
    (
        "light sleep in the kernel taken for rest",
        "../integration/test_cli_standstill.py::test_a_command_that_waits_says_so_and_goes_on",
        (("pipeline/cli/standstill.py", " or place.startswith(_IN_WAIT)", ""),),
    ),
    (
        "a host application is forked and watched",
        "../integration/test_cli_standstill.py::test_inside_of_an_application_nothing_is_watched",
        (("pipeline/cli/standstill.py", " or ctx.obj is not None", ""),),
    ),
)
