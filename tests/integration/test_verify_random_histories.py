"""The oracle on random histories: each clean one passes, and any single damage to it is found."""

import json
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from support.histories import ADA, BOB, DAY, EVE, NEXT_DAY, WRITER, Log

from pipeline.verification import Kind, Report, verify


@pytest.fixture(autouse=True, scope="module")
def _no_pipeline_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path_factory.mktemp("runtime")))
        yield


@st.composite
def histories(draw: st.DrawFn) -> Log:
    """Draw a clean history: producers in turn, spread over files, each with a proven end."""
    names = [DAY, "2025-11-21.1.jsonl", "2025-11-21.r1.jsonl", NEXT_DAY, "2025-11-22.i1a2b3c4d.jsonl"]
    chance = random.Random(draw(st.integers(0, 2**32)))
    producers = [ADA, BOB, EVE][: draw(st.integers(1, 3))]
    log = Log()
    for _ in range(draw(st.integers(1, 40))):
        log.emit(chance.choice(producers), chance.choice(names))
        if chance.random() < 0.1:
            log.drop(
                chance.choice(list(log.numbers.keys() - {WRITER})), chance.randint(1, 3), chance.choice(names)
            )
    for producer in sorted(log.numbers.keys() - {WRITER}):
        log.end(producer, chance.choice(names), chance.choice(["producer_closed", "producer_died"]))
    log.emit(WRITER, NEXT_DAY, "pipeline_stopped", reason="stopped")
    return log


def verified(log: Log) -> Report:
    """Write the history to a directory of its own and verify it."""
    with tempfile.TemporaryDirectory() as directory:
        return verify(log.write(Path(directory)))


def delete(log: Log, chance: random.Random) -> Kind:
    """Delete any line but the last, whose loss leaves the writer open."""
    places = [(name, at) for name, lines in log.files.items() for at in range(len(lines))]
    name, at = chance.choice(
        [place for place in places if b"pipeline_stopped" not in log.files[place[0]][place[1]]]
    )
    del log.files[name][at]
    return Kind.MISSING


def duplicate(log: Log, chance: random.Random) -> Kind:
    """Copy any line to any place of any file."""
    line = chance.choice([line for lines in log.files.values() for line in lines])
    lines = log.files[chance.choice(sorted(log.files))]
    lines.insert(chance.randint(0, len(lines)), line)
    return Kind.REPEATED


def swap(log: Log, chance: random.Random) -> Kind | None:
    """Exchange two lines of one producer in one file, if there are two."""
    lines = log.files[chance.choice(sorted(log.files))]
    producer = json.loads(chance.choice(lines))["producer"]
    own = [at for at, line in enumerate(lines) if json.loads(line)["producer"] == producer]
    if len(own) == 1:
        return None
    one, other = chance.sample(own, 2)
    lines[one], lines[other] = lines[other], lines[one]
    return Kind.OUT_OF_ORDER


@given(histories())
def test_any_clean_history_has_nothing_wrong(log: Log) -> None:
    """However records are spread over files, a clean history is clean and proven to its end."""
    report = verified(log)
    assert report.findings == ()
    assert report.open == ()


@pytest.mark.parametrize("damage", [delete, duplicate, swap])
@given(log=histories(), number=st.integers(0, 2**32))
def test_any_single_damage_to_a_history_is_found(
    damage: Callable[[Log, random.Random], Kind | None], log: Log, number: int
) -> None:
    """Whichever line is deleted, copied or exchanged: it is found, and called by its name."""
    kind = damage(log, random.Random(number))
    report = verified(log)
    if kind is None:
        assert report.ok
    else:
        assert report.counts[kind] >= 1
