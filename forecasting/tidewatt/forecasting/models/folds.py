"""Stretches of the past in turns: what a model is trained on, and what it is judged on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

DAY_H = 24
LONGEST_DAYS = 28
NEWEST = 3
STRETCHES = 10


@dataclass(frozen=True, slots=True)
class Folds:
    """Stretches of `length_h` hours, counted back from hour `end`; every second one is of fold 0.

    The newest stretch is as long as three, as single months do not tell who does better. It is of fold 0, so
    that the model that is not trained on fold 0 has seen nothing later than its begin, and is judged on it as
    though that were the future.
    """

    end: int
    length_h: int

    def stretch(self, hour: Integers) -> Integers:
        """The stretch of each hour; 0 is the newest."""
        return np.asarray(np.maximum((self.end - 1 - hour) // self.length_h - (NEWEST - 1), 0), np.int64)

    def fold(self, hour: Integers) -> Integers:
        """The fold of each hour: 0 or 1."""
        return self.stretch(hour) % 2

    @property
    def newest(self) -> int:
        """The first hour of the newest stretch."""
        return self.end - NEWEST * self.length_h


def folds(first: int, end: int) -> Folds:
    """Folds over `[first, end)`: stretches of whole days, 28 at most, ten of them where that can be."""
    days = (end - first) // DAY_H
    return Folds(end, DAY_H * max(1, min(LONGEST_DAYS, days // STRETCHES)))
