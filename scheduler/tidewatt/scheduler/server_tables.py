"""Tables of the configuration for a server that several people share."""

from typing import Annotated

from pydantic import Field

from tidewatt.scheduler.account_tables import Table

Count = Annotated[int, Field(ge=0, le=1_000_000)]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$", max_length=260)]


class ServerTable(Table):
    """Whom a shared daemon serves, and by which names it is reached, `[server]`.

    The members of `group` may submit; those of the groups `operators`, and root, see and cancel everybody's
    jobs and decide about regions; only `up --system` looks at both. `allowed_hosts` are further names, with a
    port where it is another, that requests over TCP may be addressed to; after so many `wrong_tokens` in a
    minute an address is not listened to for the rest of it.
    """

    group: Annotated[str, Field(min_length=1)] = "tidewatt"
    operators: Annotated[tuple[str, ...], Field(strict=False)] = ()
    allowed_hosts: Annotated[tuple[Host, ...], Field(strict=False)] = ()
    wrong_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 10


class LimitTable(Table):
    """How much at a time, of one user or one project; None: any number.

    `running` and `waiting` count jobs, `gpus` those in use at a time, and `priority` is the highest that may
    be asked for.
    """

    running: Count | None = None
    waiting: Count | None = None
    gpus: Count | None = None
    priority: Annotated[int, Field(ge=-100, le=100)] | None = None


class LimitsTable(LimitTable):
    """The limits of each user, `[limits]`; `[limits.users.NAME]` and `[limits.projects.NAME]` state others.

    A key that a user's own table leaves out is that of everybody. A project has no limits but its own.
    """

    users: dict[str, LimitTable] = Field(default_factory=dict)
    projects: dict[str, LimitTable] = Field(default_factory=dict)

    def of_user(self, name: str) -> LimitTable:
        """What holds for a user."""
        own = self.users.get(name, LimitTable())
        stated = {key: value for key in LimitTable.model_fields if (value := getattr(own, key)) is not None}
        everybody = {key: getattr(self, key) for key in LimitTable.model_fields}
        return LimitTable(**everybody | stated)

    def of_project(self, name: str) -> LimitTable:
        """What holds for a project; nothing for jobs without one."""
        return self.projects.get(name, LimitTable()) if name else LimitTable()
