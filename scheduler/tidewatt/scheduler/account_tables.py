"""Tables of the configuration that accounts are made with, and no plan: hardware's making, and budgets."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kilograms = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False, strict=False)]


class Table(BaseModel):
    """A frozen part of the configuration; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class EmbodiedTable(Table):
    """What making a region's hardware emitted, `embodied = { gpu_kg = 160, server_kg = 1500 }`.

    `gpu_kg` is one GPU, `server_kg` a server without its GPUs, in kg CO2e; published figures stand for what
    is left out. `server_gpus` and `server_cpus` are those of one server, where this host's are not, and
    `lifetime_years` is how long all of it serves.
    """

    gpu_kg: Kilograms | None = None
    server_kg: Kilograms | None = None
    server_gpus: Annotated[int, Field(ge=1)] | None = None
    server_cpus: Annotated[int, Field(ge=1)] | None = None
    lifetime_years: Annotated[float, Field(gt=0, le=30, strict=False)] | None = None
    source: str = ""

    @model_validator(mode="after")
    def _figures_have_a_source(self) -> "EmbodiedTable":
        if (self.gpu_kg is not None or self.server_kg is not None) and not self.source.strip():
            raise ValueError(
                'figures of your own need a source: add for example source = "vendor\'s PCF 2025"'
            )
        return self


class BudgetTable(Table):
    """What a project, or a user, may emit or use in a calendar month (UTC), `[[budget]]`.

    `when` a job would exceed it, that is told (`warn`), the job is held until it is released (`hold`), or it
    is refused unless it comes with --over-budget (`ask`). `credit` is the share of the month's settled saving
    that is added to it.
    """

    project: str | None = None
    user: Annotated[str, Field(min_length=1)] | None = None
    per: Literal["month"] = "month"
    kg: Kilograms | None = None
    kwh: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False, strict=False)] | None = None
    signal: Literal["average", "marginal"] = "average"
    when: Literal["warn", "hold", "ask"] = "warn"
    credit: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.0

    @property
    def key(self) -> tuple[str | None, str | None, bool, str]:
        """Whose it is, and what it counts: of each there is one."""
        return self.project, self.user, self.kg is not None, "" if self.kg is None else self.signal

    @property
    def called(self) -> str:
        """For example `project vision`, `user ada`, `jobs without a project`."""
        if self.user is not None:
            return f"user {self.user}"
        return f"project {self.project}" if self.project else "jobs without a project"

    @model_validator(mode="after")
    def _says_whose_and_how_much(self) -> "BudgetTable":
        if (self.project is None) == (self.user is None):
            raise ValueError('a budget is of a project or of a user: write one of them, project = "vision"')
        if (self.kg is None) == (self.kwh is None):
            raise ValueError("a budget is in kg or in kwh: write one of them, kg = 5.0")
        if self.kwh is not None and (self.credit or "signal" in self.model_fields_set):
            raise ValueError("a budget in kwh has neither signal nor credit: these are of one in kg")
        return self
