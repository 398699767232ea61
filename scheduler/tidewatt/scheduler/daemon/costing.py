"""What the electricity of ended jobs cost, by the tariffs of the regions where they ran."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.accounting.profile import restored_cells
from tidewatt.scheduler.accounting.units import UJ_PER_KWH
from tidewatt.scheduler.array import parse_key
from tidewatt.scheduler.cost_schema import CostsView, CostView
from tidewatt.scheduler.daemon import lookback
from tidewatt.scheduler.daemon.callers import sees
from tidewatt.scheduler.daemon.naming import named
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.prices.tariffs import Priced
from tidewatt.scheduler.store.records import JobRecord

if TYPE_CHECKING:
    from fastapi import FastAPI

LOOKED_AT = 200  # jobs read from the store at a time: their cells are most of it
MICRO = 1_000_000
By = Literal["none", "job", "user", "project"]
_NAMES: Mapping[str, Callable[[JobRecord], str]] = {
    "none": lambda _: "all",
    "job": lambda job: job.key,
    "user": lambda job: job.user,
    "project": lambda job: job.project,
}


@dataclass(slots=True)
class _Sum:
    jobs: int = 0
    cost: float | None = None
    priced_kwh: float = 0.0
    assumed_kwh: float = 0.0
    unpriced_kwh: float = 0.0
    unmetered: int = 0

    def view(self, name: str) -> CostView:
        return CostView(
            name=name,
            jobs=self.jobs,
            cost=self.cost,
            priced_kwh=self.priced_kwh,
            assumed_kwh=self.assumed_kwh,
            unpriced_kwh=self.unpriced_kwh,
            unmetered_jobs=self.unmetered,
        )


class Costs:
    """Prices the cells of accounts: a cell lies within one hour, and is drawn evenly over its time."""

    def __init__(self, service: Service) -> None:
        self._site, self._store = service.site, service.store

    def since(self, since_s: float | None, by: By) -> CostsView:
        """What jobs cost that ended in the last `since_s` seconds, or ever; no groups without any price."""
        since = lookback.since(since_s, self._site.clock.now())
        prices = self._prices()
        return self._answer(self._ended(0 if since is None else time_ms(since)) if prices else (), by, prices)

    def of_job(self, key: str) -> CostsView:
        """What a job cost, or each task of an array.

        Raises:
            BadInput: where there is none.
        """
        return self._answer(named(parse_key(key), self._store), "job", self._prices())

    def _prices(self) -> dict[str, Priced]:
        board, found = self._site.board, {}
        for region in board.stated:
            try:
                price = board.price(region)
            except BadInput:
                continue  # its file is gone: its energy has no price, and is told as such
            if price is not None:
                found[region.name] = price
        return found

    def _answer(self, jobs: Iterable[JobRecord], by: By, prices: Mapping[str, Priced]) -> CostsView:
        sums: dict[str, _Sum] = {}
        for job in jobs:
            self._add(job, sums.setdefault(_NAMES[by](job), _Sum()), prices)
        sources = tuple(f"{name}: {each.tariff.source}" for name, each in prices.items())
        return CostsView(
            currency=next((each.currency for each in prices.values()), ""),
            sources=sources,
            groups=tuple(each.view(name) for name, each in sums.items()),
        )

    def _add(self, job: JobRecord, found: _Sum, prices: Mapping[str, Priced]) -> None:
        account = job.settlement or {}
        found.jobs += 1
        cells = restored_cells(account.get("profile") or ())
        if not cells:
            found.unmetered += 1
            return
        pue = account["pue_micro"] / MICRO
        for cell in cells:
            kwh = pue * (cell.active_uj + cell.idle_uj) / UJ_PER_KWH
            price = prices.get(cell.region)
            if price is None:
                found.unpriced_kwh += kwh
                continue
            end_ms = max(cell.end_ms, cell.start_ms + 1)
            for step in price.tariff.steps(moment(cell.start_ms), moment(end_ms)):
                part = kwh * (step.end_ms - step.start_ms) / (end_ms - cell.start_ms)
                found.cost = (found.cost or 0.0) + part * step.per_kwh
                found.priced_kwh += part
                found.assumed_kwh += 0.0 if step.known else part

    def _ended(self, since_ms: int) -> Iterator[JobRecord]:
        for jobs in self._store.ended(None, LOOKED_AT):
            for job in jobs:
                if sees(job) and job.settlement is not None and (job.ended_ms or 0) >= since_ms:
                    yield job


def routes(api: "FastAPI", service: Service) -> None:
    """Adds `costs` to the interface."""
    costs = Costs(service)

    @api.get("/api/v1/costs")
    def found(since_s: float | None = None, by: By = "none") -> CostsView:
        """What the electricity of ended jobs cost, where prices are known."""
        return costs.since(since_s, by)

    @api.get("/api/v1/jobs/{key}/cost")
    def of_job(key: str) -> CostsView:
        """What the electricity of one job cost, or of each task of an array."""
        return costs.of_job(key)
