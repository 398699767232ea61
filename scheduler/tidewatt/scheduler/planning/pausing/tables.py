"""What starting, stopping and going on cost at each edge of a grid."""

from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.pausing.grid import Grid
from tidewatt.scheduler.planning.pausing.ground import MS_PER_HOUR
from tidewatt.scheduler.planning.pausing.work import Amounts, Flags, Ints

NEVER = np.inf


@dataclass(frozen=True, slots=True)
class Overheads:
    """What a pause takes in one track: whole steps in milliseconds, kW of draw, kWh of what has no length."""

    usual_kw: float
    restart_ms: int = 0
    restart_kw: float = 0.0
    restart_kwh: float = 0.0
    checkpoint_ms: int = 0
    checkpoint_kw: float = 0.0
    checkpoint_kwh: float = 0.0
    suspended_kw: float = 0.0


class Tables:
    """Grams by edge, for the programme; `NEVER` where it cannot be.

    `run` is what running since the first edge would have cost, `idle` what being suspended would have.
    `stop` ends a stint's running, its checkpoint charged, relative to `run`; `barred` counts the slots before
    an edge that cannot be used.
    """

    def __init__(self, grid: Grid, overheads: Overheads) -> None:
        self._over, self._unit, self._n = overheads, grid.unit, len(grid.unit)
        self._known = grid.known
        self.restart = overheads.restart_ms // grid.step_ms
        self.checkpoint = overheads.checkpoint_ms // grid.step_ms
        width = np.diff(grid.edges_ms)
        self._width = width
        self._edge = np.arange(self._n + 1)
        used = np.where(grid.usable, grid.unit * width, 0.0)
        self.run = _sums(used * overheads.usual_kw)
        self._whole = _sums(grid.unit * grid.step_ms)
        self.barred = _sums(~grid.usable)
        drawn = np.abs(grid.unit) * grid.step_ms
        self.penalty = 1e3 * (1.0 + float(drawn.sum()) * (1.0 + overheads.usual_kw))
        self.idle = np.zeros(self._n + 1)
        self.suspends = overheads.suspended_kw > 0
        if self.suspends:
            suspended = grid.unit * grid.step_ms * overheads.suspended_kw
            self.idle = _sums(np.where(grid.known, suspended, self.penalty))
        self.stop = self._stop()

    def _stop(self) -> Amounts:
        over, until = self._over, np.minimum(self._edge + self.checkpoint, self._n)
        if self.checkpoint:
            drawn = (self._whole[until] - self._whole[self._edge]) * over.checkpoint_kw
        else:
            drawn = self._before(self._unit) * MS_PER_HOUR * over.checkpoint_kwh
        grams = self.run + drawn
        grams[(self.barred[until] > self.barred[self._edge]) | (self._edge + self.checkpoint > self._n)] = (
            NEVER
        )
        return grams

    def stopping(self) -> Amounts:
        """`stop`, relative to what being suspended since the first edge would have cost."""
        until = np.minimum(self._edge + self.checkpoint, self._n)
        return np.asarray(self.stop - self.idle[until], np.float64)

    def resume(self, *, idle: bool = False) -> Amounts:
        """Grams of beginning a later stint's running at each edge, its restart charged, relative to `run`.

        With `idle` what being suspended until the restart since the first edge would have cost is added.
        """
        over, since = self._over, np.maximum(self._edge - self.restart, 0)
        if self.restart:
            drawn = (self._whole[self._edge] - self._whole[since]) * over.restart_kw
        else:
            drawn = self._after(self._unit) * MS_PER_HOUR * over.restart_kwh
        grams = drawn - self.run + (self.idle[since] if idle else 0.0)
        grams[(self.barred[self._edge] > self.barred[since]) | (self._edge < self.restart)] = NEVER
        return grams

    def late_start(self, spare_ms: int, *, first: bool) -> Amounts:
        """Grams less where a stint starts so much later than at an edge, suspension until then aside."""
        kw, begins = self._over.usual_kw, self._after(self._unit)
        saved = kw * begins
        if not first:
            at_restart = self._unit[np.clip(self._edge - self.restart, 0, self._n - 1)]
            if self.restart:
                saved = saved - self._over.restart_kw * (begins - at_restart)
        return np.where(self._after(self._width) > spare_ms, spare_ms * saved, -NEVER)

    def suspended(self, edge: int, longer_ms: int) -> float:
        """Grams of being suspended from the first edge until so long after another one."""
        if not self.suspends:
            return 0.0
        slot = min(edge, self._n - 1)
        more = self.penalty if not self._known[slot] else float(self._unit[slot]) * self._over.suspended_kw
        return float(self.idle[edge]) + (longer_ms * more if longer_ms else 0.0)

    def early_end(self, spare_ms: int, *, last: bool) -> Amounts:
        """Grams less where a stint ends so much earlier than at an edge."""
        kw, ends = self._over.usual_kw, self._before(self._unit)
        saved = kw * ends
        if not last:
            at_end = self._unit[np.clip(self._edge + self.checkpoint - 1, 0, self._n - 1)]
            if self.checkpoint:
                saved = saved - self._over.checkpoint_kw * (ends - at_end)
            saved = saved - self._over.suspended_kw * at_end
        return np.where(self._before(self._width) > spare_ms, spare_ms * saved, -NEVER)

    def _before(self, of_slots: Amounts | Ints) -> Amounts:
        """What holds in the slot that ends at each edge; 0 at the first."""
        return np.concatenate(([0.0], of_slots))

    def _after(self, of_slots: Amounts | Ints) -> Amounts:
        """What holds in the slot that begins at each edge; 0 at the last."""
        return np.concatenate((of_slots, [0.0]))


def _sums(of_slots: Amounts | Flags) -> Amounts:
    return np.concatenate(([0.0], np.cumsum(of_slots, dtype=np.float64)))
