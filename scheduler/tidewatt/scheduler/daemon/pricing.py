"""The prices of regions as series, from a time on."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from fastapi import Query

from tidewatt.backends.clock import moment
from tidewatt.scheduler.cost_schema import PriceSeriesView, PriceStepView, PricesView
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.prices.tariffs import Priced
from tidewatt.scheduler.region import Region

if TYPE_CHECKING:
    from fastapi import FastAPI

LONGEST_H = 24.0 * 35
Hours = Annotated[float, Query(gt=0, le=LONGEST_H, description="So far ahead.")]


def prices(site: Site, hours: float) -> PricesView:
    """What electricity costs from now on in each region that has a price."""
    now = site.clock.now()
    found = ((region, _priced(site, region)) for region in site.board.stated)
    end = now + timedelta(hours=hours)
    series = tuple(_series(region, price, now, end) for region, price in found if price is not None)
    return PricesView(now=now, prices=series)


def _priced(site: Site, region: Region) -> Priced | None:
    try:
        return site.board.price(region)
    except BadInput:
        return None  # its file is gone: `status` warns of it


def _series(region: Region, price: Priced, start: datetime, end: datetime) -> PriceSeriesView:
    steps = (
        PriceStepView(
            start=moment(each.start_ms), end=moment(each.end_ms), per_kwh=each.per_kwh, known=each.known
        )
        for each in price.tariff.steps(start, end)
    )
    return PriceSeriesView(
        region=region.name,
        unit=f"{price.currency or 'currency not named'}/kWh",
        source=price.tariff.source,
        max_per_kwh=region.max_price_per_kwh,
        steps=tuple(steps),
    )


def routes(api: "FastAPI", service: Service) -> None:
    """Adds `prices` to the interface."""

    @api.get("/api/v1/prices")
    def ahead(hours: Hours = 48.0) -> PricesView:
        """What electricity costs ahead, by region."""
        return prices(service.site, hours)
