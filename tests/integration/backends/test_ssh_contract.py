"""What every backend promises, told on another host over a real SSH, whose line fails as told."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.backends.contract import Contract
from tests.backends.stage import PATIENCE_S, RealJobs, Stage
from tests.backends.troupes import clear
from tests.ssh.host import WRAPPER, SshHost
from tidewatt.backends import claim
from tidewatt.backends.clock import Clock
from tidewatt.backends.engines import Setting
from tidewatt.backends.processes import Tree
from tidewatt.backends.ssh.engine import SshEngine


@dataclass
class SshTroupe(RealJobs):
    """Real processes of a host that is reached by `ssh`; `faults` is where the wrapper of it looks."""

    host: SshHost
    root: Path
    faults: Path
    region: str = "hall"
    patience_s: float = PATIENCE_S
    lacks: Mapping[str, str] = field(
        default_factory=lambda: {
            "hide": "a host sees at once what it has",
            "reuse": "an attempt's id there is its own",
        }
    )

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Only the daemon's side begins anew: the other one has no part that could."""
        options = SshEngine.Options(
            host=self.host.name,
            ssh=self.host.arguments,
            python=sys.executable,
            folder=str(self.there),
            timeout_s=5,
        )
        self.backend = SshEngine.made({self.region: options}, Setting(self.root, Clock(), "tw-0123abcd"))

    @property
    def there(self) -> Path:
        """The folder of all daemons on the other host."""
        return self.root / "there"

    def folder(self, folder: Path) -> Path:
        """An attempt's folder there."""
        return self.there / "tw-0123abcd" / folder.relative_to(self.root)

    def ready(self, attempt_id: str, _output: Path) -> bool:
        job, number = attempt_id.split(".")
        return b"ready" in self.backend.logs(self.root / "jobs" / job / number)

    def pass_time(self) -> None:
        time.sleep(0.1)

    def mute(self) -> None:
        (self.faults / "mute").touch()

    def lose(self) -> None:
        (self.faults / "lose").touch()

    def hide(self) -> None:
        raise NotImplementedError

    def vanish(self, folder: Path) -> None:
        there = self.folder(folder)
        taken = claim.read(there)
        assert taken is not None
        assert taken.process is not None
        members = Tree(taken.process, there).members()
        clear(there)
        assert members
        shutil.rmtree(there)

    def reuse(self, _folder: Path) -> None:
        raise NotImplementedError

    def down(self, *, yes: bool) -> None:
        if yes:
            self.host.down()
        else:
            self.host.up()


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, require_engine: Callable[[str], None]
) -> Iterator[SshHost]:
    require_engine("ssh")
    found = SshHost(tmp_path_factory.mktemp("sshd")).up()
    yield found
    found.down()


class TestSshContract(Contract):
    """Another host."""

    @pytest.fixture
    def stage(self, host: SshHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
        """Whatever a story leaves running is killed."""
        tmp_path.chmod(0o755)
        faults = tmp_path / "line"
        faults.mkdir()
        (faults / "ssh").write_text(WRAPPER)
        (faults / "ssh").chmod(0o755)
        monkeypatch.setenv("REAL_PATH", os.environ["PATH"])
        monkeypatch.setenv("PATH", f"{faults}:{os.environ['PATH']}")
        stage = Stage(SshTroupe(host, tmp_path, faults), tmp_path)
        yield stage
        for folder in stage.folders:
            there = stage.troupe.folder(folder)  # type: ignore[attr-defined] # of an SshTroupe
            if there.exists():
                clear(there)
