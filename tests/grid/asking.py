"""What tests of feeds share: transports whose waits take no time, and the steps of what was fetched."""

import threading
from collections.abc import Mapping

import numpy as np

from tests.grid.server import Fault, GridServer, Response
from tidewatt.forecasting.feeds.feed import Fetched
from tidewatt.forecasting.feeds.transport import Transport
from tidewatt.forecasting.series import Steps

PATIENCE_S = 20.0  # a stand-in answers sooner, however busy the machine is
SHORT_S = 0.2  # where it never will
USUAL_S = 2.0


class Clock:
    """Seconds that pass when a test or a wait says so."""

    def __init__(self) -> None:
        self.at = 0.0
        self.waited: list[float] = []

    def __call__(self) -> float:
        return self.at

    def wait(self, seconds: float) -> None:
        """Lets time pass at once."""
        self.waited.append(seconds)
        self.at += seconds


def transport(name: str, clock: Clock | None = None, patience_s: float = USUAL_S) -> Transport:
    """A transport whose waits take no time."""
    clock = clock or Clock()
    return Transport(name, timeout_s=(patience_s, patience_s), clock=clock, wait=clock.wait)


def observed(fetched: Fetched) -> Steps:
    """The steps of the one quantity that was observed."""
    (only,) = fetched.observed
    return only.steps


def issued(fetched: Fetched) -> Steps:
    """The steps of the one forecast."""
    (only,) = fetched.issued
    return only.steps


def width_s(steps: Steps) -> list[int]:
    """How long steps are, each length once."""
    return sorted({int(width) // 1000 for width in np.asarray(steps.end_ms - steps.start_ms)})


def busy(headers: Mapping[str, str] | None = None) -> Fault:
    """A server that has had too many calls."""
    return Fault(response=Response(429, {"error": "too many requests"}, headers or {}))


def hang(server: GridServer, path: str = "") -> threading.Event:
    """Makes the next answer wait until the event that is returned is set."""
    event = threading.Event()
    server.fail(Fault(path, hold=event))
    return event
