"""Another host over SSH as one kind of backend: what its regions are configured with."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, cast

from pydantic import BaseModel, ConfigDict, Field

from tidewatt.backends.backend import Backend
from tidewatt.backends.engines import Setting
from tidewatt.backends.ssh.backend import SshBackend
from tidewatt.backends.ssh.link import Link


class SshOptions(BaseModel):
    """How a host is reached, and where Tidewatt is there.

    `host` is what `ssh` takes ("gpu2", "me@gpu2.example.org"), `ssh` are more arguments of it ("-F", FILE).
    `python` is an interpreter there that has Tidewatt, `folder` keeps attempts and readings there. A job runs
    in a folder of the same name as here; with `send` its files are copied there first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@:%\[\]-]*$")]
    ssh: tuple[str, ...] = ()
    python: str = "python3"
    folder: str = ".local/state/tidewatt-remote"
    send: bool = False
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 20.0

    def link(self, mark: str) -> Link:
        """The way to the host, with a folder there for this daemon alone."""
        base = f"{self.folder.rstrip('/')}/{mark}"
        return Link(self.host, self.ssh, self.python, base, self.send, self.timeout_s)


class SshEngine:
    """Runs jobs as processes of other hosts, each under a supervisor there."""

    Options = SshOptions
    experimental: ClassVar[bool] = False

    @staticmethod
    def made(regions: Mapping[str, BaseModel], setting: Setting) -> Backend:
        """One backend for all hosts."""
        links = {name: cast(SshOptions, options).link(setting.mark) for name, options in regions.items()}
        return SshBackend(links, setting.home)
