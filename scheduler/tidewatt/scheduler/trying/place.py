"""The regions of a configuration over a stretch of the past: hours, freezes and prices of all of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tidewatt.backends.host import Host
from tidewatt.forecasting.kind import Signal
from tidewatt.scheduler.config import policy_of, regions
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.terms import allowed
from tidewatt.scheduler.policies.opening import closed_windows
from tidewatt.scheduler.policies.rule import Facts, Word
from tidewatt.scheduler.policies.rules import Rules
from tidewatt.scheduler.prices.recorded import Recorded, parsed, recorded
from tidewatt.scheduler.prices.tariff import FixedTariff, Tariff
from tidewatt.scheduler.prices.tariffs import freezes, priced
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.settings import Settings
from tidewatt.scheduler.simulation.setting import Site

Reader = Callable[[Path, str], Recorded]


@dataclass(frozen=True, slots=True)
class Place:
    """A configuration as it would have been over a time; `tariffs` by region, of those that have one."""

    settings: Settings
    rules: Rules
    regions: tuple[Region, ...]
    tariffs: Mapping[str, Tariff]

    @property
    def site(self) -> Site:
        """As a simulation takes it."""
        return Site(self.regions, policy_of(self.settings), Signal(self.settings.shown_signal))

    @property
    def home(self) -> str:
        """The home region's name."""
        return next((region.name for region in self.regions if region.home), self.regions[0].name)

    def steered(self, ask: Ask, facts: Facts) -> Ask | str:
        """What the job asks for within these rules; or why it would be refused."""
        names = tuple(region.name for region in self.regions)
        verdicts = {each.region: each for each in self.rules.verdicts(facts, names)}
        barred = tuple(name for name, each in verdicts.items() if each.word is Word.FORBID)
        unknown = [name for name in ask.regions if name not in names]
        ask = replace(
            ask,
            home=ask.home if ask.home in names else self.home,
            regions=tuple(name for name in ask.regions if name in names),
            exclude_regions=tuple(dict.fromkeys((*ask.exclude_regions, *barred))),
        )
        if unknown and not ask.regions:
            return f"it names {', '.join(unknown)} alone, which there is not"
        open_to_it = [name for name in names if allowed(ask, name)]
        if not open_to_it:
            return "; ".join(str(verdicts[name]) for name in barred) or "no region is open to it"
        most = self.settings.limits.of_user(facts.user).gpus
        if most is not None and ask.need.gpus > most:
            return f"it asks for {ask.need.gpus} GPUs, and {facts.user} may use {most} at a time"
        wanted = self.rules.wishes(facts, names)
        preferred = (name for name in open_to_it if verdicts[name].word is Word.PREFER)
        return replace(
            ask,
            prefer=tuple(preferred),
            fixed=not wanted.shift,
            weights=wanted.weights,
            ceilings=wanted.ceilings,
        )


def place(
    settings: Settings, rules: Rules, host: Host, span: tuple[datetime, datetime], read: Reader = recorded
) -> Place:
    """The regions over `span`.

    Raises:
        BadInput: for regions that this host cannot have, or prices that cannot be read.
    """
    start, end = span
    made, tariffs = [], {}
    for region in regions(settings, host):
        table = next((each for each in settings.regions if each.name == region.name), None)
        shut = () if table is None or not table.open else closed_windows(
            table.hours, ZoneInfo(table.time_zone), start, end
        )  # fmt: skip
        region = replace(
            region,
            closed=(*region.closed, *shut),
            freezes=freezes(settings.freezes, region.name, start, end),
        )
        price = priced(region, settings, read)
        if price is not None:
            tariffs[region.name] = price.tariff
            if isinstance(price.tariff, FixedTariff):
                region = replace(region, price_per_kwh=price.tariff.per_kwh, currency=price.currency)
            else:
                steps = price.tariff.steps(start, end)
                region = replace(region, prices=steps, currency=price.currency)
        made.append(region)
    return Place(settings, rules, tuple(made), tariffs)


def reader(files: Mapping[str, str], folder: Path, known: tuple[Path, ...]) -> Reader:
    """Reads prices from what was sent along, by name; else from files that are in force.

    Raises:
        BadInput: for any other file.
    """

    def read(path: Path, zone: str) -> Recorded:
        name = str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
        if name in files:
            by_zone, currency = parsed(files[name], f"the prices {name}")
            if zone and zone not in by_zone:
                raise BadInput(f"the prices {name} have no zone {zone}: there are {', '.join(by_zone)}")
            if not zone and len(by_zone) > 1:
                raise BadInput(f"the prices {name} are of several zones: say which with zone")
            return Recorded(by_zone[zone or next(iter(by_zone))], currency)
        same = next((each for each in known if each in (path, Path(name)) or each.name == name), None)
        if same is None:
            raise BadInput(f"the prices {name} were not sent along: `tidewatt policy try` sends them")
        return recorded(same, zone)

    return read
