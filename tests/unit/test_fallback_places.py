"""Where fallback stores are put, and how they are found again by who has no settings."""

import os
from pathlib import Path

import pytest

from pipeline.errors import FallbackError
from pipeline.host import files, mounts
from pipeline.host.mounts import Mount
from pipeline.paths import create_runtime, places_for
from pipeline.storage import fallback_places


@pytest.fixture
def places(tmp_path: Path, monkeypatch):
    """Give a log directory, with state home and runtime directory of the test's own."""
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return places_for(tmp_path / "logs")


def on_mounts(monkeypatch, *others: Path) -> None:
    """Make these directories look like mounts of their own."""

    def mount_of(path: Path) -> Mount:
        return Mount(device=next((str(other) for other in others if path.is_relative_to(other)), ""))

    monkeypatch.setattr(mounts, "of", mount_of)


def test_another_mount_goes_before_an_earlier_place(places, tmp_path, monkeypatch) -> None:
    """The first place that does not fail with the logs is taken, and it is private."""
    on_mounts(monkeypatch, tmp_path / "home")
    place = fallback_places.choose(places, "auto")
    assert place.directory == tmp_path / "home/.local/state/pipeline" / fallback_places.key_of(places.log_dir)
    assert not place.is_same_mount
    assert not place.directory.exists()


def test_without_another_mount_it_says_that_it_protects_little(places, tmp_path, monkeypatch) -> None:
    """On one file system the first place is taken, and the answer says so."""
    on_mounts(monkeypatch)
    place = fallback_places.choose(places, "auto")
    assert place.is_same_mount
    assert place.directory.is_relative_to(tmp_path / "state")


def test_a_given_directory_is_taken_with_a_room_for_each_log_directory(places, tmp_path) -> None:
    """Two pipelines with the same fallback_dir have different stores, and names of instances in them."""
    other = places_for(tmp_path / "other_logs")
    first = fallback_places.choose(places, str(tmp_path / "given"))
    second = fallback_places.choose(other, str(tmp_path / "given"))
    assert first.directory.parent == second.directory.parent == tmp_path / "given"
    assert first.directory != second.directory
    assert first.database("").name == "fallback.db"
    assert first.database("i12345678").name == "fallback.i12345678.db"


def test_a_directory_that_somebody_else_can_write_to_is_not_used(places, tmp_path) -> None:
    """What was prepared with another mode is refused with an error that names the place."""
    directory = tmp_path / "given" / fallback_places.key_of(places.log_dir)
    directory.mkdir(parents=True)
    directory.chmod(0o775)
    with pytest.raises(FallbackError, match="given"):
        fallback_places.choose(places, str(tmp_path / "given"))


def test_a_symbolic_link_is_not_followed(places, tmp_path) -> None:
    """A link in the place of the directory leads nowhere."""
    (tmp_path / "given").mkdir()
    (tmp_path / "mine").mkdir(mode=0o700)
    os.symlink(tmp_path / "mine", tmp_path / "given" / fallback_places.key_of(places.log_dir))
    with pytest.raises(FallbackError):
        fallback_places.choose(places, str(tmp_path / "given"))


def test_stores_are_found_without_settings(places, tmp_path, monkeypatch) -> None:
    """The note beside the checkpoint and the default places lead to all stores, of every instance."""
    given = fallback_places.choose(places, str(tmp_path / "given"))
    fallback_places.leave_note(places, given)
    default = fallback_places.choose(places, "auto")
    wanted = {given.database(""), default.database(""), default.database("i12345678")}
    for path in wanted:
        files.make_private(path.parent)
        path.touch()
    (default.directory / "other.db").touch()
    assert set(fallback_places.stores(places)) == wanted
    assert {fallback_places.instance_of(path) for path in wanted} == {"", "i12345678"}
    (places.state_dir / "fallback.json").unlink()
    assert set(fallback_places.stores(places)) == wanted - {given.database("")}
    create_runtime(places)
    files.write_json(places.runtime("fallback.json"), {"path": str(given.database(""))})
    assert set(fallback_places.stores(places)) == wanted
    places.runtime("fallback.json").unlink()
    assert set(fallback_places.stores(places, str(tmp_path / "given"))) == wanted
