"""Plans as clients see them, and what every message is made of."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Message(BaseModel):
    """A frozen message; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KindView(Message):
    """A kind of GPU that a job accepts, see `scheduler.plan.GpuKind`."""

    kind: Annotated[str, Field(min_length=1)]
    speed: Annotated[float, Field(gt=0, le=1000)] = 1.0
    power: Annotated[float, Field(gt=0, le=1000)] = 1.0


class BesideView(Message):
    """What a plan means by the other signal; never added to the first."""

    signal: str
    expected_g: float
    immediate_g: float


class StintView(Message):
    """A stretch in which a job that pauses occupies its place, restart and checkpoint included."""

    region: str
    pool: str
    start: AwareDatetime
    end: AwareDatetime


class PlanView(Message):
    """A plan, see `scheduler.plan.Plan`."""

    region: str
    pool: str
    start: AwareDatetime
    end: AwareDatetime
    why: str
    reason: str
    signal: str
    note: str
    mean_gco2_per_kwh: float | None
    immediate_start: AwareDatetime | None
    immediate_gco2_per_kwh: float | None
    expected_g: float | None
    immediate_g: float | None
    sources: tuple[str, ...]
    beside: BesideView | None = None
    stints: tuple[StintView, ...] = ()
