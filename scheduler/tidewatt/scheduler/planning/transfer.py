"""What it takes to bring a job's data to another region."""

from dataclasses import dataclass

from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.intensity import CostCurve
from tidewatt.scheduler.planning.policy import Link


@dataclass(frozen=True, slots=True)
class Transfer:
    """Time and energy of moving data, the energy with its range, and the price in the operator's currency."""

    ms: int = 0
    kwh: float = 0.0
    low_kwh: float = 0.0
    high_kwh: float = 0.0
    price: float = 0.0


NONE = Transfer()


def transfer_of(ask: Ask, region: str, link: Link) -> Transfer:
    """What moving the job's data from home to `region` takes."""
    if ask.data_gb <= 0 or region == ask.home:
        return NONE
    gb, link = ask.data_gb, link.between(ask.home, region)
    low, high = min(link.low or link.kwh_per_gb, link.kwh_per_gb), max(link.high, link.kwh_per_gb)
    return Transfer(
        ms=round(gb * 8_000 / link.gbit_per_s),
        kwh=gb * link.kwh_per_gb,
        low_kwh=gb * low,
        high_kwh=gb * high,
        price=gb * link.price_per_gb,
    )


def mean_on_the_way(
    home: CostCurve | None, there: CostCurve | None, start_ms: int, end_ms: int
) -> float | None:
    """Mean gCO2/kWh of the two ends over the transfer, or of the one that is known; None for neither.

    Data that move within no time are charged what holds at that instant.
    """
    end_ms = max(end_ms, start_ms + 1)
    known = [
        curve.mean(start_ms, end_ms)
        for curve in (home, there)
        if curve is not None and curve.covers(start_ms, end_ms)
    ]
    return sum(known) / len(known) if known else None
