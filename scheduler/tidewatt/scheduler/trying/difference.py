"""Two replays of the same jobs against each other."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from statistics import mean

from tidewatt.backends.clock import moment
from tidewatt.scheduler.settings import Settings
from tidewatt.scheduler.simulation.site import Site
from tidewatt.scheduler.simulation.tally import Tally, grams_of, missed, tally
from tidewatt.scheduler.simulation.world import Standing
from tidewatt.scheduler.try_schema import ChangedView, LeftOutView, SideView, TryReply, WaitsView
from tidewatt.scheduler.trying.history import Past
from tidewatt.scheduler.trying.replay import Replay, money

Pair = tuple[Past, Standing, Standing]
MOST_TOLD = 100
EARLY_MS = 60_000  # starts that differ by less are the same: plans are made at whole minutes
UNKNOWABLE = (
    "People would have submitted other jobs, or at other times, had these rules been in force: the replay has"
    " theirs as they were.",
    "Each job is taken to run as long as it did, or in proportion on faster or slower GPUs, and to draw what"
    " its owner or its estimate said; it is planned by the estimate that stands in the store.",
    "Forecasts are issued every 6 h, as the sources had them then, without models trained here since; prices"
    " are taken as known beforehand.",
    "Failures, drains, waits in the queues of engines, processes of others, what people held, cancelled or"
    " changed later, budgets and how many jobs may run or wait at a time are not replayed.",
    "What projects asked for by default stays as it was written down at each submit.",
)


def reply(
    past: Sequence[Past],
    in_force: Replay,
    tried: Replay,
    span: tuple[datetime, datetime],
    left_out: Counter[str],
    name: str,
) -> TryReply:
    """What the one tried changes."""
    taken = in_force.standings.keys() & tried.standings.keys()
    both = [job for job in past if job.ask.job_id in taken]
    numbers = [job.ask.job_id for job in both]
    signals = [each for each in in_force.scenario.truth.signals if each in tried.scenario.truth.signals]
    names = [str(each) for each in signals]
    sides = [_side(each, numbers, names) for each in (in_force, tried)]
    pairs = [(job, in_force.standings[job.ask.job_id], tried.standings[job.ask.job_id]) for job in both]
    changes = sorted(_changes(past, in_force, tried, names), key=_weight, reverse=True)
    costs = [side.cost for side in sides]
    unseen = [_tally(each, numbers).unobserved for each in (in_force, tried)]
    return TryReply(
        name=name,
        since=span[0],
        until=span[1],
        jobs=len(past),
        left_out=tuple(LeftOutView(jobs=number, why=why) for why, number in left_out.items()),
        differs=differences(in_force.place.settings, tried.place.settings),
        decided_by=str(tried.scenario.signal),
        in_force=sides[0],
        tried=sides[1],
        saved_g={each: sides[0].emissions_g[each] - sides[1].emissions_g[each] for each in names},
        saved_cost=None if costs[0] is None or costs[1] is None else costs[0] - costs[1],
        currency=next((each.currency for each in tried.place.regions if each.currency), ""),
        elsewhere=sum(_regions(a) != _regions(b) for _, a, b in pairs),
        later=sum((b.first_ms or 0) - (a.first_ms or 0) > EARLY_MS for _, a, b in pairs),
        sooner=sum((a.first_ms or 0) - (b.first_ms or 0) > EARLY_MS for _, a, b in pairs),
        late_only_tried=sum(missed(b) and not missed(a) for _, a, b in pairs),
        late_only_in_force=sum(missed(a) and not missed(b) for _, a, b in pairs),
        refused_only_tried=len(tried.refused.keys() - in_force.refused.keys()),
        refused_only_in_force=len(in_force.refused.keys() - tried.refused.keys()),
        changes=tuple(changes[:MOST_TOLD]),
        by_user=_waits(pairs, lambda job: job.facts.user),
        by_project=_waits(pairs, lambda job: job.facts.project),
        unobserved=max(unseen),
        unknowable=UNKNOWABLE,
    )


def differences(before: Settings, after: Settings) -> tuple[str, ...]:
    """Names of the settings that are not the same, those of regions with the region's name.

    Sources are left out, since both are replayed on those in force; files of prices are told by name.
    """
    names = {name: field.alias or name for name, field in Settings.model_fields.items()}
    others = {name: alias for name, alias in names.items() if name not in ("regions", "sources", "prices")}
    found = [alias for name, alias in others.items() if getattr(before, name) != getattr(after, name)]
    found += ["price"] if _prices(before) != _prices(after) else []
    old, new = ({table.name: table for table in each.regions} for each in (before, after))
    for name, table in new.items():
        if name not in old:
            found.append(f"the new region {name}")
            continue
        keys = type(table).model_fields
        found += [f"{name}.{key}" for key in keys if getattr(table, key) != getattr(old[name], key)]
    return (*found, *(f"that the region {name} is gone" for name in old.keys() - new.keys()))


def _prices(settings: Settings) -> list[dict[str, object]]:
    files = [each.file for each in settings.prices]
    tables = [each.model_dump(exclude={"file"}) for each in settings.prices]
    return [table | {"file": file and file.name} for table, file in zip(tables, files, strict=True)]


def _side(replay: Replay, numbers: Sequence[int], signals: Sequence[str]) -> SideView:
    found = _tally(replay, numbers)
    grams = {str(signal): value for signal, value in found.grams.items()}
    regions = {region.name: region for region in replay.place.regions}
    priced = all(name in replay.place.tariffs for name in regions)
    costs = [money(replay.standings[number], regions) for number in numbers] if priced else None
    return SideView(
        emissions_g={signal: grams[signal] for signal in signals},
        energy_kwh=found.energy_kwh,
        cost=None if costs is None else sum(costs),
        late=found.missed,
        moved=found.moved,
        pauses=found.pauses,
        mean_wait_h=found.mean_wait_h,
        median_wait_h=found.median_wait_h,
        refused=len(replay.refused),
    )


def _tally(replay: Replay, numbers: Sequence[int]) -> Tally:
    standings = [replay.standings[number] for number in numbers]
    return tally("", standings, replay.scenario.truth, Site(replay.place.regions).gpus)


def _changes(
    past: Sequence[Past], in_force: Replay, tried: Replay, names: Sequence[str]
) -> Iterator[ChangedView]:
    """Jobs that run elsewhere, start at another time, or are refused by one of the two."""
    for job in past:
        number = job.ask.job_id
        before, after = in_force.standings.get(number), tried.standings.get(number)
        if before is None and after is None:
            continue
        if before is not None and after is not None:
            same_start = abs((before.first_ms or 0) - (after.first_ms or 0)) <= EARLY_MS
            if same_start and _regions(before) == _regions(after) and missed(before) == missed(after):
                continue
        yield ChangedView(
            job=job.key,
            user=job.facts.user,
            project=job.facts.project,
            region_before=None if before is None else _regions(before),
            region_after=None if after is None else _regions(after),
            start_before=_start(before),
            start_after=_start(after),
            late_before=before is not None and missed(before),
            late_after=after is not None and missed(after),
            saved_g={}
            if before is None or after is None
            else _saved_g(in_force, tried, before, after, names),
            saved_cost=_saved_cost(in_force, tried, before, after),
            refused=_refused(in_force, tried, number),
        )


def _saved_g(
    in_force: Replay, tried: Replay, before: Standing, after: Standing, names: Sequence[str]
) -> dict[str, float]:
    by = {str(signal): signal for signal in tried.scenario.truth.signals}
    return {
        name: grams_of(before, in_force.scenario.truth, by[name])
        - grams_of(after, tried.scenario.truth, by[name])
        for name in names
    }


def _saved_cost(
    in_force: Replay, tried: Replay, before: Standing | None, after: Standing | None
) -> float | None:
    costs = []
    for replay, standing in ((in_force, before), (tried, after)):
        regions = {region.name: region for region in replay.place.regions}
        if standing is None or not all(name in replay.place.tariffs for name in regions):
            return None
        costs.append(money(standing, regions))
    return costs[0] - costs[1]


def _refused(in_force: Replay, tried: Replay, number: int) -> str:
    if number in tried.refused:
        return f"by the one tried: {tried.refused[number]}"
    return f"by the one in force: {in_force.refused[number]}" if number in in_force.refused else ""


def _waits(pairs: Sequence[Pair], of: Callable[[Past], str]) -> tuple[WaitsView, ...]:
    found: dict[str, list[tuple[float, float]]] = {}
    for job, before, after in pairs:
        found.setdefault(of(job), []).append((_wait_h(before), _wait_h(after)))
    return tuple(
        WaitsView(
            name=name,
            jobs=len(rows),
            before_h=mean(a for a, _ in rows),
            after_h=mean(b for _, b in rows),
            longest_before_h=max(a for a, _ in rows),
            longest_after_h=max(b for _, b in rows),
        )
        for name, rows in sorted(found.items())
    )


def _wait_h(standing: Standing) -> float:
    return ((standing.first_ms or standing.job.submitted_ms) - standing.job.submitted_ms) / 3_600_000


def _regions(standing: Standing) -> str:
    return ", ".join(dict.fromkeys(each.region for each in standing.stretches if each.gpus)) or ", ".join(
        dict.fromkeys(each.region for each in standing.stretches)
    )


def _start(standing: Standing | None) -> datetime | None:
    return None if standing is None or standing.first_ms is None else moment(standing.first_ms)


def _weight(change: ChangedView) -> tuple[bool, bool, float]:
    """Refused and late ones first, then those with the most grams to and fro."""
    grams = max((abs(each) for each in change.saved_g.values()), default=0.0)
    return bool(change.refused), change.late_after and not change.late_before, grams
