"""Asks the chain of sources with a bound on the time: a source that hangs must not hold up the daemon."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NoAnswerError
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import structlog

from tidewatt.forecasting.chain import Chain, Latest
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.series import Outlook, Series
from tidewatt.forecasting.shrinkage import Outlooks

log = structlog.get_logger()
PATIENCE_S = 2.0
Answer = TypeVar("Answer")


class PatientChain:
    """A chain whose every answer comes within `PATIENCE_S`: the last known one where the sources hang.

    Where there is no last one, the built-in profile plans, and the outlook says why.
    One worker asks them, so that a dead file system holds one thread and no more.
    """

    def __init__(self, chain: Outlooks) -> None:
        self._chain = chain
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="sources")
        self._asked: Future[Any] | None = None
        self._outlooks: dict[tuple[str, Signal], Outlook | None] = {}
        self._latest: dict[tuple[str, Signal], Latest | None] = {}
        self._built_in = Chain()

    def outlook(self, zone: str, signal: Signal, now: datetime, until: datetime) -> Outlook | None:
        """Intensity ahead, see `Chain.outlook`."""
        key = (zone, signal)
        try:
            self._outlooks[key] = self._within(lambda: self._chain.outlook(zone, signal, now, until))
        except NoAnswerError:
            log.warning("source.hangs", zone=zone, signal=str(signal))
            if key not in self._outlooks:
                return _unheard(self._built_in.outlook(zone, signal, now, until))
        return self._outlooks.get(key)

    def latest(self, zone: str, signal: Signal, now: datetime) -> Latest | None:
        """Intensity now, see `Chain.latest`."""
        key = (zone, signal)
        try:
            self._latest[key] = self._within(lambda: self._chain.latest(zone, signal, now))
        except NoAnswerError:
            log.warning("source.hangs", zone=zone, signal=str(signal))
        return self._latest.get(key)

    def observations(
        self, zone: str, signal: Signal, start: datetime, end: datetime, now: datetime
    ) -> Series | None:
        """What was observed, see `Chain.observations`.

        Raises:
            ForecastError: where the sources hang; an old answer would settle what is not known.
        """
        try:
            return self._within(lambda: self._chain.observations(zone, signal, start, end, now))
        except NoAnswerError:
            raise ForecastError(f"the sources of {zone} do not answer", transient=True) from None

    def _within(self, ask: Callable[[], Answer]) -> Answer:
        if self._asked is not None and not self._asked.done():
            raise NoAnswerError  # still at an earlier question
        asked = self._worker.submit(ask)
        try:
            return asked.result(PATIENCE_S)
        except NoAnswerError:
            self._asked = asked
            raise


def _unheard(outlook: Outlook | None) -> Outlook | None:
    """The outlook with why it is made without any source."""
    notes = ("the sources have not answered in time", outlook.note) if outlook else ()
    return outlook and replace(outlook, note="; ".join(filter(None, notes)))
