"""Mistakes in retention and rotation: rows (name, test, edits) for `mutants.py`."""

_LEAVING = "../integration/test_leaving.py::test_"
_CLEANING = "../integration/test_cleaning.py::test_"
_ROTATION = "../integration/test_rotation.py::test_"
_PLANS = "../property/test_keeping_plans.py::test_"
_KILLED = "test_leaving_killed.py::test_"
_LEAPS = "../integration/test_clock_leaps.py::test_"
_BELIEF = "pipeline/keeping/belief.py"
_ORDER = "../integration/test_leaving_order.py::test_"
_LEAVE = "pipeline/keeping/leaving.py"
_SEALS = "pipeline/keeping/seals.py"
_NOTES = "../integration/test_keeping_notes.py::test_"
_CLEANER = "pipeline/keeping/cleaning.py"
_PLAN = "pipeline/keeping/plan.py"
_DAYS = "pipeline/storage/days.py"

RETENTION = (
    (
        "a file goes before it is told",
        _KILLED + "a_kill_leaves_each_file_there_or_told[leave.removed-0]",
        (
            (
                "pipeline/keeping/goodbyes.py",
                "        return {name for name in leaving if self.told(name)}\n",
                "        return set(leaving)\n",
            ),
            (
                "pipeline/keeping/goodbyes.py",
                "        if asked and not self._say_here(entries, instance) and",
                "        if False and",
            ),
        ),
    ),
    (
        "numbers of files that have left forgotten",
        _LEAVING + "a_segment_that_comes_back_after_its_day_has_left_is_not_stored_again[True]",
        (
            (
                "pipeline/storage/departed.py",
                "                if producer in found:\n",
                "                if producer in found and False:\n",
            ),
        ),
    ),
    (
        "the name of a file that has left taken again",
        _LEAVING + "late_records_of_a_day_that_has_left_open_a_part_that_no_file_had",
        (
            (
                _DAYS,
                "sorted({*there, *departed.parts_of(self.manifests.directory, period, self.instance)})",
                "sorted(there)",
            ),
        ),
    ),
    (
        "the writer lets go what it writes",
        _LEAVING + "the_file_that_is_written_is_never_told_gone",
        (
            (
                "workers/goodbyes.py",
                "        return not (is_open or is_busy or name in writer.days.marked)\n",
                "        return True\n",
            ),
            (
                "pipeline/storage/manifests.py",
                "        if name in self._trails:\n",
                "        if False:\n",
            ),
        ),
    ),
    (
        "files that somebody appends to leave",
        _CLEANING + "a_file_that_somebody_appends_to_stays",
        ((_CLEANER, "        return held is not None\n", "        return True\n"),),
    ),
    (
        "what nobody has explained counts as sealed",
        _CLEANING + "what_is_not_explained_to_its_end_is_not_sealed",
        (("pipeline/keeping/seals.py", " and covered_by(last) >= size", ""),),
    ),
    (
        "a move replaces what is there",
        "../unit/test_leaving.py::test_nothing_at_the_new_place_is_replaced_and_nothing_stands_there_twice[copied]",
        (("pipeline/keeping/leaving.py", "        if not os.path.lexists(place):\n", "        if True:\n"),),
    ),
    (
        "a moved file goes before its copy has its name",
        _KILLED + "a_kill_while_files_are_moved_leaves_each_whole_and_once[leave.move.copied]",
        (
            (
                "pipeline/keeping/leaving.py",
                '    failpoint.reach("leave.move.copied")\n',
                '    files.remove(path)\n    failpoint.reach("leave.move.copied")\n',
            ),
        ),
    ),
    (
        "a command's status ignored",
        "../unit/test_leaving.py::test_a_file_stays_when_its_command_fails_and_the_error_says_what_it_said",
        (("pipeline/keeping/leaving.py", "    if status != 0:\n", "    if False:\n"),),
    ),
    (
        "the newest leave first",
        _PLANS + "what_leaves_is_older_than_what_stays",
        (
            (
                _PLAN,
                "    for kept in staying:\n        if excess",
                "    for kept in staying[::-1]:\n        if excess",
            ),
        ),
    ),
    (
        "the file being written leaves",
        _PLANS + "only_sealed_files_are_in_a_plan_and_each_of_them_once",
        ((_PLAN, "if kept.is_sealed and (kept.told or is_old)", "if kept.told or is_old"),),
    ),
    (
        "a full part not synced before the next",
        _ROTATION + "a_day_goes_on_in_parts_of_a_size",
        (
            (
                _DAYS,
                '        sync(file)\n        failpoint.reach("writer.rotate.full")',
                '        failpoint.reach("writer.rotate.full")',
            ),
        ),
    ),
    (
        "producers know no hours",
        _ROTATION + "each_period_has_its_file_with_its_records_and_its_manifest[hour]",
        (
            (
                "pipeline/queue/appender.py",
                "self._settings.timezone, self._settings.rotate_every",
                "self._settings.timezone",
            ),
        ),
    ),
    (
        "file leaves without its last words",
        _LEAVING + "an_end_is_known_when_the_file_that_told_it_has_left",
        ((_CLEANER, "reasons, first.file.day.instance, words_of)", "reasons, first.file.day.instance)"),),
    ),
    (
        "an index outlives its file",
        _NOTES + "notes_go_with_their_file[deleted]",
        (
            (
                "pipeline/keeping/notes.py",
                "in (index.path_of(places.log_dir, name), counts_path(places.belongings_dir, name)):",
                "in (counts_path(places.belongings_dir, name),):",
            ),
        ),
    ),
    (
        "what a kill left of notes stays",
        "test_notes_killed.py::test_a_kill_behind_packing_leaves_no_index_that_is_of_no_use_for_long",
        ((_CLEANER, "        notes.sweep(self._places)\n", ""),),
    ),
    (
        "a keeper goes on with half an index as if it were whole",
        _NOTES + "a_keeper_that_ends_in_the_middle_leaves_a_part_that_counts",
        (
            (
                "pipeline/keeping/notes.py",
                "    return counts.is_counted(places, name)\n",
                "    return index.path_of(places.log_dir, name).exists()\n",
            ),
        ),
    ),
    (
        "replay goes on in a part that is full",
        "../unit/test_replay.py::test_a_part_is_as_long_as_files_may_be_or_one_row[1]",
        (("pipeline/delivery/replay.py", "or self._is_full(part, first) or", "or"),),
    ),
    (
        "newer files leave in the place of another pipeline's",
        _CLEANING + "no_newer_file_leaves_in_the_place_of_one_that_has_to_stay[max_files]",
        (
            (
                _CLEANER,
                "[kept for kept in found if kept.name not in self._staying]",
                "[one._replace(is_sealed=one.is_sealed and one.name not in self._staying) for one in found]",
            ),
        ),
    ),
    (
        "parts of two pipelines by their names",
        _CLEANING + "the_parts_of_a_day_leave_in_the_order_of_their_last_change",
        (
            (
                "pipeline/keeping/inventory.py",
                "(kept.end_sec, changed[kept.day], kept.day)",
                "(kept.end_sec, kept.day)",
            ),
        ),
    ),
    (
        "a clock is believed whatever it says",
        _LEAPS + "a_clock_that_is_a_year_ahead_for_a_while_makes_no_file_old_enough",
        ((_CLEANER, "limits.retention_sec + belief.ahead_sec(self._places))", "limits.retention_sec)"),),
    ),
    (
        "a leap that waits is believed with the one before",
        _LEAPS + "each_leap_waits_for_a_day_of_its_own",
        ((_BELIEF, "is_long and (self.boot != doubted.boot or self.follows(doubted))", "is_long"),),
    ),
    (
        "what a clock said that was set back is what is believed",
        _LEAPS + "a_machine_without_a_clock_of_its_own_is_not_doubted",
        ((_BELIEF, "            return abs(gone) <= _OFF_SEC\n", "            return gone <= _OFF_SEC\n"),),
    ),
    (
        "no time passes for files while the clock is doubted",
        _LEAPS + "a_clock_that_stays_ahead_is_believed_after_a_day",
        ((_BELIEF, "look.up_sec - self.believed.up_sec if is_known else 0.0", "0.0"),),
    ),
    (
        "a file goes before its entry is synced",
        _ORDER + "a_file_goes_when_its_entry_is_on_the_disk",
        (("pipeline/storage/manifest.py", "                os.fdatasync(fd)\n", ""),),
    ),
    (
        "that a file is gone not synced",
        _ORDER + "a_file_goes_when_its_entry_is_on_the_disk",
        ((_LEAVE, "    files.sync_directory(path.parent)\n\n\ndef _move", "\n\ndef _move"),),
    ),
    (
        "a file goes before its second name is synced",
        _ORDER + "a_moved_file_goes_when_its_new_place_is_on_the_disk[linked]",
        (
            (
                _LEAVE,
                "        os.link(path, place)\n        _sync_to(place)\n",
                "        os.link(path, place)\n",
            ),
        ),
    ),
    (
        "a file goes before its copy is synced",
        _ORDER + "a_moved_file_goes_when_its_new_place_is_on_the_disk[copied]",
        ((_LEAVE, "        os.fsync(target.fileno())\n", ""),),
    ),
    (
        "a file goes before somebody's copy is synced",
        _ORDER + "a_moved_file_goes_when_its_new_place_is_on_the_disk[there]",
        ((_LEAVE, "            _sync_to(place)\n            return None", "            return None"),),
    ),
    (
        "a running writer's catalog not updated when files leave",
        _LEAVING + "the_catalog_of_a_running_writer_tells_which_files_have_left",
        (("workers/goodbyes.py", "        manifests.store_catalog()\n", ""),),
    ),
    (
        "a file behind a cut counts as sealed",
        _CLEANING + "what_no_writer_has_sealed_is_sealed_a_minute_later_and_of_others_a_day[]",
        ((_SEALS, 'last["kind"] in (BEGIN, BLOCK)', 'last["kind"] != ""'),),
    ),
    (
        "files of others sealed as soon as ours",
        _CLEANING + "what_no_writer_has_sealed_is_sealed_a_minute_later_and_of_others_a_day[.i1a2b3c4d]",
        ((_SEALS, "SEAL_AFTER_SEC if day.instance == self._own else _OTHERS_AFTER_SEC", "SEAL_AFTER_SEC"),),
    ),
    (
        "what leaves by age makes no room",
        _PLANS + "room_that_one_reason_makes_is_not_made_again_for_another",
        ((_PLAN, "free_bytes + freed\n", "free_bytes\n"),),
    ),
    (
        "one file after the other for the same room",
        _PLANS + "room_that_one_reason_makes_is_not_made_again_for_another",
        ((_PLAN, "        lack -= kept.size\n", ""),),
    ),
)
