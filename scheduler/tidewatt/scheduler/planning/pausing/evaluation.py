"""What given stints cost, and what is wrong with them: summed slot by slot, not by the programme."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tidewatt.scheduler.planning.instants import floor_ms, length_ms
from tidewatt.scheduler.planning.pausing.work import Amounts, Track, Work

Part = tuple[int, int, int]
MS_PER_HOUR = 3_600_000
TOLERANCE_MS = 1e-3  # of work: the rounding of a speed ratio


def cost_of(work: Work, parts: Sequence[Part]) -> float:
    """Grams of all that `parts` draw: running, checkpoints, restarts, suspension and arrivals.

    The first start costs no restart and the last end no checkpoint. While it is paused, the job draws
    `suspended_w` at the place that it left. A checkpoint or restart without length has its energy charged
    in the slot in which it happens. A job whose draw changes runs in one place.
    """
    pausing, total, region, ran = work.pausing, 0.0, work.home, 0
    restart, checkpoint = length_ms(pausing.restart), length_ms(pausing.checkpoint)
    for i, (index, start, end) in enumerate(parts):
        track = work.tracks[index]
        usual_kw = work.kw * track.power
        total += track.arrive_g if region and track.region != region else 0.0
        region = track.region
        begin, stop = start + restart * (i > 0), end - checkpoint * (i < len(parts) - 1)
        total += usual_kw * _running(work, track, begin, stop, ran)
        ran += stop - begin
        if i > 0:
            total += _overhead(work, track, start, begin, usual_kw, pausing.restart_wh)
        if i < len(parts) - 1:
            total += _overhead(work, track, stop, end, usual_kw, pausing.checkpoint_wh, before=True)
            if pausing.suspended_w:
                total += pausing.suspended_w / 1000 * _per_kw(work, track, end, parts[i + 1][1])
    return total


def progress_by(work: Work, parts: Sequence[Part], by_ms: int | None = None) -> float:
    """How much of `work_ms` has been done by a moment; None: in the end."""
    restart, checkpoint = length_ms(work.pausing.restart), length_ms(work.pausing.checkpoint)
    done = 0.0
    for i, (index, start, end) in enumerate(parts):
        begin, stop = start + restart * (i > 0), end - checkpoint * (i < len(parts) - 1)
        until = stop if by_ms is None else min(stop, by_ms)
        done += work.tracks[index].speed * max(0, until - begin)
    return done


def faults_of(work: Work, parts: Sequence[Part]) -> list[str]:
    """Sentences about everything in which `parts` break what `work` says; none where they keep it.

    A job that is never paused may be shorter than `min_stint`; each stint of one that is paused has to run
    at least so long, restart and checkpoint not counted.
    """
    if not parts:
        return ["it never runs"]
    found = [*_order(work, parts), *_places(work, parts), *_lengths(work, parts)]
    if progress_by(work, parts) < work.work_ms - TOLERANCE_MS:
        found.append(f"only {progress_by(work, parts):.0f} of {work.work_ms} ms of work are done")
    for milestone in work.pausing.milestones:
        by = floor_ms(milestone.by)
        if by < parts[-1][2] and progress_by(work, parts, by) < milestone.share * work.work_ms - TOLERANCE_MS:
            found.append(f"{milestone.share:.0%} are not done by {milestone.by}")
    return found


def _order(work: Work, parts: Sequence[Part]) -> list[str]:
    found, region = [], work.home
    free_from = work.release_ms
    for index, start, end in parts:
        track = work.tracks[index]
        away = bool(region) and track.region != region
        earliest = free_from + track.arrive_ms * away
        if start < earliest:
            found.append(f"the stint in {track.region} starts {earliest - start} ms too early")
        region, free_from = track.region, end
    if parts[-1][2] > work.due_ms:
        found.append(f"it ends {parts[-1][2] - work.due_ms} ms after it is due")
    if not work.pausing.moves and len({index for index, *_ in parts}) > 1:
        found.append("it may not move")
    return found


def _places(work: Work, parts: Sequence[Part]) -> list[str]:
    found = []
    for index, start, end in parts:
        track = work.tracks[index]
        usable = track.free & np.isfinite(track.cost)
        if (
            start < work.edges_ms[0]
            or end > work.edges_ms[-1]
            or _lengths_in(work, start, end)[~usable].any()
        ):
            found.append(f"{track.region} is not free, or not known, all the time from {start} to {end}")
    if work.pausing.suspended_w:
        for (index, _, end), (_, start, _) in pairwise(parts):
            if (_lengths_in(work, end, start)[~np.isfinite(work.tracks[index].cost)] > 0).any():
                found.append(f"what it draws while paused from {end} to {start} is not known")
    return found


def _lengths(work: Work, parts: Sequence[Part]) -> list[str]:
    pausing, found = work.pausing, []
    restart, checkpoint = length_ms(pausing.restart), length_ms(pausing.checkpoint)
    least = length_ms(pausing.min_stint) if len(parts) > 1 else 1
    for i, (_, start, end) in enumerate(parts):
        running = end - start - restart * (i > 0) - checkpoint * (i < len(parts) - 1)
        if running < max(least, 1):
            found.append(f"a stint runs for {running} ms, less than {max(least, 1)}")
    if pausing.max_pauses is not None and len(parts) - 1 > pausing.max_pauses:
        found.append(f"{len(parts) - 1} pauses, of {pausing.max_pauses}")
    return found


def _lengths_in(work: Work, start: int, end: int) -> Amounts:
    """How many milliseconds of `[start, end)` lie in each slot."""
    edges = work.edges_ms
    inside: Amounts = np.maximum(np.minimum(edges[1:], end) - np.maximum(edges[:-1], start), 0).astype(float)
    return inside


def _per_kw(work: Work, track: Track, start: int, end: int) -> float:
    inside = _lengths_in(work, start, end)
    touched = inside > 0
    return float((inside[touched] * track.cost[touched]).sum()) / MS_PER_HOUR


def _running(work: Work, track: Track, begin: int, stop: int, ran: int) -> float:
    """Grams per kW of mean draw of running, after `ran` ms of it."""
    if not work.steps:
        return _per_kw(work, track, begin, stop)
    total, need = 0.0, np.ceil(work.work_ms / track.speed - 1e-6)
    ends = [*(round(step.share * need) for step in work.steps[1:]), ran + stop - begin]
    since = 0
    for step, end in zip(work.steps, ends, strict=True):
        low, high = begin + max(since - ran, 0), min(begin + end - ran, stop)
        if high > low:
            total += step.ratio * _per_kw(work, track, low, high)
        since = end
    return total


def _overhead(
    work: Work, track: Track, start: int, end: int, usual_kw: float, wh: float | None, *, before: bool = False
) -> float:
    """Grams of a checkpoint or a restart that lasts from `start` to `end`."""
    if wh is None:
        return usual_kw * _per_kw(work, track, start, end)
    if end > start:
        return wh / 1000 * _per_kw(work, track, start, end) * MS_PER_HOUR / (end - start)
    slot = int(np.searchsorted(work.edges_ms, start, "left" if before else "right")) - 1
    return wh / 1000 * float(track.cost[slot])
