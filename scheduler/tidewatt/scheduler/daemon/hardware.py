"""The hardware of attempts beside the hardware that their job would have had at home."""

from collections.abc import Iterator, Sequence

from tidewatt.scheduler.accounting.frozen import Frozen
from tidewatt.scheduler.accounting.pairs import EarlierRun, Efficiency, measured_pair, stated
from tidewatt.scheduler.accounting.phases import Phase
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.daemon.occupancy import ask, fares
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.kinds import ALIKE, Ratios, ratios, suitable
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

_LOOKED_AT = 1000  # newest done jobs of the user


def hardware(attempt: AttemptRecord) -> str:
    """What an attempt ran on, for example `NVIDIA A100`, `NVIDIA A100 at most 250 W`."""
    cap_w = attempt.factors.get("power_cap_w")
    return attempt.pool if cap_w is None else f"{attempt.pool} at most {cap_w} W"


def efficiencies(
    job: JobRecord, attempts: Sequence[AttemptRecord], site: Site, store: Store
) -> dict[str, Efficiency]:
    """What home's hardware would have needed, by attempt; those on hardware that home would have given: none.

    A job without GPUs is taken to need the same energy everywhere.
    """
    if not job.gpus:
        return {}
    at_home = [name for name, _ in suitable(ask(job), Timeline(Frozen.restored(job.frozen).region()))]
    elsewhere = [each for each in attempts if at_home and hardware(each) not in at_home]
    if not elsewhere:
        return {}
    earlier = list(_earlier(job, store))
    found = {}
    for attempt in elsewhere:
        here = hardware(attempt)
        pair = measured_pair(earlier, job.user, job.project, job.name, at_home[0], here)
        known = pair or stated(
            _ratios(job, at_home[0], site),
            fares(job, attempt, site),
            f"stated speed and power of {here} against {at_home[0]}: not measured, in no saving",
        )
        if known is not None:
            found[attempt.id] = known
    return found


def _ratios(job: JobRecord, pool: str, site: Site) -> Ratios:
    """Speed and power of the job in a pool of home."""
    region = site.region(str(job.frozen["home"]))
    pools = () if region is None else region.pools
    found = next((each for each in pools if each.name == pool), None)
    return ALIKE if found is None else ratios(ask(job), found) or ALIKE


def _earlier(job: JobRecord, store: Store) -> Iterator[EarlierRun]:
    """Done jobs of the same user that ran in one attempt, all of its energy known."""
    numbers = [number for number in store.done_by(job.user, _LOOKED_AT) if number != job.id]
    attempts = store.attempts(numbers)
    for other in store.numbered(numbers).values():
        started = [each for each in attempts[other.id] if each.started_ms is not None]
        if (other.project, other.name) != (job.project, job.name) or len(started) != 1:
            continue
        if other.settlement is not None:
            phases = Settlement.restored(other.settlement, cells=False).phases
            running = [use.active_uj for use in phases if use.phase is Phase.RUNNING and not use.lost]
            if running and None not in running:
                active_uj = sum(each or 0 for each in running)
                place = hardware(started[0])
                yield EarlierRun(other.id, other.user, other.project, other.name, place, active_uj)
