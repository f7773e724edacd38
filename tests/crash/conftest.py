"""Cases of one file run beside each other: they mostly wait, and each has a ground of its own."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from support.ground import Ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BESIDE_EACH_OTHER = 6


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """Give a place for one crash; nothing that runs there outlives the test."""
    with Ground(tmp_path) as ground:
        yield ground


@pytest.fixture(scope="module")
def beside(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """Start all selected cases of the file, a few at a time; each test waits for its own."""
    cases = {
        item.callspec.params["case"].id: item.callspec.params["case"]
        for item in request.session.items
        if item.path == request.path and "case" in getattr(getattr(item, "callspec", None), "params", {})
    }

    def run(case) -> None:
        with Ground(tmp_path_factory.mktemp("case")) as place:
            case.run(place)

    with ThreadPoolExecutor(BESIDE_EACH_OTHER) as pool:
        futures: dict[str, Future] = {name: pool.submit(run, case) for name, case in cases.items()}
        yield futures
        pool.shutdown(cancel_futures=True)
