"""What the operator decided about waiting and moving."""

from dataclasses import asdict, dataclass, replace
from datetime import timedelta

from tidewatt.scheduler.plan import Ask


@dataclass(frozen=True, slots=True)
class Link:
    """What it takes to bring a job's data to another region.

    `kwh_per_gb` with its range `low` to `high`, and whose figure it is; `price_per_gb` in the operator's
    currency. `ways` are those that differ, from one region to another ("*" for any), the first that fits.
    """

    gbit_per_s: float = 1.0
    kwh_per_gb: float = 0.0
    low: float = 0.0
    high: float = 0.0
    source: str = ""
    price_per_gb: float = 0.0
    ways: "tuple[tuple[str, str, Link], ...]" = ()

    def between(self, origin: str, region: str) -> "Link":
        """The link from one region to another; of a region that is not named ("") the slowest there is."""
        if not region:
            ways = [link for a, _, link in self.ways if a in ("*", origin)]
            return min([self, *ways], key=lambda link: link.gbit_per_s)
        fitting = (link for a, b, link in self.ways if a in ("*", origin) and b in ("*", region))
        return next(fitting, self)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decided.

    A job neither waits nor moves to save less than `min_saving` (a share), nor waits less than `min_wait`.
    Plans aim to end `margin` before the deadline. `default_slack` is the wait that a job without one
    accepts. `signal` decides: "average", "marginal", or "both": neither may get worse by waiting or moving.
    A job waits only where the chance that waiting gains anything is at least `min_chance`, and its start is
    moved later at most `max_postponed` times. `g_per_price` and `g_per_hour` weigh money (grams per unit of
    the operator's currency) and delay (grams per hour that a job ends later) against carbon.
    """

    min_saving: float = 0.02
    min_wait: timedelta = timedelta(minutes=5)
    margin: timedelta = timedelta(minutes=2)
    default_slack: timedelta | None = None
    signal: str = "average"
    min_chance: float = 0.0
    max_postponed: int | None = None
    g_per_price: float = 0.0
    g_per_hour: float = 0.0
    link: Link = Link()

    def of(self, ask: Ask) -> "Policy":
        """The policy by which a job is weighed: with its own weights, where it has any."""
        if ask.weights is None:
            return self
        return replace(self, **{name: own for name, own in asdict(ask.weights).items() if own is not None})
