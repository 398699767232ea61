"""Steps as they were received over time: what was known when, and what a later fetch adds to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tidewatt.forecasting.packing import UNKNOWN, Whole, packed, thousandths, units, unpacked
from tidewatt.forecasting.series import Milliseconds, Steps

COLUMNS = 4
FAR_MS = 2**62


@dataclass(frozen=True, slots=True)
class Revisions:
    """Steps in the order in which they were received; the last of equal steps is the newest. (n,) each."""

    start_ms: Milliseconds
    end_ms: Milliseconds
    thousandths: Whole
    received_ms: Milliseconds

    def packed(self) -> bytes:
        """As few bytes; `read` reads them."""
        return packed(self.start_ms, self.end_ms - self.start_ms, self.thousandths, self.received_ms)

    def news(self, steps: Steps, received_ms: int) -> "Revisions":
        """The steps that are new or say something else than what was known when they were received."""
        values = thousandths(steps.gco2_per_kwh)
        now = self.known(FAR_MS, received_ms)
        known = set(
            zip(
                now.start_ms.tolist(),
                now.end_ms.tolist(),
                thousandths(now.gco2_per_kwh).tolist(),
                strict=True,
            )
        )
        told = zip(steps.start_ms.tolist(), steps.end_ms.tolist(), values.tolist(), strict=True)
        new = np.array([step[2] != UNKNOWN and step not in known for step in told], bool)
        received = np.full(int(new.sum()), received_ms, np.int64)
        return Revisions(steps.start_ms[new], steps.end_ms[new], values[new], received)

    def known(self, ended_ms: int, received_ms: int | None) -> Steps:
        """Of steps that had ended at `ended_ms`, the newest revision that was received by `received_ms`.

        With None the newest of all, whenever it came.
        """
        there = self.end_ms <= ended_ms
        if received_ms is not None:
            there &= self.received_ms <= received_ms
        order = np.flatnonzero(there)
        order = order[np.lexsort((self.end_ms[order], self.start_ms[order]))]  # stable: the newest come last
        start_ms, end_ms = self.start_ms[order], self.end_ms[order]
        again = (start_ms[1:] == start_ms[:-1]) & (end_ms[1:] == end_ms[:-1])
        newest = order[np.append(~again, np.ones(min(1, len(order)), bool))]
        if (self.start_ms[newest][1:] < self.end_ms[newest][:-1]).any():
            return self._painted(np.flatnonzero(there))
        return Steps(self.start_ms[newest], self.end_ms[newest], units(self.thousandths[newest]))

    def _painted(self, which: Whole) -> Steps:
        """Steps of different lengths over each other: at each instant the one received last."""
        which = which[np.argsort(self.received_ms[which], kind="stable")]
        cuts = np.unique(np.concatenate([self.start_ms[which], self.end_ms[which]]))
        owner = np.full(len(cuts) - 1, -1)
        firsts = np.searchsorted(cuts, self.start_ms[which]).tolist()
        lasts = np.searchsorted(cuts, self.end_ms[which]).tolist()
        for step, first, last in zip(which.tolist(), firsts, lasts, strict=True):
            owner[first:last] = step
        heads = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
        tails = np.append(heads[1:], len(owner))
        covered = owner[heads] >= 0
        heads, tails = heads[covered], tails[covered]
        return Steps(cuts[heads], cuts[tails], units(self.thousandths[owner[heads]]))


def none() -> Revisions:
    """Nothing received yet."""
    nothing = np.empty(0, np.int64)
    return Revisions(nothing, nothing, nothing, nothing)


def read(content: bytes) -> Revisions | None:
    """What was packed; None where the bytes are damaged."""
    columns = unpacked(content, COLUMNS)
    if columns is None:
        return None
    start_ms, length_ms, values, received_ms = columns
    return Revisions(start_ms, start_ms + length_ms, values, received_ms)


def joined(parts: Sequence[Revisions]) -> Revisions:
    """Several behind each other."""
    if not parts:
        return none()
    return Revisions(
        np.concatenate([part.start_ms for part in parts]),
        np.concatenate([part.end_ms for part in parts]),
        np.concatenate([part.thousandths for part in parts]),
        np.concatenate([part.received_ms for part in parts]),
    )
