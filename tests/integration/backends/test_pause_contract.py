"""Pauses on this host and in memory, by the contract of all backends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.pause_contract import PauseContract
from tests.backends.stage import Stage
from tests.backends.troupes import FakeTroupe, HostTroupe, clear


class TestHost(PauseContract):
    """Real processes."""

    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[Stage]:
        """Whatever a story leaves running is killed."""
        tmp_path.chmod(0o755)
        stage = Stage(HostTroupe(), tmp_path)
        yield stage
        for folder in stage.folders:
            clear(folder)


class TestFake(PauseContract):
    """None."""

    @pytest.fixture
    def stage(self, tmp_path: Path) -> Stage:
        """Its time passes as it is told."""
        return Stage(FakeTroupe(), tmp_path)
