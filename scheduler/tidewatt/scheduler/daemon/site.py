"""What the daemon knows of its place: this host, its regions, their grids, and who is on its GPUs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from tidewatt.backends.backend import Backend, BackendError, Reschedule, Withdraw
from tidewatt.backends.clock import Clock
from tidewatt.backends.host import ForeignUse, Host
from tidewatt.backends.meters.journal import LONGEST_INTERVAL_S, followed_ms
from tidewatt.backends.unusable import UnusableBackend
from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.series import Outlook, Series
from tidewatt.scheduler.config import Loaded, policy_of
from tidewatt.scheduler.daemon.patience import PatientChain
from tidewatt.scheduler.daemon.refusing import Refusals
from tidewatt.scheduler.daemon.region_board import RegionBoard
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.planning.estimate import Estimate, estimate
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.preview import home_of
from tidewatt.scheduler.planning.signals import beside, binds, deciding
from tidewatt.scheduler.policies.rules import NO_RULES, Rules
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.settings import RegionTable, Settings

HOST = "local"  # the kind of backend that runs jobs on the daemon's own host
LOOKAHEAD = timedelta(days=2)  # at least this much intensity ahead is asked for


class HostBackend(Backend, Withdraw, Protocol):
    """A backend on this host, which knows the processes of its attempts."""

    def processes(self, folder: Path) -> frozenset[int]:
        """Pids of the attempt's job that live now."""
        ...


@dataclass(frozen=True, slots=True)
class Site:
    """Everything about the place that does not change while the daemon runs.

    `stated_regions` are those that are configured; `board` knows what becomes of them, by opening hours,
    drains and `rules`. `backend` runs jobs on this host; `others` are the backends of other kinds, by kind.
    """

    paths: Paths
    settings: Settings
    clock: Clock
    host: Host
    stated_regions: tuple[Region, ...]
    chain: PatientChain
    backend: HostBackend
    hindsight: bool = False
    others: Mapping[str, Backend] = field(default_factory=dict)
    rules: Rules = NO_RULES
    reload: Callable[[], Loaded] | None = None  # reads the configuration again
    board: RegionBoard = field(init=False)
    refusals: Refusals = field(init=False)  # by engines, of jobs

    def __post_init__(self) -> None:
        """Makes the board, on which nothing is refused yet."""
        board = RegionBoard(self.stated_regions, self.settings, self.rules, self.clock.now)
        board.unusable = {
            kind: each.reason for kind, each in self.others.items() if isinstance(each, UnusableBackend)
        }
        object.__setattr__(self, "board", board)
        object.__setattr__(self, "refusals", Refusals(self.clock))

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions as of now."""
        return self.board.regions

    def backend_of(self, kind: str) -> Backend:
        """The backend of a kind ("local", "slurm").

        Raises:
            Refused: where no region of that kind is configured any more.
        """
        if kind == HOST:
            return self.backend
        try:
            return self.others[kind]
        except (KeyError, BackendError, BadInput) as error:
            raise Refused(
                f"no region has the backend {kind!r} any more, and it cannot be made ({error}):"
                " bring one back, for jobs still there"
            ) from error

    def keeps(self, kind: str) -> bool:
        """Whether engines of that kind keep jobs that are not to start yet, and start them without us."""
        return kind != HOST and isinstance(self.backend_of(kind), Reschedule)

    @property
    def policy(self) -> Policy:
        """What the operator decided, as the planner takes it."""
        return policy_of(self.board.settings)

    @property
    def home(self) -> Region:
        """The region of the baseline."""
        return home_of(self.regions)

    def region(self, name: str) -> Region | None:
        """The region of that name; None where the operator has taken it away."""
        return next((region for region in self.regions if region.name == name), None)

    def stated(self, region: str) -> RegionTable:
        """What the operator states of a region; nothing of one that is not configured."""
        tables = self.settings.regions
        return next((each for each in tables if each.name == region), RegionTable(name="local"))

    def outlooks(self, now: datetime, until: datetime | None = None) -> dict[str, Outlook | None]:
        """The deciding signal ahead, by region name; None where nothing is known or no zone is configured."""
        signal, until = self.settings.signal, _horizon(now, until)
        return {
            region.name: self._outlook(region, deciding(signal, region.signal), now, until)
            for region in self.regions
        }

    def beside(self, now: datetime, until: datetime | None = None) -> dict[str, Outlook | None]:
        """The signal ahead that must not get worse, by region name; only where there is one that binds."""
        found: dict[str, Outlook | None] = {}
        for region in self.regions:
            other = beside(self.settings.signal, region.signal)
            outlook = None if other is None else self._outlook(region, other, now, _horizon(now, until))
            if binds(outlook):
                found[region.name] = outlook
        return found

    def observations(self, zone: str, signal: str, start: datetime, end: datetime) -> Series | None:
        """Observed intensity as available now."""
        return self.chain.observations(zone, Signal(signal), start, end, self.clock.now())

    @property
    def read_after(self) -> timedelta:
        """So long after a job's end, on the jobs' clock, all readings are there that its account takes in."""
        interval_s = min(self.settings.meter_interval_s, LONGEST_INTERVAL_S)
        return timedelta(milliseconds=followed_ms(round(interval_s * 1000))) * max(1.0, self.clock.factor)

    @property
    def final_after(self) -> timedelta:
        """How long after a job's end its account may become final."""
        return max(self.settings.final_after, self.read_after)

    def power(self, need: Need, earlier_w: float | None = None, earlier_of: str = "") -> Estimate:
        """The expected draw of a job above idle."""
        kind = need.gpu_kind.casefold()
        limits = [gpu.limit_w for gpu in self.host.gpus if kind in gpu.name.casefold() and gpu.limit_w]
        host = self.host
        return estimate(need, limits, host.cpus, host.tdp_w, host.tdp_source, earlier_w, earlier_of)

    def gpus_of(self, region: Region, pool: str) -> list[str]:
        """UUIDs of a region's GPUs of one kind, without those that are drained."""
        names = {gpu.uuid: gpu.name for gpu in self.host.gpus}
        return [uuid for uuid in region.gpu_uuids if names.get(uuid) == pool and not self.board.drained(uuid)]

    def _outlook(self, region: Region, signal: Signal, now: datetime, until: datetime) -> Outlook | None:
        zone = region.zones.get(signal) or region.zones.get(Signal.AVERAGE)
        return self.chain.outlook(zone, signal, now, until) if zone else None


def _horizon(now: datetime, until: datetime | None) -> datetime:
    """Whole days, so that a chain that remembers its last answer can give it again."""
    last = max(now + LOOKAHEAD, until or now)
    return last.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Foreign:
    """Somebody else's process on one of our GPUs, and since when it has been seen there."""

    use: ForeignUse
    since: datetime

    def __str__(self) -> str:
        """Returns for example `GPU-1b2c is used by pid 4711 (python, alice) since 12:03 UTC`."""
        use = self.use
        since = f"{self.since:%Y-%m-%d %H:%M} UTC"
        return f"{use.gpu_uuid} is used by pid {use.pid} ({use.command}, {use.user}) since {since}"


def seen(uses: Iterable[ForeignUse], before: Iterable[Foreign], now: datetime) -> tuple[Foreign, ...]:
    """The foreign processes of now; those seen before keep the time at which they were first seen."""
    since: Mapping[tuple[str, int], datetime] = {
        (each.use.gpu_uuid, each.use.pid): each.since for each in before
    }
    return tuple(Foreign(use, since.get((use.gpu_uuid, use.pid), now)) for use in uses)
