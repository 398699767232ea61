"""What the daemon tells of the grid as it was observed."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.integration.scheduler.office import NOW, Office, office
from tidewatt.backends.clock import time_ms
from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.fake import FakeProvider
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Series, Steps
from tidewatt.scheduler.daemon.observing import observed
from tidewatt.scheduler.daemon.patience import PatientChain
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.errors import BadInput

HOUR = timedelta(hours=1)
KIND = Kind(Signal.AVERAGE, Basis.DIRECT, Boundary.CONSUMPTION, "CO2")


def watched(at: Office) -> Site:
    """A site that sees three half hours before now, the middle one of the second hour missing."""
    starts = np.array([time_ms(NOW - 2 * HOUR), time_ms(NOW - 1.5 * HOUR), time_ms(NOW - 0.5 * HOUR)])
    steps = Steps(starts, starts + 1_800_000, np.array([100.0, 300.0, 500.0]))
    provider = FakeProvider(series=[Series("DE", KIND, "fake", steps)])
    return replace(at.site, chain=PatientChain(Chain([provider])))


def test_hours_are_means_of_what_is_known_with_their_source(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        found = observed(watched(at), "de", "average", NOW - 4 * HOUR, NOW)
        first, second = time_ms(NOW - 2 * HOUR), time_ms(NOW - HOUR)
        assert found["steps"] == [(first, 200.0), (second, 500.0)]
        assert (found["zone"], found["zone_name"], found["source"]) == ("DE", "Germany", "fake")


def test_zone_that_nobody_observes_has_no_steps(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        found = observed(watched(at), "FR", "average", NOW - 4 * HOUR, NOW)
        assert (found["steps"], found["source"]) == ([], "")


@pytest.mark.parametrize(
    ("zone", "signal", "hours", "complaint"),
    [
        ("DE", "green", 4, "no signal 'green'"),
        ("DE", "average", 0, "up to 92 days"),
        ("DE", "average", 24 * 93, "up to 92 days"),
        ("Atlantis", "average", 4, "unknown zone"),
    ],
)
def test_question_that_makes_no_sense_is_refused(
    tmp_path: Path, zone: str, signal: str, hours: int, complaint: str
) -> None:
    with office(tmp_path) as at, pytest.raises((BadInput, ForecastError), match=complaint):
        observed(at.site, zone, signal, NOW - hours * HOUR, NOW)
