"""Slurm as the stories of all backends play on it."""

import os
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.backends.stage import RealJobs
from tests.slurm.cluster import Clusters
from tidewatt.backends.clock import Clock
from tidewatt.backends.engines import Setting
from tidewatt.backends.slurm.backend import SlurmBackend
from tidewatt.backends.slurm.options import SlurmOptions
from tidewatt.backends.slurm.reference import Reference

_SBATCH = """#!/bin/bash
# Stands before sbatch, and does once what the file beside it says.
fault=$(cat "{folder}/fault" 2>/dev/null)
rm -f "{folder}/fault"
case $fault in
    lose) echo "sbatch: error: Batch job submission failed: Unable to contact slurm controller" >&2; exit 1 ;;
    mute) "{real}" "$@" > /dev/null
          echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv" >&2; exit 1 ;;
    hang) "{real}" "$@" > /dev/null; exec sleep 600 ;;
    kill) "{real}" "$@" > /dev/null; kill -KILL $$ ;;
esac
exec "{real}" "$@"
"""


@dataclass
class Door:
    """A sbatch that stands before the real one, in a folder that goes first in PATH."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        sbatch = self.folder / "sbatch"
        sbatch.write_text(_SBATCH.format(folder=self.folder, real=shutil.which("sbatch")))
        sbatch.chmod(0o755)

    def fails(self, how: str) -> None:
        """The next call: "lose" it, or accept it and then answer with an error, hang or be killed."""
        (self.folder / "fault").write_text(how)


@dataclass
class SlurmTroupe(RealJobs):
    """Real jobs on one of two real clusters."""

    clusters: Clusters
    root: Path
    options: SlurmOptions = field(default_factory=lambda: SlurmOptions(cluster="eu", visible_within_s=2))
    region: str = "eu"
    patience_s: float = 60.0
    lacks: Mapping[str, str] = field(
        default_factory=lambda: {"hide": "what sbatch has taken is in squeue at once"}
    )

    def __post_init__(self) -> None:
        self.door = Door(self.root / "bin")
        os.environ["PATH"] = f"{self.door.folder}:{os.environ['PATH']}"
        self._begin()

    def _begin(self) -> None:
        self.backend = SlurmBackend({self.region: self.options}, Setting(self.root, Clock(), "tw-00000000"))

    def pass_time(self) -> None:
        time.sleep(0.1)

    def mute(self) -> None:
        self.door.fails("mute")

    def lose(self) -> None:
        self.door.fails("lose")

    def hide(self) -> None:
        raise NotImplementedError

    def vanish(self, _folder: Path) -> None:
        """The controller begins anew and knows no job; the node ends what it does not know."""
        self.clusters.forget("eu")

    def reuse(self, folder: Path) -> None:
        """Numbers begin again at one."""
        reference = Reference.read(folder)
        assert reference is not None
        self.clusters.forget("eu")
        while True:
            said = self.clusters.run(
                "sbatch", "-M", "eu", "--parsable", "-o", "/dev/null", "--wrap", "sleep 30"
            )
            if int(said.partition(";")[0]) >= int(reference.number):
                break

    def restart(self) -> None:
        self.clusters.kill_controller("eu", signal.SIGTERM)
        self.clusters.start_controller("eu")
        self._begin()

    def down(self, *, yes: bool) -> None:
        if yes:
            self.clusters.kill_controller("eu", signal.SIGTERM)
        else:
            self.clusters.start_controller("eu")

    def clear(self) -> None:
        """Ends whatever a story left."""
        with suppress(AssertionError):
            self.clusters.cancel_all()
