"""Small random jobs that may be interrupted, and their cheapest plan by trying out everything.

All times are whole minutes, and slots are one to four minutes long, so that a plan whose stints start and
stop on whole minutes is among the cheapest: it is found here by going through all of them, minute by minute,
with nothing of the planner's arithmetic.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np

from tidewatt.scheduler.plan import Milestone, Pausing
from tidewatt.scheduler.planning.draw import profile
from tidewatt.scheduler.planning.instants import floor_ms, moment
from tidewatt.scheduler.planning.pausing.work import Track, Work

MINUTE_MS = 60_000
MINUTE = timedelta(minutes=1)
T0_MS = 1_772_323_200_000  # 2026-03-01 00:00 UTC
LEVELS = (0.0, 50.0, 100.0, 120.0, 300.0, 700.0)
Spell = tuple[int, int, int]  # track, running from minute, to minute


def drawn(seed: int, places: int, *, moves: bool) -> Work:
    """A job of a few minutes over slots of one to four, some of them not free or not known."""
    rng = np.random.default_rng(seed)
    slot = int(rng.integers(1, 5))
    first = int(rng.integers(1, slot + 1))
    slots = max(2, -(-(int(rng.integers(7, 11 if moves else 16)) - first) // slot) + 1)
    edges = np.concatenate(([0], first + slot * np.arange(slots)))
    tracks = [_track(rng, index, slots, moves=moves) for index in range(places)]
    step = 2 if any(track.speed == 2 for track in tracks) else 1
    length = int(edges[-1])
    most = int((length - 2) * (0.7 if step == 2 else 0.8))
    work = step * int(rng.integers(1, max(2, most)))
    return Work(
        T0_MS + MINUTE_MS * edges.astype(np.int64),
        tracks,
        work * MINUTE_MS,
        float(rng.choice((1.0, 4.0))),
        T0_MS + MINUTE_MS * int(rng.choice((0, 0, 1, 2))),
        T0_MS + MINUTE_MS * int(rng.integers(max(2, length - 4), length + 2)),
        _pausing(rng, slot, step, work, length, moves=moves),
        str(rng.choice(("r0", "r0", ""))),
    )


def changing(work: Work, seed: int) -> Work:
    """The job with a draw that changes up to three times, on whole minutes of running."""
    rng = np.random.default_rng(seed)
    fastest = int(max(track.speed for track in work.tracks))
    units = max(1, work.work_ms // (MINUTE_MS * fastest))
    later = sorted({int(rng.integers(1, units)) for _ in range(int(rng.integers(1, 4)))}) if units > 1 else []
    watts = [*(float(rng.choice((0.0, 100.0, 400.0, 900.0))) for _ in later), 300.0]
    steps = profile([(unit / units, each) for unit, each in zip([0, *later], watts, strict=True)])[1]
    return replace(work, steps=steps)


def _track(rng: np.random.Generator, index: int, slots: int, *, moves: bool) -> Track:
    cost = rng.choice(LEVELS, slots) if rng.random() < 0.5 else rng.uniform(1, 500, slots)
    if rng.random() < 0.15:
        cost[rng.integers(slots)] = np.inf
    free = rng.random(slots) > (0.15 if rng.random() < 0.3 else 0.0)
    return Track(
        f"r{index}",
        "gpu",
        cost.astype(float),
        free,
        speed=float(rng.choice((1, 1, 2))) if not moves and rng.random() < 0.3 else 1.0,
        power=float(rng.choice((1.0, 1.3))),
        arrive_ms=int(rng.choice((0, 0, 1, 2))) * MINUTE_MS * (index > 0),
        arrive_g=float(rng.choice((0.0, 0.5, 3.0))) * (index > 0),
    )


def _pausing(
    rng: np.random.Generator, slot: int, step: int, work: int, length: int, *, moves: bool
) -> Pausing:
    """Delays of whole slots half of the time, else of whole minutes."""
    unit = (slot if rng.random() < 0.5 else 1) * MINUTE
    milestones: tuple[Milestone, ...] = ()
    if rng.random() < 0.3:
        share = step * int(rng.integers(1, work // step + 1)) / work
        milestones = (Milestone(share, moment(T0_MS + MINUTE_MS * int(rng.integers(1, length)))),)
    return Pausing(
        checkpoint=int(rng.choice((0, 0, 0, 1, 2))) * unit,
        restart=int(rng.choice((0, 0, 0, 1, 2))) * unit,
        checkpoint_wh=None if rng.random() < 0.6 else float(rng.choice((0.0, 1.0, 8.0))),
        restart_wh=None if rng.random() < 0.6 else float(rng.choice((0.0, 1.0, 8.0))),
        suspended_w=float(rng.choice((0.0, 0.0, 0.0, 20.0, 100.0))),
        min_stint=int(rng.choice((0, 0, 0, 1, 2, 3))) * unit,
        max_pauses=None if rng.random() < 0.6 else int(rng.choice((0, 1, 2))),
        milestones=milestones,
        moves=moves,
    )


@dataclass(slots=True)
class Trial:
    """All plans of a job on whole minutes, and the cheapest of them; inf where there is none."""

    work: Work
    least_g: float = np.inf
    spells: tuple[Spell, ...] = ()
    _cost: list[list[float]] = field(init=False)
    _usable: list[list[bool]] = field(init=False)

    def __post_init__(self) -> None:
        edges = (self.work.edges_ms - T0_MS) // MINUTE_MS
        slot = [int(np.searchsorted(edges, minute, "right")) - 1 for minute in range(int(edges[-1]))]
        self._cost = [[float(track.cost[i]) for i in slot] for track in self.work.tracks]
        self._usable = [
            [bool(track.free[i]) and bool(np.isfinite(track.cost[i])) for i in slot]
            for track in self.work.tracks
        ]
        self._go_on((), 0.0, 0.0)

    def _go_on(self, spells: tuple[Spell, ...], done_ms: float, grams: float) -> None:
        """Tries every next spell of running."""
        for start, begun, track in self._starts(spells):
            more = grams + self._between(spells, start, begun, track)
            if more < self.least_g:
                self._run(spells, done_ms, more, begun, track)

    def _starts(self, spells: tuple[Spell, ...]) -> Iterator[tuple[int, int, int]]:
        """Where a next stint may start, from when on it runs, and where."""
        work, pausing = self.work, self.work.pausing
        restart, checkpoint = pausing.restart // MINUTE, pausing.checkpoint // MINUTE
        since, region = (work.release_ms - T0_MS) // MINUTE_MS, work.home
        if spells:
            place, _, stopped = spells[-1]
            since, region = stopped + checkpoint, work.tracks[place].region
            if since > self._until or not all(self._usable[place][stopped:since]):
                return
        for track, there in enumerate(work.tracks):
            if spells and not pausing.moves and track != spells[-1][0]:
                continue
            journey = there.arrive_ms // MINUTE_MS if region and there.region != region else 0
            for start in range(since + journey, self._until):
                begun = start + (restart if spells else 0)
                if begun < self._until and all(self._usable[track][start:begun]):
                    yield start, begun, track

    @property
    def _until(self) -> int:
        return min((self.work.due_ms - T0_MS) // MINUTE_MS, len(self._cost[0]))

    def _between(self, spells: tuple[Spell, ...], start: int, begun: int, track: int) -> float:
        """Grams of the pause before a stint: checkpoint, suspension, journey, restart."""
        work, pausing, there = self.work, self.work.pausing, self.work.tracks[track]
        region = work.tracks[spells[-1][0]].region if spells else work.home
        grams = there.arrive_g if region and there.region != region else 0.0
        if not spells:
            return grams
        place, _, stopped = spells[-1]
        saved = stopped + pausing.checkpoint // MINUTE
        kw = work.kw * work.tracks[place].power
        if pausing.checkpoint_wh is None:
            grams += kw * self._hours(place, stopped, saved)
        elif saved > stopped:
            grams += (
                pausing.checkpoint_wh * 60 / (saved - stopped) / 1000 * self._hours(place, stopped, saved)
            )
        else:
            grams += pausing.checkpoint_wh / 1000 * self._cost[place][stopped - 1]
        if pausing.suspended_w:
            grams += pausing.suspended_w / 1000 * self._hours(place, saved, start)
        if pausing.restart_wh is None:
            grams += work.kw * there.power * self._hours(track, start, begun)
        elif begun > start:
            grams += pausing.restart_wh * 60 / (begun - start) / 1000 * self._hours(track, start, begun)
        else:
            grams += pausing.restart_wh / 1000 * self._cost[track][begun]
        return grams

    def _hours(self, track: int, start: int, end: int) -> float:
        """Grams of one kW."""
        return sum(self._cost[track][start:end]) / 60

    def _run(self, spells: tuple[Spell, ...], done_ms: float, grams: float, begun: int, track: int) -> None:
        """Runs on minute by minute, and tries to stop after each."""
        work, pausing, there = self.work, self.work.pausing, self.work.tracks[track]
        for end in range(begun + 1, self._until + 1):
            if not self._usable[track][end - 1]:
                return
            grams += work.kw * there.power * self._cost[track][end - 1] / 60 * self._ratio(done_ms)
            done_ms += there.speed * MINUTE_MS
            made = (*spells, (track, begun, end))
            long_enough = (end - begun) * MINUTE >= pausing.min_stint
            if done_ms >= work.work_ms:
                if (long_enough or not spells) and self._in_time(made) and grams < self.least_g:
                    self.least_g, self.spells = grams, made
                return
            if long_enough and (pausing.max_pauses is None or len(spells) < pausing.max_pauses):
                self._go_on(made, done_ms, grams)

    def _ratio(self, done_ms: float) -> float:
        """What a job whose draw changes draws when so much is done, against its mean."""
        begun = [step.ratio for step in self.work.steps if step.share * self.work.work_ms <= done_ms + 1]
        return begun[-1] if begun else 1.0

    def _in_time(self, spells: tuple[Spell, ...]) -> bool:
        """True where every milestone is kept."""
        for milestone in self.work.pausing.milestones:
            by = (floor_ms(milestone.by) - T0_MS) // MINUTE_MS
            done = sum(
                self.work.tracks[track].speed * max(0, min(end, by) - start) for track, start, end in spells
            )
            if done * MINUTE_MS < milestone.share * self.work.work_ms - 1e-3:
                return False
        return True
