"""A stage on this host, and one on the backend in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.stage import until
from tests.backends.troupes import HostStage, HostTroupe, clear

Stage = HostStage
__all__ = ["Stage", "until"]


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Stage]:
    """Real processes; whatever a test leaves running is killed."""
    tmp_path.chmod(0o755)
    stage = HostStage(HostTroupe(), tmp_path)
    yield stage
    for folder in stage.folders:
        clear(folder)
