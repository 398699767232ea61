"""The tables of the operator's policies in the configuration: rules, defaults of projects, ways for data."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from tidewatt.scheduler.account_tables import Table
from tidewatt.scheduler.pausing_schema import PausingRequest
from tidewatt.scheduler.setting_types import Amount, Duration

Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]
ANYWHERE = "*"
Saving = Annotated[float, Field(ge=0, lt=1, strict=False)]
OF_JOBS = ("shift", "min_saving", "g_per_price", "g_per_hour")


class PolicyTable(Table):
    """A rule, `[[policy]]`: of those that fit a job and a region, the first decides.

    It fits jobs of any of its `users`, `groups` and `projects`, and with any of its `labels` ("key" or
    "key=value"), where these are given; `*` in them stands for any letters. It fits its `regions`, or all.

    Beside a `verdict`, or instead of one, it says how its jobs are planned: `shift = false` starts them as
    soon as they fit, `max_price_per_kwh` keeps them from running where electricity costs more, unless they
    would be late, and `min_saving`, `g_per_price`, `g_per_hour` are theirs instead of the general ones. Of
    each of these the first rule that fits and states it decides.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    users: Names = ()
    groups: Names = ()
    projects: Names = ()
    labels: Names = ()
    regions: Names = ()
    verdict: Literal["allow", "prefer", "forbid"] | None = None
    shift: bool | None = None
    max_price_per_kwh: Amount | None = None
    min_saving: Saving | None = None
    g_per_price: Amount | None = None
    g_per_hour: Amount | None = None
    because: Annotated[str, Field(min_length=1, max_length=300)]

    @model_validator(mode="after")
    def _says_something(self) -> "PolicyTable":
        of_jobs = [name for name in OF_JOBS if getattr(self, name) is not None]
        if self.verdict is None and self.max_price_per_kwh is None and not of_jobs:
            raise ValueError('says nothing: add a verdict ("allow", "prefer", "forbid"), or how to plan jobs')
        if of_jobs and self.regions:
            raise ValueError(f"has {of_jobs[0]}, which is of jobs wherever they go: take regions out")
        return self


class ProjectTable(Table):
    """What jobs of a project ask for where they do not say it themselves, `[project.NAME]`.

    `slack` is for jobs without a deadline: they finish by their duration and so much more, or as early as
    they can. `pausing = { signal = "USR1", checkpoint_s = 60 }` says that they may be paused, and how.
    `shift`, `min_saving`, `g_per_price` and `g_per_hour` are as in a `[[policy]]`, which goes before them.
    """

    regions: Names = ()
    exclude_regions: Names = ()
    slack: Duration | None = None
    priority: Annotated[int, Field(ge=-100, le=100)] | None = None
    retries: Annotated[int, Field(ge=0, le=100)] | None = None
    pausing: Annotated[PausingRequest | None, Field(strict=False)] = None
    shift: bool | None = None
    min_saving: Saving | None = None
    g_per_price: Amount | None = None
    g_per_hour: Amount | None = None


class TransferTable(Table):
    """A way for data from one region to another, `[[transfer]]`, where it differs from `[link]`.

    `from` and `to` are regions, or "*" for any. Where it is not `allowed`, jobs that bring data along
    (`--data`) do not go that way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    from_: Annotated[str, Field(alias="from", min_length=1)]
    to: Annotated[str, Field(min_length=1)]
    gbit_per_s: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=False)] | None = None
    kwh_per_gb: Amount | None = None
    price_per_gb: Amount | None = None
    allowed: bool = True
