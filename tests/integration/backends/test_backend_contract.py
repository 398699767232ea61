"""What every backend promises, with its pauses, told with real processes and with the backends in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.contract import Contract
from tests.backends.pause_contract import PauseContract
from tests.backends.stage import Stage
from tests.backends.troupes import ClusterTroupe, FakeTroupe, HostTroupe, clear
from tidewatt.backends.fake_engine import FakeQueue


class TestHostContract(Contract, PauseContract):
    """Processes of this host."""

    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[Stage]:
        """Whatever a story leaves running is killed."""
        tmp_path.chmod(0o755)
        stage = Stage(HostTroupe(), tmp_path)
        yield stage
        for folder in stage.folders:
            clear(folder)


class TestFakeContract(Contract, PauseContract):
    """The backend in memory that stands in for this host."""

    @pytest.fixture
    def stage(self, tmp_path: Path) -> Stage:
        return Stage(FakeTroupe(), tmp_path)


class TestFakeEngineContract(Contract):
    """The engine in memory, over a line that fails."""

    @pytest.fixture
    def stage(self, tmp_path: Path) -> Stage:
        return Stage(ClusterTroupe(), tmp_path)


class TestFakeQueueContract(Contract):
    """The same, with a queue that keeps what is not to start yet."""

    @pytest.fixture
    def stage(self, tmp_path: Path) -> Stage:
        return Stage(ClusterTroupe(FakeQueue), tmp_path)
