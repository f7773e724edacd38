"""When a worker is started again: a pure function of how it ended, and how often."""

import itertools

import pytest

from workers.policy import (
    BACKOFF_MAX_SEC,
    BOOT_FAILURES_MAX,
    CALM_SEC,
    EXIT_BOOT_FAILED,
    EXIT_CRASH,
    EXIT_DONE,
    EXIT_REPLACE,
    History,
)

KILLED = -9


def after(*ends: tuple[int, float]) -> History:
    """Return the history of these ends: (exit code, seconds that it ran)."""
    history = History()
    for code, ran in ends:
        history = history.after(code, ran)
    return history


@pytest.mark.parametrize("code", [EXIT_CRASH, KILLED, -6, 1, 77])
def test_the_first_crash_costs_no_time(code: int) -> None:
    """Recovery after a kill is promised within a second."""
    assert after((code, 0.1)).delay_sec == 0.0
    assert after((code, 1000.0)).delay_sec == 0.0


def test_crashes_in_a_row_wait_longer_and_longer_up_to_a_bound() -> None:
    """A writer that crashes at once must not keep a core busy."""
    delays = [after(*[(EXIT_CRASH, 0.1)] * count).delay_sec for count in range(1, 30)]
    assert delays[0] == 0.0
    assert all(earlier <= later for earlier, later in itertools.pairwise(delays))
    assert delays[1] > 0.0
    assert max(delays) == BACKOFF_MAX_SEC


def test_a_worker_that_ran_calmly_begins_a_new_row() -> None:
    """Crashes that are hours apart are each the first one."""
    row = [(EXIT_CRASH, 0.1)] * 10
    assert after(*row, (KILLED, CALM_SEC)).delay_sec == 0.0
    assert after(*row, (KILLED, CALM_SEC), (KILLED, 0.1)).delay_sec < after(*row, (KILLED, 0.1)).delay_sec


def test_a_worker_that_asks_for_a_successor_is_replaced_at_once() -> None:
    """That is no failure, and ends a row of them."""
    history = after((EXIT_CRASH, 0.1), (EXIT_CRASH, 0.1), (EXIT_REPLACE, 0.1))
    assert history.delay_sec == 0.0
    assert history.restarts == 3


def test_boot_failures_wait_and_give_up_only_after_many_in_a_row() -> None:
    """A worker that cannot start is tried again for minutes; one that starts once resets the count."""
    assert not after(*[(EXIT_BOOT_FAILED, 0.1)] * (BOOT_FAILURES_MAX - 1)).has_given_up
    assert after(*[(EXIT_BOOT_FAILED, 0.1)] * BOOT_FAILURES_MAX).has_given_up
    interrupted = [(EXIT_BOOT_FAILED, 0.1)] * (BOOT_FAILURES_MAX - 1) + [(EXIT_CRASH, 0.1)]
    assert not after(*interrupted, (EXIT_BOOT_FAILED, 0.1)).has_given_up


def test_crashes_never_give_up() -> None:
    """What could start may work the next time; records wait in the queue."""
    assert not after(*[(KILLED, 0.1)] * 1000).has_given_up


def test_every_end_counts_as_a_restart() -> None:
    """The number is what health and the stream show."""
    codes = [EXIT_DONE, EXIT_CRASH, EXIT_BOOT_FAILED, EXIT_REPLACE, KILLED]
    assert after(*[(code, 10.0) for code in codes]).restarts == len(codes)


def test_a_writer_that_hangs_is_followed_at_once_and_the_hangs_are_counted() -> None:
    """A hang costs its successor no time; stand-ins in between do not end the count, a calm time does."""
    history = after((KILLED, 1.0), (KILLED, 1.0)).after_hang(1.0).after(EXIT_REPLACE, 60.0).after_hang(2.0)
    assert (history.hangs, history.delay_sec, history.restarts) == (2, 0.0, 5)
    assert history.after_hang(CALM_SEC).hangs == 1
