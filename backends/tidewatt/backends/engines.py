"""The kinds of backends there are: ours in a table, others by the entry point `tidewatt.backends`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from tidewatt.backends.backend import Backend, BackendError
from tidewatt.backends.clock import Clock

if TYPE_CHECKING:
    from pydantic import BaseModel

ENTRY_POINTS = "tidewatt.backends"
_OURS = {
    "local": "tidewatt.backends.host_engine:HostEngine",
    "ssh": "tidewatt.backends.ssh.engine:SshEngine",
    "slurm": "tidewatt.backends.slurm:SlurmEngine",
    "kubernetes": "tidewatt.backends.kubernetes:KubernetesEngine",
    "ray": "tidewatt.backends.ray:RayEngine",
    "aws-batch": "tidewatt.backends.aws_batch:AwsBatchEngine",
    "skypilot": "tidewatt.backends.skypilot:SkyPilotEngine",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What every backend is given: the daemon's state folder, its clock, and its own mark for tokens."""

    home: Path
    clock: Clock
    mark: str  # "tw-1f8e2a9c": unique to this state folder
    meter_interval_s: float = 10.0


class Engine(Protocol):
    """A kind of backend, as a class: what its regions are configured with, and how it is made.

    `Options` is a frozen pydantic model, `extra="forbid"`: the `options` of a `[[region]]` table. One backend
    is made for all regions of its kind, so that it asks each engine once for all its attempts.
    `experimental` ones could only be tested against stand-ins.
    """

    Options: "ClassVar[type[BaseModel]]"
    experimental: ClassVar[bool]

    @staticmethod
    def made(regions: "Mapping[str, BaseModel]", setting: Setting) -> Backend:
        """The backend of these regions, by name; touches no engine yet.

        Raises:
            BackendError: A package that it needs is not installed (the text says which extra), or the options
                contradict each other.
        """
        ...


def names() -> tuple[str, ...]:
    """All kinds, ours first."""
    return (*_OURS, *(name for name in sorted(_others()) if name not in _OURS))


@cache
def engine(name: str) -> type[Engine]:
    """The kind of that name.

    Raises:
        BackendError: There is none, or it cannot be imported.
    """
    place = _OURS.get(name) or _others().get(name)
    if place is None:
        raise BackendError(f"there is no backend {name!r}: there are {', '.join(names())}")
    module, _, attribute = place.partition(":")
    try:
        found: type[Engine] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BackendError(f"the backend {name!r} cannot be used: {error}") from error
    return found


@cache
def _others() -> dict[str, str]:
    return {each.name: each.value for each in entry_points(group=ENTRY_POINTS)}
