"""Reading the settings again: what changes at once, what waits, and what is refused."""

from pathlib import Path

import pytest

from pipeline.settings import SETTINGS, Reading, Settings, document_of, read, reading_of
from pipeline.settings.reloading import reload
from pipeline.settings.table import APPLICATION, PIPELINE, RELOAD


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the environment of the test run sets."""
    for row in SETTINGS:
        monkeypatch.delenv(row.env, raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a settings file with one value."""
    path = tmp_path / "a.toml"
    path.write_text("queue_size = 5\n")
    return path


def published(reading: Reading) -> Reading:
    """Bring a reading on the way that it takes to the supervisor."""
    import json

    return reading_of(json.loads(json.dumps(document_of(reading))))


def test_each_setting_says_when_a_new_value_comes_into_force() -> None:
    """One of three answers, for every row."""
    assert {row.at for row in SETTINGS} == {RELOAD, APPLICATION, PIPELINE}


def test_new_values_of_the_file_are_taken_and_those_that_need_a_start_are_held_back(file: Path) -> None:
    """What holds for the life of the pipeline stays, with its source, and is named each time."""
    before = published(read({"retry_max": 2}, file))
    file.write_text('queue_size = 6\nhealth_port = 99\nqueue_max_mb = 9\nretry_max = 9\nlog_dir = "/x"\n')
    found = reload(before)
    assert found.reading.settings == Settings(queue_size=6, queue_max_mb=9, retry_max=2)
    assert found.changed == ["queue_max_mb", "queue_size", "health_port"]
    assert (found.for_pipeline, found.for_applications) == (["health_port"], ["queue_max_mb"])
    assert "health_port" not in found.reading.sources
    again = reload(published(found.reading))
    assert (again.reading.settings, again.changed) == (found.reading.settings, ["health_port"])
    file.write_text("queue_size = 6\nqueue_max_mb = 9\n")
    assert reload(published(found.reading)).changed == []


def test_environment_of_the_start_stays_between_keyword_and_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is that of who started the pipeline; what the reader has in its own is not asked."""
    monkeypatch.setenv("PIPELINE_RETRY_MAX", "7")
    before = published(read({}, file))
    monkeypatch.setenv("PIPELINE_RETRY_MAX", "8")
    file.write_text("queue_size = 6\nretry_max = 9\n")
    settings = reload(before).reading.settings
    assert (settings.retry_max, settings.queue_size) == (7, 6)


@pytest.mark.parametrize(
    ("text", "word"),
    [("queue_size = 6\nlanes = 'ram'", "lanes"), ("queue_sise = 6", "queue_size"),
     ("queue_size = ", "Invalid value"), (None, "No such file"),
     ("strict = true\nretry_max = -1", "retry_max")],
)  # fmt: skip
def test_a_new_value_that_cannot_be_used_changes_nothing(file: Path, text: str | None, word: str) -> None:
    """Neither that one nor those beside it: the file may be half edited."""
    before = published(read({}, file))
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    found = reload(before)
    assert found.reading == before
    assert word in " ".join(found.refused)
    assert found.changed == []


def test_what_could_not_be_used_before_is_no_reason_to_refuse(file: Path) -> None:
    """The pipeline runs with it; complaints of keywords and file go on being told."""
    file.write_text("queue_sise = 1\n")
    before = published(read({"lanes": "ram"}, file))
    file.write_text("queue_sise = 1\nqueue_size = 6\n")
    found = reload(before)
    assert (found.refused, found.changed) == ([], ["queue_size"])
    assert found.reading.complaints == before.complaints
    assert len(before.complaints) == 2


def test_settings_whose_origin_nobody_knows_stay() -> None:
    """A child that was started with a pickled handle had to publish them: nothing goes back to a default."""
    before = published(Reading(Settings(queue_size=3)))
    found = reload(before)
    assert (found.reading, found.changed, found.refused) == (before, [], [])
