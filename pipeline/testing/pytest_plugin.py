"""The fixture `pipeline_records`, which pytest finds by itself where this package is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipeline_records() -> Iterator[list[dict[str, Any]]]:
    """Give the list of the records that the test emits into the default pipeline of the process."""
    from pipeline.testing.memory import capture_events

    with capture_events() as events:
        yield events
