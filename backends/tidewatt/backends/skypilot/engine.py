"""SkyPilot as one kind of backend among others."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from tidewatt.backends import instances
from tidewatt.backends.backend import BackendError, Capacity, Launch, PauseMode
from tidewatt.backends.engines import Setting
from tidewatt.backends.handover import Handover
from tidewatt.backends.skypilot.desk import SkyDesk
from tidewatt.backends.skypilot.options import SkyPilotOptions

_VISIBLE_S = 900.0  # a cluster is shown once its machines are asked for
_VANISHED_S = 900.0


class SkyPilotBackend(Handover):
    """Attempts as clusters of SkyPilot, under their tokens."""

    def __init__(
        self,
        options: Mapping[str, SkyPilotOptions],
        sky: Any,
        visible_s: float = _VISIBLE_S,
        vanished_s: float = _VANISHED_S,
    ) -> None:
        self.options = dict(options)
        self.sky_desk = SkyDesk(self.options, sky)
        places = {name: each.place() for name, each in options.items()}
        super().__init__("SkyPilot", self.sky_desk, places, visible_s, vanished_s)

    def pause(self, folder: Path, mode: PauseMode) -> None:
        """Not here: a cluster takes what its job has saved along when it ends."""
        raise BackendError(f"the job in {folder} cannot be paused: SkyPilot ends its cluster with all on it")

    def collect(self, folder: Path) -> bool:
        """The energy of the instance's share that it had, by a published model; missing for other types."""
        return instances.report(folder)

    def capacity(self, region: str) -> Capacity:
        """No cloud tells what is free before it is asked for.

        Raises:
            BackendError: Always.
        """
        raise BackendError(f"SkyPilot does not tell what is free in {region}: give its gpus and cpus")

    def rehearse(self, launch: Launch) -> str:
        """The task and the call."""
        try:
            options = self.options[launch.region]
        except KeyError:
            raise BackendError(f"there is no region {launch.region!r} behind SkyPilot") from None
        task = self.sky_desk.described(launch, options)
        call = f"sky.launch(task, cluster_name={launch.token!r}, down=True,"
        return (
            f"{call} idle_minutes_to_autostop={options.idle_minutes}, retry_until_up=False)\n"
            f"{json.dumps(task | {'argv': list(launch.argv)}, indent=2)}\n"
        )


class SkyPilotEngine:
    """Runs jobs in any cloud that SkyPilot reaches."""

    Options = SkyPilotOptions
    experimental: ClassVar[bool] = True

    @staticmethod
    def made(regions: Mapping[str, BaseModel], _setting: Setting) -> SkyPilotBackend:
        """One backend for all regions; needs `sky`, which takes seconds to import.

        Raises:
            BackendError: SkyPilot is not installed.
        """
        try:
            sky = import_module("sky")
        except ImportError:
            raise BackendError("SkyPilot is not installed: pip install 'tidewatt[skypilot]'") from None
        options = {name: each for name, each in regions.items() if isinstance(each, SkyPilotOptions)}
        return SkyPilotBackend(options, sky)
