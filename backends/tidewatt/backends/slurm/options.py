"""How a region on Slurm is configured."""

import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_LONG = re.compile(r"--[a-z][a-z-]*(=[^\s\0]+)?")
_OURS = frozenset({"begin", "comment", "hold", "parsable", "clusters", "array", "wait", "wrap", "open-mode"})


def _absolute(path: str) -> str:
    if path and not PurePosixPath(path).is_absolute():
        raise ValueError(f"{path} is not an absolute path: give one that the cluster's nodes see")
    return path


def _long(option: str) -> str:
    if not _LONG.fullmatch(option):
        raise ValueError(f"{option!r} is not an option of sbatch as `--name` or `--name=value`")
    if option[2:].partition("=")[0] in _OURS:
        raise ValueError(f"{option} is chosen by Tidewatt itself: leave it out")
    return option


def _host(name: str) -> str:
    if name.startswith("-"):
        raise ValueError(f"{name!r} is not the name of a host")
    return name


_Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.,@&|*:-]*$", max_length=200)]


class SlurmOptions(BaseModel):
    """The `options` of a region whose backend is "slurm"; all of them may be left out.

    `folder` is where attempts lie on the cluster, seen by its nodes; "" where those see the daemon's own
    state folder. `python` is an interpreter there that finds Tidewatt: with it our own meter runs beside
    each job.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster: _Word = ""  # as `-M` takes it; "" for the only one
    partition: _Word = ""
    account: _Word = ""
    qos: _Word = ""
    constraint: _Word = ""
    extra: tuple[Annotated[str, AfterValidator(_long)], ...] = ()  # of every job ("--exclusive")
    allowed: tuple[str, ...] | None = None  # options that a script's #SBATCH lines may hold; None: all
    conf: Annotated[str, AfterValidator(_absolute)] = ""  # slurm.conf of its clients, where not the usual one
    ssh: Annotated[str, AfterValidator(_host)] = ""  # login node, "" for this host
    ssh_options: tuple[str, ...] = ()
    folder: Annotated[str, AfterValidator(_absolute)] = ""
    python: str = ""
    gpu_name: _Word = ""  # type in `--gres=gpu:TYPE:N`; "" asks for GPUs of any type
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 20.0
    visible_within_s: Annotated[float, Field(ge=0, le=3600)] = 60.0  # an accepted job is seen by then
