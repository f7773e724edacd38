"""What the crash tests share: a ground that nothing outlives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.ground import Ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """Give a place for one crash; nothing that runs there outlives the test."""
    with Ground(tmp_path) as ground:
        yield ground
