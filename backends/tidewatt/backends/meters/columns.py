"""Spans as arrays: a day at one reading a second is 86,400 of them for each component."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import overload

import numpy as np
from numpy.typing import NDArray

from tidewatt.backends.meters.reading import HOWS, How, Span

Amounts = NDArray[np.int64]
Codes = NDArray[np.int8]
CODES: Mapping[How, int] = {how: code for code, how in enumerate(HOWS)}


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The spans of one component by start and end; all arrays are (n,), `how` holds places in `HOWS`."""

    start_ms: Amounts
    end_ms: Amounts
    how: Codes
    active_uj: Amounts
    idle_uj: Amounts

    @classmethod
    def of(cls, spans: Iterable[Span]) -> "Columns":
        """The columns of spans, in their order."""
        rows = [(span.start_ms, span.end_ms, CODES[span.how], span.active_uj, span.idle_uj) for span in spans]
        table = np.array(rows, dtype=np.int64).reshape(-1, 5)
        return cls(table[:, 0], table[:, 1], table[:, 2].astype(np.int8), table[:, 3], table[:, 4])

    def __len__(self) -> int:
        return len(self.start_ms)

    def __bool__(self) -> bool:
        return True  # empty columns are columns, too

    def spans(self, component: str, part: slice = slice(None)) -> Iterator[Span]:
        """The rows of `part` as spans."""
        arrays = (self.start_ms, self.end_ms, self.how, self.active_uj, self.idle_uj)
        for start_ms, end_ms, how, active_uj, idle_uj in zip(
            *(array[part].tolist() for array in arrays), strict=True
        ):
            yield Span(start_ms, end_ms, component, HOWS[how], active_uj, idle_uj)

    def cut(self, count: int) -> "Columns":
        """The first so many rows."""
        return Columns(*(getattr(self, name)[:count] for name in self.__slots__))

    def only(self, kept: NDArray[np.bool_]) -> "Columns":
        """The rows that are kept."""
        return Columns(*(getattr(self, name)[kept] for name in self.__slots__))

    def merged(self, other: "Columns") -> "Columns":
        """Both together, in order of time; spans of the same start, end and how become one."""
        if not len(self) or not len(other):
            return self if len(self) else other
        if self._same_times(other):
            active_uj, idle_uj = self.active_uj + other.active_uj, self.idle_uj + other.idle_uj
            return Columns(self.start_ms, self.end_ms, self.how, active_uj, idle_uj)
        start_ms, end_ms, how, active_uj, idle_uj = (
            np.concatenate([getattr(part, name) for part in (self, other)]) for name in self.__slots__
        )
        order = np.lexsort((_ALPHABETICAL[how], end_ms, start_ms))
        keys = np.stack([start_ms[order], end_ms[order], how[order]])
        first = np.flatnonzero(np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)])
        active_uj, idle_uj = (np.add.reduceat(amount[order], first) for amount in (active_uj, idle_uj))
        start_ms, end_ms, codes = keys[:, first]
        return Columns(start_ms, end_ms, codes.astype(np.int8), active_uj, idle_uj)

    def _same_times(self, other: "Columns") -> bool:
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("start_ms", "end_ms", "how")
        )


_ALPHABETICAL = np.argsort(np.argsort([str(how) for how in HOWS]))


class Spans(Sequence[Span]):
    """Spans that are kept as columns, one component after the other; each span is made when asked for."""

    __slots__ = ("_ends", "columns")

    def __init__(self, columns: Mapping[str, Columns]) -> None:
        self.columns = columns
        self._ends = tuple(accumulate(len(part) for part in columns.values()))

    @classmethod
    def of(cls, spans: Iterable[Span]) -> "Spans":
        """The same spans, by component."""
        by_component: dict[str, list[Span]] = {}
        for span in spans:
            by_component.setdefault(span.component, []).append(span)
        return cls({component: Columns.of(part) for component, part in by_component.items()})

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Span]:
        for component, part in self.columns.items():
            yield from part.spans(component)

    @overload
    def __getitem__(self, index: int) -> Span: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Span]: ...
    def __getitem__(self, index: int | slice) -> Span | Sequence[Span]:
        if isinstance(index, slice):
            return tuple(self)[index]
        place = range(len(self))[index]
        before = 0
        for end, (component, part) in zip(self._ends, self.columns.items(), strict=True):
            if place < end:
                row = place - before
                return next(part.spans(component, slice(row, row + 1)))
            before = end
        raise IndexError(index)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        counts = ", ".join(f"{component}: {len(part)}" for component, part in self.columns.items())
        return f"Spans({counts})"
