"""Mistakes in accounts and in the register of ended producers: rows (name, test, edits) for `mutants.py`."""

_ACCOUNT = "../integration/test_account.py::test_"
_DIFFERENCES = "../integration/test_account_differences.py::test_"
_REGISTER = "../unit/test_register.py::test_"
_FINISHER = "workers/finisher.py"
_NOTE = "        self._note(done)\n        for lane in done:\n            self._finish(lane)\n"
_LATE = "        for lane in done:\n            self._finish(lane)\n        self._note(done)\n"

ACCOUNTS = (
    (
        "lane removed before it is noted",
        _ACCOUNT + "a_lane_that_is_gone_is_in_the_register",
        (
            (
                _FINISHER,
                _NOTE,
                "        for lane in done:\n            self._finish(lane)\n        self._note(done)\n",
            ),
        ),
    ),
    (
        "half a line of the register spoils the next",
        _REGISTER + "half_a_line_spoils_no_other",
        (
            (
                "pipeline/delivery/register.py",
                'is_cut = size > 0 and os.pread(fd, 1, size - 1) != b"\\n"',
                "is_cut = False",
            ),
        ),
    ),
    (
        "lanes read behind the files",
        _ACCOUNT + "it_never_cries_wolf_while_producers_emit",
        (("pipeline/verification/accounts.py", "    after = look(", "    before = after = look("),),
    ),
    (
        "a lane excuses all that it holds",
        _DIFFERENCES + "a_deleted_line_is_missing[True]",
        (
            (
                "pipeline/verification/emitted.py",
                "offset = max(durable & OFFSET_MASK if is_here else 0, HEADER_BYTES)",
                "offset = HEADER_BYTES",
            ),
        ),
    ),
    (
        "a repeated line not counted",
        _DIFFERENCES + "a_duplicated_line_is_stored_again",
        (("pipeline/verification/balance.py", "repeated = up_to(again, bound)", "repeated = []"),),
    ),
)
