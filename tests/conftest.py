"""
What every test may ask for: a seed that is told when the test fails, and tools that may be absent.

Kept this small on purpose. What only some tests need lies beside them.
"""

import os
import random
import shutil
from collections.abc import Callable, Iterator

import hypothesis
import pytest

IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}

# No deadline: the machine that runs the tests is shared, and a slow example is not a wrong one.
hypothesis.settings.register_profile("dev", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=False)
hypothesis.settings.load_profile("ci" if IN_CI else "dev")


@pytest.fixture(scope="session", autouse=True)
def _state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep fallback stores out of the home directory of who runs the tests, and their settings file out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_SETTINGS_FILE", "")
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Give the number this test draws its randomness from; a failure report says how to repeat it."""
    given = os.environ.get("PIPELINE_TEST_SEED")
    number = int(given) if given else random.SystemRandom().randrange(2**32)
    request.node.add_report_section("call", "seed", f"PIPELINE_TEST_SEED={number} repeats this run")
    return number


@pytest.fixture
def need_tool() -> Callable[[str], str]:
    """Give a function that finds a program, or skips the test; in CI its absence is a failure."""

    def path_of(name: str) -> str:
        path = shutil.which(name)
        if path is None and IN_CI:
            pytest.fail(f"{name} is not installed; in CI nothing is skipped for that (see .ci/run)")
        if path is None:
            pytest.skip(f"{name} is not installed; this test reads our output with it")
        return path

    return path_of
