"""
Mistakes that only a combination of troubles shows: rows for `mutants.py`, which says how they are run.

A row is (name, test, edits); docs/internals/crash-safety.md names them beside the faults that they belong to.
"""

_WORLD = "../property/test_simulation.py::test"

COMBINATIONS = (
    (
        "lane's own word believed behind a retreat",
        f"{_WORLD}_what_a_stand_in_took_back_stays_so_where_it_did_not_look",
        (("pipeline/delivery/recovery.py", "    elif page.is_trusted:\n", "    elif False:\n"),),
    ),
    (
        "lane that is found late believed",
        f"{_WORLD}_a_lane_that_is_found_late_is_as_far_as_it_is_durable",
        (("pipeline/queue/lanes.py", "if self.durable_of else None", "if False else None"),),
    ),
    (
        "place that cannot be opened taken for read",
        f"{_WORLD}_a_place_that_nobody_can_open_is_not_a_place_that_is_read",
        (("pipeline/queue/lanes.py", "lane.tailer.directories or _is_missing(place))", "[place])"),),
    ),
    (
        "lane ended before its place on the disk is open",
        f"{_WORLD}_a_lane_has_not_ended_before_its_place_on_the_disk_is_open",
        (("pipeline/queue/lanes.py", "lane.tailer.directories or _is_missing(place))", "[place])"),),
    ),
    (
        "last place of a lane has the last word",
        f"{_WORLD}_a_lane_is_on_the_disk_when_one_of_its_places_says_so",
        (("pipeline/queue/lanes.py", "self.about = together(told)", "self.about = told[-1]"),),
    ),
    (
        "error of an end told to the application",
        f"{_WORLD}_who_ends_on_a_read_only_volume_gets_no_error",
        (
            (
                "pipeline/queue/lane.py",
                "            return False\n        return True\n",
                "            raise\n        return True\n",
            ),
        ),
    ),
    (
        "normal end told by one place overheard",
        f"{_WORLD}_a_normal_end_on_a_read_only_volume_is_told_as_one",
        (
            (
                "pipeline/queue/layout.py",
                "ENDING if any(about.state == ENDING for about in abouts) else abouts[0].state",
                "abouts[-1].state",
            ),
        ),
    ),
    (
        "workers' log made below a mount point",
        f"{_WORLD}_nothing_is_told_below_a_mount_point",
        (("workers/journal.py", "        require_volume(self._places, self.path)", "        pass"),),
    ),
    (
        "volume that is away taken for a directory that is gone",
        f"{_WORLD}_a_volume_that_is_away_is_not_a_log_directory_that_is_gone",
        (
            (
                "pipeline/storage/grip.py",
                "            self._volume.check()\n        except OSError:\n            return False\n",
                "            self._volume.check()\n        except OSError:\n            pass\n",
            ),
        ),
    ),
    (
        "lane goes on in another file before a sync",
        "../integration/test_days_in_order.py",
        (
            (
                "pipeline/delivery/pump.py",
                "        if any(have_lane_in_common(slices, pieces) for pieces in elsewhere):\n",
                "        if False:\n",
            ),
        ),
    ),
    (
        "piece settled in the chain of who settles it",
        f"{_WORLD}_a_piece_in_a_part_of_another_instance_is_settled_in_its_chain",
        (("pipeline/delivery/replay.py", "        if owner == self._instance:\n", "        if True:\n"),),
    ),
    (
        "sync begun without a word",
        f"{_WORLD}_a_writer_that_is_killed_in_a_sync_that_fails_leaves_word_of_it",
        (
            (
                "pipeline/delivery/control.py",
                "        self._set_state(_RETREATING if self.is_trusted else _UNSURE)\n",
                "",
            ),
        ),
    ),
    (
        "second sync of a recovery believed",
        f"{_WORLD}_a_recovery_whose_sync_fails_does_not_believe_the_next_one",
        (("pipeline/delivery/recovery.py", "    if may_have_failed:\n", "    if False:\n"),),
    ),
    (
        "stand-in blind for a late commit",
        f"{_WORLD}_a_commit_that_comes_late_is_seen_by_the_stand_in",
        (("pipeline/storage/fallback.py", "            self._require_known(connection, positions)\n", ""),),
    ),
    (
        "published before the files are asked",
        f"{_WORLD}_nothing_is_published_before_the_files_can_be_asked",
        (
            (
                "pipeline/delivery/pump.py",
                "        if self.needs_files:\n            return",
                "        if False:\n            return",
            ),
        ),
    ),
    (
        "damaged page believed in a sync",
        "../integration/test_recovery.py::test_a_page_that_was_damaged_in_a_sync_has_the_files_asked",
        (("pipeline/delivery/control.py", "(self._synced_turn > 0 and self.synced.records >= 0)", "True"),),
    ),
    (
        "size that a successor has synced not published",
        f"{_WORLD}_what_a_successor_finishes_is_durable_in_one_piece",
        (
            (
                "pipeline/delivery/recovery.py",
                "                file.sync()  # by itself",
                "                pass  # by itself",
            ),
        ),
    ),
    (
        "full file left before it is published",
        f"{_WORLD}_a_file_that_is_full_is_published_before_its_last_entry_is_written",
        (
            (
                "pipeline/delivery/pump.py",
                "self.sync_now(file)\n        self._sync_and_publish()\n",
                "self.sync_now(file)\n",
            ),
        ),
    ),
    (
        "file that is left waited for",
        f"{_WORLD}_a_file_that_is_full_and_has_no_next_part_is_left_for_good",
        (
            (
                "pipeline/delivery/pump.py",
                "self.sync_now(file)\n        self._sync_and_publish()\n",
                "file.sync()\n",
            ),
        ),
    ),
    (
        "replay goes on with manifests that are over",
        f"{_WORLD}_a_replay_goes_on_in_the_chain_of_who_has_the_append_lock_again",
        (
            ("workers/replayer.py", "not self._run.is_of(writer.days.manifests)", "False"),
            ("pipeline/storage/days.py", "        self.manifests.retire()\n", ""),
        ),
    ),
    (
        "own lane that cannot be opened ends a writer",
        f"{_WORLD}_a_writer_whose_own_lane_is_on_a_volume_that_refuses_works_all_the_same",
        (
            (
                "pipeline/queue/lanes.py",
                "            with suppress(OSError):  # the next look tries again",
                "            if directory:",
            ),
        ),
    ),
    (
        "empty file of live records taken for a part",
        "../unit/test_replay.py::test_an_empty_file_of_live_records_is_no_part_of_a_replay",
        (("pipeline/delivery/replay_part.py", "may_take_empty and day.part > 1", "may_take_empty"),),
    ),
)
