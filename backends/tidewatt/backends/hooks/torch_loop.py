"""Plain training loops: counts steps and epochs as a loop goes by."""

from __future__ import annotations

from tidewatt.backends.hooks import words

TYPE_CHECKING = False  # importing `typing` for it would take longer than all of the rest
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeVar

    Batch = TypeVar("Batch")


class Loop:
    """The batches of one epoch; `len` is that of what is gone through."""

    def __init__(self, batches: Iterable[Any], samples: Callable[[Any], int] | int | None) -> None:
        self._batches = batches
        self._samples = samples

    def __len__(self) -> int:
        """How many batches there are; raises TypeError where that is not known."""
        return len(self._batches)  # type: ignore[arg-type]  # as the loader itself would

    def __iter__(self) -> Iterator[Any]:
        """Each batch; when the next is asked for, the one before is done."""
        for batch in self._batches:
            yield batch
            words.steps()
            if callable(self._samples):
                words.samples_of(self._samples, batch)
            elif self._samples is not None:
                words.samples(self._samples)
        words.epoch()


def loop(batches: Iterable[Batch], *, samples: Callable[[Batch], int] | int | None = None) -> Iterable[Batch]:
    """Goes through the batches of an epoch: each is a step, all are an epoch; a loop left early is none.

    `samples` is how many are in a batch, or a function that tells (`len`); without it none are counted.
    Where gradients are accumulated over several batches, count the steps yourself.
    """
    return Loop(batches, samples)
