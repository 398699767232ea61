"""Ray, as the stories of the contract play on it."""

import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.backends.line import OnTheLine
from tests.backends.stage import RealJobs
from tests.ray.line import RayLine
from tidewatt.backends import claim, reference
from tidewatt.backends.ray.engine import RayBackend
from tidewatt.backends.ray.options import RayOptions


def options(address: str, region: str, **more: object) -> RayOptions:
    """A region of the test's cluster, which sees this host's folders."""
    given: dict[str, object] = {"resource": f"region_{region}", "shared": True, "python": sys.executable}
    return RayOptions.model_validate({"address": address, **given, **more})


@dataclass
class RayTroupe(RealJobs, OnTheLine):
    """Real jobs, through a line that fails as told."""

    line: RayLine
    region: str = "eu"
    patience_s: float = 40.0
    lacks: Mapping[str, str] = field(
        default_factory=lambda: {"reuse": "an id is our own token", "standing": "Ray has none"}
    )

    def __post_init__(self) -> None:
        """The first backend."""
        self.restart()

    def restart(self) -> None:
        regions = {region: options(self.line.address, region) for region in ("eu", "us")}
        self.backend = RayBackend(regions, visible_s=3.0, vanished_s=2.5)

    def pass_time(self) -> None:
        time.sleep(0.1)

    def vanish(self, folder: Path) -> None:
        found, taken = reference.read(folder), claim.read(folder)
        assert found is not None
        assert taken is not None
        assert taken.process is not None
        self.line.gone.add(found.token)
        os.killpg(taken.process.pid, signal.SIGKILL)

    def reuse(self, _folder: Path) -> None:
        raise NotImplementedError


def clear(folder: Path) -> None:
    """Ends what a story has left: by the claim, whose process leads the group of escort and job."""
    with suppress(OSError):
        claim.poison(folder, "the test is over")
        taken = claim.read(folder)
        if taken is not None and taken.process is not None and taken.process.alive():
            os.killpg(taken.process.pid, signal.SIGKILL)
