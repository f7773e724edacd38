"""What several unit tests ask for."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.emitter import Emitter
from pipeline.paths import create_runtime, places_for
from pipeline.settings import Settings


@pytest.fixture
def producer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Emitter]]:
    """
    Give a function that makes an emitter over a log directory that nobody writes to.

    Its keywords are settings, and `how` what the emitter takes beside them.
    """
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path))
    places = places_for(tmp_path / "logs", "")
    create_runtime(places)
    made: list[Emitter] = []

    def make(how: Mapping[str, Any] | None = None, **settings: Any) -> Emitter:
        made.append(Emitter(places, Settings(log_dir=str(tmp_path / "logs"), **settings), **how or {}))
        return made[-1]

    yield make
    for emitter in made:
        emitter.close()
