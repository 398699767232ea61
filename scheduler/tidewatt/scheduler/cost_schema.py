"""What the electricity of jobs cost; also the form of the API's answers."""

from pydantic import AwareDatetime

from tidewatt.scheduler.schemas import Message


class CostView(Message):
    """The cost of the electricity of a job, or of a group of jobs, PUE included.

    `cost` is of `priced_kwh` alone; None where nobody states a price of any of it. `assumed_kwh` are those of
    the priced ones in hours of which the price is not known and the mean of the week before was taken.
    `unpriced_kwh` were drawn where there is no price, and `unmetered_jobs` have no energy to price.
    """

    name: str
    jobs: int
    cost: float | None
    priced_kwh: float
    assumed_kwh: float
    unpriced_kwh: float
    unmetered_jobs: int


class CostsView(Message):
    """Costs by group, in `currency` ("" where nobody names it); `sources` say whose prices these are."""

    currency: str
    sources: tuple[str, ...]
    groups: tuple[CostView, ...]


class PriceStepView(Message):
    """A price that holds over `[start, end)`; not `known`: nobody tells it, the week before is assumed."""

    start: AwareDatetime
    end: AwareDatetime
    per_kwh: float
    known: bool


class PriceSeriesView(Message):
    """What a kWh costs in a region; `unit` is for example "EUR/kWh", `max_per_kwh` the ceiling there."""

    region: str
    unit: str
    source: str
    max_per_kwh: float | None
    steps: tuple[PriceStepView, ...]


class PricesView(Message):
    """The prices of all regions that have one."""

    now: AwareDatetime
    prices: tuple[PriceSeriesView, ...]
