"""Slurm as one kind of backend among others."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel

from tidewatt.backends.backend import Backend, BackendError
from tidewatt.backends.engines import Setting
from tidewatt.backends.slurm.backend import SlurmBackend
from tidewatt.backends.slurm.options import SlurmOptions


class SlurmEngine:
    """Hands jobs to Slurm, where they wait for their hour."""

    Options = SlurmOptions
    experimental: ClassVar[bool] = False

    @staticmethod
    def made(regions: Mapping[str, BaseModel], setting: Setting) -> Backend:
        """One backend for all clusters and partitions.

        Raises:
            BackendError: A region behind a login node names no folder there.
        """
        options: dict[str, SlurmOptions] = {}
        for name, each in regions.items():
            assert isinstance(each, SlurmOptions)  # noqa: S101 - the table of kinds pairs them
            if each.ssh and not each.folder:
                raise BackendError(
                    f"the region {name!r} is behind {each.ssh}: name a folder there that its nodes see"
                    " (options.folder)"
                )
            options[name] = each
        return SlurmBackend(options, setting)
