"""What becomes of the attempts of the fake backend: what they do, draw and tell, and how they end."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path

from tidewatt.backends.backend import BackendError, Move, Phase
from tidewatt.backends.clock import Clock

NEXT: Mapping[Phase, frozenset[Phase]] = {
    Phase.RUNNING: frozenset({Phase.RUNNING, Phase.PAUSING, Phase.SUSPENDED}),
    Phase.PAUSING: frozenset({Phase.PAUSING, Phase.RUNNING, Phase.SUSPENDED}),
    Phase.SUSPENDED: frozenset({Phase.SUSPENDED, Phase.RESUMING}),
    Phase.RESUMING: frozenset({Phase.RESUMING, Phase.RUNNING}),
}


@dataclass(frozen=True, slots=True)
class Leg:
    """A stretch of an attempt: its phase, seconds, and what it draws.

    `gpu_w` is all that each of its GPUs draws, None for its idle draw; `cores` are CPU cores kept busy.
    Two legs of one phase after each other are one phase with a draw that changes.
    """

    phase: Phase
    lasts_s: float
    gpu_w: float | None = None
    cores: float = 0.0


@dataclass(frozen=True, slots=True)
class Told:
    """What the training script tells: times in seconds since the attempt's start.

    `labels` name what it does from then on, `checkpoints` are (time, step). What lies after the attempt's end
    is never told; `counts` are those of the end, `kept` those of the last checkpoint.
    """

    labels: tuple[tuple[float, str], ...] = ()
    checkpoints: tuple[tuple[float, int], ...] = ()
    resumed_step: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    kept: Mapping[str, int] = field(default_factory=dict)

    def write(self, folder: Path, clock: Clock, start_ms: int, end_ms: int) -> None:
        """Writes it in the form of `tidewatt.backends.hooks.diary`."""

        def at(after_s: float) -> list[int]:
            passed_ms = start_ms + after_s * 1000 - clock.replay_ms
            real_ms = clock.real_ms + round(passed_ms / clock.factor)
            return [real_ms, real_ms - clock.real_ms]

        length_s = (end_ms - start_ms) / 1000
        marks = [(time_s, "phase", label) for time_s, label in self.labels]
        saved = [each for each in self.checkpoints if each[0] <= length_s]
        lines = [{"at": at(0), "resumed": self.resumed_step}] if self.resumed_step is not None else []
        lines += [{"at": at(time_s), kind: label} for time_s, kind, label in marks if time_s <= length_s]
        lines += [{"at": at(time_s), "checkpoint": step} for time_s, step in saved]
        last = {"at": at(saved[-1][0]), "step": saved[-1][1], "counts": dict(self.kept)} if saved else None
        record = {"at": at(length_s), "rank": 0, "counts": dict(self.counts), "checkpoint": last}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stem = f"{at(0)[0]:013d}-1"
        (folder / f"{stem}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (folder / f"{stem}.counts").write_text(json.dumps(record) + "\n")


@dataclass(frozen=True, slots=True)
class Script:
    """What becomes of an attempt. All times are on the backend's clock, seconds.

    It runs for `runs_s`, or goes through the `course`, which begins with running; one that ends with pausing
    is paused: its work is kept for another attempt. `told` is what it says of itself.
    `exit_code` None with `signal` None is a lost exit status. `stops_after_s` is how long it takes to end
    when asked to, with `stop_exit_code` or else by the signal; None for one that ignores the stop signal
    and is killed after its grace period. `refusal` poisons it, as a supervisor does when a GPU is leased by
    somebody else; `unknown` says why nothing can be told of it. `preempted_after_s` is when the engine takes
    its place away, `vanishes_after_s` when it forgets all of the attempt: both since the start.

    Of a fake cluster, which is asked over a line that can fail: `loses` a submit before it gets there, or
    takes it and `mutes` the answer; what was taken is found by nobody for `hidden_s`.

    Asked for a checkpoint, it ends `saves_s` later; where it does not `save` one, all its work is lost. After
    a stop it needs `wakes_s` to run again. One that goes on from a paused attempt needs what that one had
    left, and `restarts_s`.
    """

    starts_after_s: float = 0.0
    runs_s: float = 60.0
    exit_code: int | None = 0
    signal: int | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()
    stops_after_s: float | None = 0.0
    stop_exit_code: int | None = None
    refusal: str = ""
    unknown: str = ""
    course: tuple[Leg, ...] = ()
    told: Told | None = None
    preempted_after_s: float | None = None
    vanishes_after_s: float | None = None
    loses: bool = False
    mutes: bool = False
    hidden_s: float = 0.0
    saves_s: float = 0.0
    saves: bool = True
    wakes_s: float = 0.0
    restarts_s: float = 0.0

    def __post_init__(self) -> None:
        """Raises BackendError for a course that no attempt can go through."""
        phases = [leg.phase for leg in self.course]
        if phases and phases[0] is not Phase.RUNNING:
            raise BackendError(f"a course begins with running, not with {phases[0]}")
        for here, there in pairwise(phases):
            if there not in NEXT[here]:
                raise BackendError(f"no attempt goes from {here} to {there}")

    @property
    def legs(self) -> tuple[Leg, ...]:
        """What it does from its start to its natural end."""
        return self.course or (Leg(Phase.RUNNING, self.runs_s),)

    @property
    def lasts_s(self) -> float:
        """From its start to its natural end."""
        return sum(leg.lasts_s for leg in self.legs)

    @property
    def ends_paused(self) -> bool:
        """Whether its natural end is a pause."""
        return self.legs[-1].phase is Phase.PAUSING

    def timed(self, start_ms: int) -> Iterator[tuple[int, int, Leg]]:
        """Its legs with the milliseconds of their starts and ends."""
        edges = accumulate((leg.lasts_s for leg in self.legs), initial=0.0)
        times = [start_ms + round(edge * 1000) for edge in edges]
        for (first_ms, last_ms), leg in zip(pairwise(times), self.legs, strict=True):
            yield first_ms, last_ms, leg

    def moves(self, start_ms: int, before_ms: int) -> tuple[Move, ...]:
        """Its steps from phase to phase before a time, the start itself left out."""
        found: list[Move] = []
        phase = Phase.RUNNING
        for first_ms, _, leg in self.timed(start_ms):
            if leg.phase is not phase and first_ms < before_ms:
                found.append(Move(leg.phase, first_ms))
            phase = leg.phase
        return tuple(found)
