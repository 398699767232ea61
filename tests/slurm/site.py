"""Launches for tests that speak to the backend itself, without a daemon."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.slurm.cluster import Clusters
from tidewatt.backends.backend import AttemptStatus, Launch, Phase
from tidewatt.backends.clock import Clock
from tidewatt.backends.engines import Setting
from tidewatt.backends.slurm.backend import SlurmBackend
from tidewatt.backends.slurm.options import SlurmOptions

T = TypeVar("T")
PATIENCE_S = 60.0


@dataclass
class Site:
    """The backend of both clusters, and jobs below `root`."""

    clusters: Clusters
    root: Path
    more: dict[str, SlurmOptions] = field(default_factory=dict)

    def __post_init__(self) -> None:
        regions = {
            name: SlurmOptions(cluster=name, visible_within_s=2, python=sys.executable)
            for name in ("eu", "us")
        }
        self.backend = SlurmBackend(regions | self.more, Setting(self.root, Clock(), "tw-0000aaaa"))

    def launch(self, attempt_id: str, *argv: str, **more: Any) -> Launch:
        folder = self.root / "jobs" / attempt_id.replace(".", "/")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        out = self.root / f"{attempt_id.partition('.')[0]}.out"
        token = f"tw-{abs(hash(str(self.root))) % 16**8:08x}-{attempt_id.replace('.', '-')}"
        given: dict[str, Any] = {"cwd": self.root, "environment_file": None, "stdout": out, "stderr": out,
                                 "token": token, "region": "eu", "name": "story"}  # fmt: skip
        return Launch(attempt_id, folder, argv, **(given | more))

    def submit(self, attempt_id: str, *argv: str, **more: Any) -> Path:
        launch = self.launch(attempt_id, *argv, **more)
        self.backend.submit(launch)
        return launch.folder

    def status(self, folder: Path) -> AttemptStatus:
        return self.backend.status([folder])[folder]

    def until(self, folder: Path, *phases: Phase) -> AttemptStatus:
        return self.see(folder, lambda status: status.phase in phases)

    def see(self, folder: Path, told: Callable[[AttemptStatus], bool]) -> AttemptStatus:
        deadline = time.monotonic() + PATIENCE_S
        while not told(status := self.status(folder)):
            assert time.monotonic() < deadline, f"still {status}"
            time.sleep(0.1)
        return status

    def ended(self, folder: Path) -> AttemptStatus:
        return self.until(folder, Phase.ENDED, Phase.POISONED)

    def wait(self, look: Callable[[], T]) -> T:
        deadline = time.monotonic() + PATIENCE_S
        while not (answer := look()):
            assert time.monotonic() < deadline, "nothing came of it"
            time.sleep(0.1)
        return answer
