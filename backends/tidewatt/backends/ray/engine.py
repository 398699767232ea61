"""Ray as one kind of backend among others."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import BackendError, Capacity, Launch
from tidewatt.backends.engines import Setting
from tidewatt.backends.handover import Handover
from tidewatt.backends.meters.journal import followed_ms
from tidewatt.backends.ray.client import Client
from tidewatt.backends.ray.desk import ORDER, RayDesk
from tidewatt.backends.ray.options import RayOptions

_VISIBLE_S = 30.0  # the head writes the job down before it answers
_VANISHED_S = 60.0


class RayBackend(Handover):
    """Attempts as jobs of Ray clusters, under their tokens."""

    def __init__(
        self,
        options: Mapping[str, RayOptions],
        visible_s: float = _VISIBLE_S,
        vanished_s: float = _VANISHED_S,
    ) -> None:
        self.options = dict(options)
        self.clusters = RayDesk(self.options)
        places = {name: each.place() for name, each in options.items()}
        super().__init__("Ray", self.clusters, places, visible_s, vanished_s)

    def collect(self, folder: Path) -> bool:
        """The readings of our own meter come by the shared folder, the last some seconds after the end."""
        attempt = Attempt(folder)
        launch, outcome = attempt.launch(), attempt.read(attempt.exit)
        if launch is None or outcome is None or not (folder / "readings").is_dir():
            return True
        after_ms = followed_ms(round(launch.meter_interval_s * 1000)) * max(1.0, launch.clock.factor)
        return launch.clock.at_ms(time.time_ns() // 1_000_000) > outcome.ended_ms + after_ms

    def capacity(self, region: str) -> Capacity:
        """What Ray's nodes of the region have; GPUs that no kind is named for are one kind."""
        options = self._options(region)
        nodes = self.clusters.nodes(region, Client(options.place()))
        gpus: dict[str, int] = {}
        free: dict[str, int] = {}
        for node in nodes:
            used, total = node.get("gpu", (0.0, 0.0))
            kind = next((name for name, each in options.kinds.items() if _has(node, each)), "GPU")
            if total:
                gpus[kind] = gpus.get(kind, 0) + int(total)
                free[kind] = free.get(kind, 0) + int(total - used)
        cores = [node.get("cpu", (0.0, 0.0)) for node in nodes]
        note = "as of the last report of Ray's monitor, some seconds ago"
        return Capacity(
            gpus, free, int(sum(total for _, total in cores)),
            int(sum(total - used for used, total in cores)), note,
        )  # fmt: skip

    def rehearse(self, launch: Launch) -> str:
        """The request, as it would be posted."""
        options = self._options(launch.region)
        body = self.clusters.body(launch, options, None)
        text = f"POST {options.address}/api/jobs/\n{json.dumps(body, indent=2)}\n"
        if options.shared:
            told = self.clusters.told(launch, options)
            text += f"{launch.folder / ORDER}\n{json.dumps(told, indent=2)}\n"
        return text

    def _options(self, region: str) -> RayOptions:
        try:
            return self.options[region]
        except KeyError:
            raise BackendError(f"there is no region {region!r} in a Ray cluster") from None


class RayEngine:
    """Runs jobs in Ray clusters."""

    Options = RayOptions
    experimental: ClassVar[bool] = False

    @staticmethod
    def made(regions: Mapping[str, BaseModel], _setting: Setting) -> RayBackend:
        """One backend for all regions; clusters are asked only later."""
        options = {name: each for name, each in regions.items() if isinstance(each, RayOptions)}
        return RayBackend(options)


def _has(node: Mapping[str, tuple[float, float]], resource: str) -> bool:
    from tidewatt.backends.ray.client import plain

    return plain(resource) in node
