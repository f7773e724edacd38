"""Mistakes in packing files, and in what others make of packed ones."""

from __future__ import annotations

_P = "pipeline/keeping/packing.py"
_DAYS = "../integration/test_packed_days.py"
_PACKING = "../integration/test_packing.py"
_KILLED = "test_keeper_killed.py::test_a_kill_at_this_point_of_packing_leaves_the_old_file_or_the_new_one"
_ORDER = f"{_PACKING}::test_a_copy_is_on_the_disk_under_its_name_before_the_plain_file_goes"
_IF_OURS = "        if day is not None and day.instance == instance and not"
_LAST_LOOK = (
    _P,
    "        if not _is_same(held, about):\n            files.remove",
    "        if False:\n            files.remove",
)

PACKING = (
    (
        "plain file gone before its packed copy has a name",
        f"{_KILLED}[keeper.pack.compared-zstd]",
        (
            (
                _P,
                '        failpoint.reach("keeper.pack.compared")\n',
                '        self._path.unlink()\n        failpoint.reach("keeper.pack.compared")\n',
            ),
        ),
    ),
    (
        "packed copy made under its last name",
        f"{_KILLED}[keeper.pack.partial-zstd]",
        ((_P, "self._draft = _directory(places) / self._target.name", "self._draft = self._target"),),
    ),
    (
        "packed copy not read back",
        f"{_PACKING}::test_a_copy_that_is_not_what_was_packed_is_thrown_away",
        ((_P, "                yield from _require_same(self._draft, ranges, self._digests)\n", ""),),
    ),
    (
        "packed copy not synced",
        _ORDER,
        ((_P, "            _give(fd, about)\n            os.fsync(fd)\n", "            _give(fd, about)\n"),),
    ),
    (
        "name of a packed copy not synced",
        _ORDER,
        ((_P, "        files.sync_directory(self._places.log_dir)\n", ""),),
    ),
    (
        "manifest not asked before packing",
        f"{_PACKING}::test_what_the_manifest_does_not_prove_stays_as_it_is[not what its manifest says]",
        (
            (
                _P,
                "                yield len(piece)\n            if proof.differs(ranges, digests.done):",
                "                yield len(piece)\n            if False:",
            ),
        ),
    ),
    (
        "bytes without an entry packed",
        f"{_PACKING}::test_what_the_manifest_does_not_prove_stays_as_it_is[have no entry]",
        (("pipeline/keeping/proof.py", "    if place < size:", "    if False:"),),
    ),
    (
        "changed plain file unlinked",
        f"{_PACKING}::test_a_file_that_somebody_changes_while_it_is_packed_stays[keeper.pack.synced-byte]",
        (
            (_P, "                yield from self._require_unchanged(held, ranges)\n", ""),
            _LAST_LOOK,
        ),
    ),
    (
        "plain file changed at the last moment unlinked",
        f"{_PACKING}::test_a_file_that_somebody_changes_while_it_is_packed_stays[keeper.pack.named-append]",
        (_LAST_LOOK,),
    ),
    (
        "damaged copy taken for the file",
        f"{_PACKING}::test_a_damaged_packed_copy_never_takes_the_place_of_its_plain_file",
        ((_P, "        yield from _require_same(packed, ranges, digests.done)\n", ""),),
    ),
    (
        "file that is being written packed",
        f"{_PACKING}::test_a_file_that_is_open_to_append_is_not_packed",
        (("pipeline/storage/holding.py", "fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass"),),
    ),
    (
        "file that is being packed written",
        f"{_DAYS}::test_a_late_record_never_goes_to_a_file_that_is_just_being_packed[keeper.pack.partial]",
        (("pipeline/storage/day_file.py", "return self.is_shared and is_here and", "return is_here and"),),
    ),
    (
        "late records under the name of a packed day",
        f"{_DAYS}::test_a_late_record_for_a_packed_day_opens_a_part[zstd]",
        (
            (
                "pipeline/storage/naming.py",
                f"        day = parse(unpacked(name)[0])\n{_IF_OURS}",
                f"        day = parse(name)\n{_IF_OURS}",
            ),
        ),
    ),
    (
        "packed days not asked for what they hold",
        f"{_DAYS}::test_a_segment_that_comes_back_after_a_power_loss_is_not_stored_again",
        (("pipeline/storage/days.py", "sorted(names - copies)", 'sorted(n for n in names if n[-1] == "l")'),),
    ),
    (
        "packed part of a replay forgotten",
        f"{_DAYS}::test_a_replayed_part_that_is_packed_under_a_claim_is_not_written_again",
        (
            (
                "pipeline/delivery/replay.py",
                "replay_part.packed_since(self._grip, claim)",
                'b""',
            ),
        ),
    ),
)
