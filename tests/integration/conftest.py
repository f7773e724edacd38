"""What several tests of outages and faults ask for; a file that means another thing by a name has its own."""

from collections.abc import Iterator

import pytest
from support.outage_rig import Disk
from support.rig import Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Give a rig whose producers and writer run in this process."""
    made = Rig()
    yield made
    made.close()


@pytest.fixture
def disk(rig: Rig) -> Disk:
    """Give the disk of the rig's day files, which a test can break."""
    return Disk(rig.patch)
