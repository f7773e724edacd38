"""Mistakes in keeping files: notes, the clock, two pipelines, the order of syncs. Rows for `mutants.py`."""

_LEAVING = "../integration/test_leaving.py::test_"
_CLEANING = "../integration/test_cleaning.py::test_"
_PLANS = "../property/test_keeping_plans.py::test_"
_LEAPS = "../integration/test_clock_leaps.py::test_"
_BELIEF = "pipeline/keeping/belief.py"
_ORDER = "../integration/test_leaving_order.py::test_"
_LEAVE = "pipeline/keeping/leaving.py"
_SEALS = "pipeline/keeping/seals.py"
_NOTES = "../integration/test_keeping_notes.py::test_"
_CLEANER = "pipeline/keeping/cleaning.py"
_PLAN = "pipeline/keeping/plan.py"

KEEPING = (
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
        ((_CLEANER, "self._limits.stretched(belief.ahead_sec(self._places))", "self._limits"),),
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
