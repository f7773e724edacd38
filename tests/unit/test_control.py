"""The control page: positions follow from it through any kill, and what is no page is not believed."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from support.damage import DAMAGES

from pipeline.delivery.control import ControlPage, Intent
from pipeline.errors import ControlPageError
from pipeline.limits import BATCH_SLICES_MAX
from pipeline.queue.tailer import Slice


def intent(batch: int, slices: int = 2) -> Intent:
    """Return an intent that can be told from others."""
    pieces = [Slice(f"producer{index:04d}", index + 1, 128, 200 + batch) for index in range(slices)]
    return Intent(batch, "2025-11-21.jsonl", "5", 6, 100 * batch, 72, 7 * batch, pieces, pieces[:1])


@pytest.fixture
def page(tmp_path: Path) -> Iterator[ControlPage]:
    """Give a page that is trusted."""
    one = ControlPage(tmp_path / "control")
    one.trust()
    yield one
    one.close()


def again(page: ControlPage) -> ControlPage:
    """Open the page as the next writer does."""
    return ControlPage(page.path)


def test_a_new_page_is_not_believed(tmp_path: Path) -> None:
    """It says nothing about what is in the files."""
    page = ControlPage(tmp_path / "control")
    assert not page.is_trusted
    assert page.open_intent() is None
    assert page.last_intent() is None
    page.close()


@pytest.mark.parametrize("batches", [1, 2, 3, 4])
def test_the_next_writer_sees_the_last_batch_and_the_open_one(page: ControlPage, batches: int) -> None:
    """Look after every step: proposed, committed, proposed."""
    for batch in range(1, batches + 1):
        page.propose(intent(batch))
        found = again(page)
        assert found.is_trusted
        assert found.open_intent() == intent(batch)
        assert found.last_intent() == (intent(batch - 1) if batch > 1 else None)
        found.close()
        page.commit(batch)
        found = again(page)
        assert (found.open_intent(), found.last_intent()) == (None, intent(batch))
        found.close()


@given(cut=st.integers(0, 400), batches=st.integers(1, 4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_half_written_intent_is_none_and_the_last_batch_stands(
    tmp_path_factory: pytest.TempPathFactory, cut: int, batches: int
) -> None:
    """The writer was killed while it wrote it: not a byte of its batch is in a file yet."""
    path = tmp_path_factory.mktemp("page") / "control"
    page = ControlPage(path)
    page.trust()
    for batch in range(1, batches + 1):
        page.propose(intent(batch))
        page.commit(batch)
    before = path.read_bytes()
    page.propose(intent(batches + 1, slices=3))
    after = path.read_bytes()
    changed = [index for index in range(len(before)) if before[index] != after[index]]
    end = changed[min(cut, len(changed) - 1)]
    path.write_bytes(after[:end] + before[end:])
    found = again(page)
    assert found.is_trusted
    assert found.last_intent() == intent(batches)
    assert found.open_intent() is None
    page.close()
    found.close()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_page_is_not_believed(page: ControlPage, damage) -> None:
    """Whatever it holds, opening it raises nothing, and positions do not come from it."""
    for batch in (1, 2):
        page.propose(intent(batch))
        page.commit(batch)
    damage(page.path)
    found = again(page)
    assert not found.is_trusted
    assert found.open_intent() is None
    found.close()


def test_a_page_that_was_distrusted_stays_so_for_the_next_writer(page: ControlPage) -> None:
    """Until what the files said is settled: a kill in the middle comes back to the files."""
    page.propose(intent(1))
    page.commit(1)
    page.distrust()
    page.propose(intent(1))
    page.commit(1)
    found = again(page)
    assert not found.is_trusted
    found.close()


def test_a_page_that_was_removed_goes_on_in_a_new_one(page: ControlPage, tmp_path: Path) -> None:
    """With the last batch and the trust that it had."""
    for batch in (1, 2, 3):
        page.propose(intent(batch))
        page.commit(batch)
    page.path.unlink()
    page.move_to(page.path)
    found = again(page)
    assert found.is_trusted
    assert found.last_intent() == intent(3)
    page.propose(intent(4))
    page.commit(4)
    found.close()


def test_a_page_that_was_removed_under_an_open_intent_keeps_it(page: ControlPage) -> None:
    """The batch is half in the file: without its intent nobody could finish it."""
    for batch in (1, 2):
        page.propose(intent(batch))
        page.commit(batch)
    page.propose(intent(3))
    page.path.unlink()
    page.move_to(page.path)
    found = again(page)
    assert (found.last_intent(), found.open_intent()) == (intent(2), intent(3))
    found.close()


def test_an_intent_that_does_not_fit_is_an_error_and_changes_nothing(page: ControlPage) -> None:
    """It cannot happen by the limits; if it did, no other slot may be overwritten."""
    page.propose(intent(1))
    page.commit(1)
    before = page.path.read_bytes()
    with pytest.raises(ControlPageError):
        page.propose(intent(2, slices=5000))
    assert page.path.read_bytes() == before


def test_the_largest_intent_that_limits_allow_fits(page: ControlPage) -> None:
    """As many slices as a batch has, with the longest numbers."""
    far = [Slice("0123456789ab", 10**7, 2**32 - 2, 2**32 - 1)] * BATCH_SLICES_MAX
    page.propose(
        Intent(
            2**53, "2025-11-21.i1a2b3c4d.99.jsonl", "v0123456789abcdef", 2**63, 2**40, 2**32, 2**53, far, []
        )
    )


def test_committing_is_one_store_of_eight_bytes(page: ControlPage) -> None:
    """Nothing else of the page changes."""
    page.propose(intent(1))
    before = page.path.read_bytes()
    page.commit(1)
    after = page.path.read_bytes()
    changed = [index for index, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert changed
    assert all(16 <= index < 24 for index in changed)
    assert struct.unpack_from("=Q", after, 16) == (1,)
