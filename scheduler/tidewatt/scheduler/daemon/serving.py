"""What a daemon needs to serve a group of users: rights of root, the group, and a Python for all."""

import os
import stat
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import tidewatt.backends
from tidewatt.backends import durable
from tidewatt.backends.backend import Owner
from tidewatt.backends.local import LocalBackend
from tidewatt.backends.meters.public_door import NOTE
from tidewatt.backends.owner import acting_as, supported
from tidewatt.backends.shared_host import SharedHost
from tidewatt.scheduler.daemon.callers import Served, served_group
from tidewatt.scheduler.daemon.ownership import roots_alone
from tidewatt.scheduler.daemon.site import HOST
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.paths import Paths, system_paths
from tidewatt.scheduler.settings import Settings

CONFIG = Path("/etc/tidewatt/config.toml")
_ANYBODY = Owner(65534, 65534, (), "nobody")  # may do no more than everybody may


def shared_paths(environ: Mapping[str, str]) -> Paths:
    """The folders of this host's shared daemon.

    Raises:
        BadInput: where this process may not serve others, or users could not run Tidewatt.
    """
    if problem := supported():
        raise BadInput(problem)
    _check_python()
    return system_paths(environ)


def config_of(given: Path | None, place: Paths) -> Path | None:
    """The configuration file: the one that was named, else the system's where there is one."""
    return CONFIG if given is None and place.system and CONFIG.exists() else given


def prepared(place: Paths, settings: Settings, group: str) -> tuple[Paths, Served | None]:
    """The folders with the group that is served, and whom the daemon serves; as they were for its own user.

    Raises:
        BadInput: for a group that does not exist, or regions where nobody's rights could be kept apart.
    """
    if not place.system:
        return place, None
    elsewhere = [region.name for region in settings.regions if region.backend != HOST]
    if elsewhere:
        raise BadInput(
            f"the region {elsewhere[0]!r} is not on this host: a shared daemon runs each job as its"
            " submitter, which it can do here only; let users reach that engine with daemons of their own"
        )
    carried = [region.name for region in settings.regions if not _is_local(region.checkpoints)]
    if carried:
        raise BadInput(
            f"the region {carried[0]!r} keeps its checkpoints elsewhere, which a shared daemon could only"
            " reach with root's rights: name a folder of this host, or leave `checkpoints` out"
        )
    for region in settings.regions:
        if region.checkpoints:
            _check_place(Path(region.checkpoints), region.name)
    server = settings.server
    served = served_group(group or server.group, server.operators)
    durable.replace(place.home / NOTE, {"gid": served.gid, "group": served.group})
    return replace(place, served=served.gid, group=served.group), served


def host_backend(place: Paths) -> LocalBackend:
    """Runs jobs on this host, on a shared one as their submitters."""
    return SharedHost(place.jobs, place.served) if place.system else LocalBackend()


def _check_place(place: Path, region: str) -> None:
    """Raises BadInput where somebody but root could make the folders in which jobs keep checkpoints."""
    try:
        found = place.lstat()
    except OSError as error:
        raise BadInput(f"the region {region!r} keeps checkpoints in {place}: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode) or not roots_alone(found):
        raise BadInput(
            f"the region {region!r} keeps checkpoints in {place}, which is not root's alone, so that users"
            f" could replace each other's: `chown root:root {place} && chmod 711 {place}`"
        )


def _is_local(place: str) -> bool:
    """Whether checkpoints are kept in a folder of this host, or with their jobs."""
    return not place or (place.startswith("/") and "://" not in place)


def _check_python() -> None:
    """Raises BadInput where not every user may run this Python with this package."""
    library = sysconfig.get_path("stdlib")
    needed = [Path(os.path.realpath(sys.executable)), Path(library) / "os.py"]
    needed += [Path(folder) / "shared_host.py" for folder in tidewatt.backends.__path__]
    for path in needed:
        with acting_as(_ANYBODY):
            try:
                may = bool(path.stat().st_mode & stat.S_IROTH)
            except OSError:
                may = False
        if not may:
            raise BadInput(
                f"users may not read {path}, and their jobs are started with it: install Tidewatt where all"
                " may read it, for example `python3 -m venv /opt/tidewatt`"
            )
