"""This host as one kind of backend among others."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from tidewatt.backends.backend import Backend, Limits
from tidewatt.backends.engines import Setting
from tidewatt.backends.local import LocalBackend


class HostOptions(BaseModel):
    """How the jobs of a region on this host are kept within what they asked for.

    `hold_memory` and `hold_cores` are by cgroup where one is writable; a job that cannot be held to it runs,
    and its warnings say so. `log_mb` is the size in megabytes at which a job's output is rotated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    nice: int | None = Field(None, ge=-20, le=19)
    io_idle: bool = False
    hold_memory: bool = False
    hold_cores: bool = False
    log_mb: int | None = Field(None, ge=1)

    def limits(self, cpus: int, mem_mb: int) -> Limits | None:
        """Those of a job that asked for so much (memory 0: not said); None where there are none."""
        limits = Limits(
            nice=self.nice,
            io_idle=self.io_idle,
            memory_mb=mem_mb if self.hold_memory and mem_mb else None,
            cores=float(cpus) if self.hold_cores else None,
            log_mb=self.log_mb,
        )
        return None if limits == Limits() else limits


class HostEngine:
    """Runs jobs as processes of this host."""

    Options = HostOptions
    experimental: ClassVar[bool] = False

    @staticmethod
    def made(_regions: Mapping[str, BaseModel], _setting: Setting) -> Backend:
        """One backend for all regions of this host."""
        return LocalBackend()
