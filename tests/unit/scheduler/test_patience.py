"""A source that hangs holds up one worker, and whoever asks gets the last answer."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.series import Rung
from tidewatt.scheduler.daemon import patience
from tidewatt.scheduler.daemon.patience import PatientChain

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Hanging(Chain):
    """The built-in profiles, until it is told to hang."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.go_on.set()

    def outlook(self, *args: Any) -> Any:
        self.go_on.wait()
        return super().outlook(*args)

    def observations(self, *args: Any) -> Any:
        self.go_on.wait()
        return super().observations(*args)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(patience, "PATIENCE_S", 0.05)
    made = Hanging()
    yield made
    made.go_on.set()


def test_last_outlook_is_given_while_the_source_hangs(hanging: Hanging) -> None:
    chain = PatientChain(hanging)
    known = chain.outlook("DE", Signal.AVERAGE, NOW, NOW + timedelta(days=1))
    hanging.go_on.clear()
    later = NOW + timedelta(hours=1)
    assert chain.outlook("DE", Signal.AVERAGE, later, later + timedelta(days=1)) is known


def test_a_source_that_hangs_from_the_start_leaves_the_profile_and_says_so(hanging: Hanging) -> None:
    chain = PatientChain(hanging)
    hanging.go_on.clear()
    found = chain.outlook("DE", Signal.AVERAGE, NOW, NOW + timedelta(days=1))
    assert found is not None
    assert {part.rung for part in found.segments} == {Rung.PROFILE}
    assert found.note == "the sources have not answered in time"
    ahead = chain.outlook("DE", Signal.MARGINAL, NOW, NOW + timedelta(days=1))
    assert ahead is not None
    assert ahead.note.startswith("the sources have not answered in time; ")


def test_settling_waits_while_the_source_hangs(hanging: Hanging) -> None:
    chain = PatientChain(hanging)
    hanging.go_on.clear()
    with pytest.raises(ForecastError, match="do not answer"):
        chain.observations("DE", Signal.AVERAGE, NOW, NOW + timedelta(hours=1), NOW)


def test_source_that_answers_again_is_asked_again(hanging: Hanging) -> None:
    chain = PatientChain(hanging)
    hanging.go_on.clear()
    until = NOW + timedelta(days=1)
    unheard = chain.outlook("DE", Signal.AVERAGE, NOW, until)
    assert unheard is not None
    assert unheard.note
    hanging.go_on.set()
    stop = threading.Event()
    for _ in range(100):
        heard = chain.outlook("DE", Signal.AVERAGE, NOW, until)
        if heard is not None and not heard.note:
            return
        stop.wait(0.05)
    pytest.fail("it was never asked again")
