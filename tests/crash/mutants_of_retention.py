"""Mistakes in retention and rotation: rows (name, test, edits) for `mutants.py`."""

_LEAVING = "../integration/test_leaving.py::test_"
_CLEANING = "../integration/test_cleaning.py::test_"
_ROTATION = "../integration/test_rotation.py::test_"
_PLANS = "../property/test_keeping_plans.py::test_"
_KILLED = "test_leaving_killed.py::test_"
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
)
