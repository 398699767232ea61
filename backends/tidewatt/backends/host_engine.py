"""This host as one kind of backend among others."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from tidewatt.backends.backend import Backend
from tidewatt.backends.engines import Setting
from tidewatt.backends.local import LocalBackend


class HostOptions(BaseModel):
    """A region on this host has no options of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HostEngine:
    """Runs jobs as processes of this host."""

    Options = HostOptions
    experimental: ClassVar[bool] = False

    @staticmethod
    def made(_regions: Mapping[str, BaseModel], _setting: Setting) -> Backend:
        """One backend for all regions of this host."""
        return LocalBackend()
