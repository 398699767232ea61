"""Tidewatt's own energy: by the hour, once, from readings in production form."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
import time_machine

from tests.integration.scheduler.office import Office
from tidewatt.backends.clock import Clock, time_ms
from tidewatt.backends.meters.cputime import OWN
from tidewatt.backends.meters.journal import Header, Journal
from tidewatt.backends.meters.reading import Device, How, Reading
from tidewatt.backends.meters.registry import entries
from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.recorded import FileProvider
from tidewatt.scheduler.daemon.own_use import OwnUse
from tidewatt.scheduler.daemon.patience import PatientChain

HOUR = timedelta(hours=1)
NINE = datetime(2026, 3, 10, 9, tzinfo=UTC)
EVERY_S = 60
CPUS, IDLE_W, BUSY_W = 4, 8.0, 28.0
PACKAGE = Device("rapl:package-0", "cpu", How.MEASURED, "RAPL", range_uj=2**48, idle_w=IDLE_W)


class Host:
    """A package that draws 28 W while two of its four cores are busy; Tidewatt has a hundredth of a core."""

    def __init__(self, readings: Path, start: datetime) -> None:
        self.journal = Journal(readings)
        self.header = Header("b" * 32, CPUS, EVERY_S * 1000, Clock(), (PACKAGE,))
        self.start_ms = time_ms(start)
        self.passed_s = 0

    def run(self, seconds: int) -> None:
        """Writes the readings of so long a time."""
        for passed_s in range(self.passed_s, self.passed_s + seconds, EVERY_S):
            at_ms, ran_ms = self.start_ms + passed_s * 1000, passed_s * 1000
            cpu_ms = {"host": 2 * ran_ms, OWN: ran_ms // 100}
            energy_uj = {PACKAGE.key: round(BUSY_W * ran_ms * 1000)}
            reading = Reading(at_ms, 10**6 + ran_ms, "b" * 32, "tick", energy_uj, {}, cpu_ms)
            self.journal.append(reading, self.header, durable=False)
        self.passed_s += seconds


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    with time_machine.travel(NINE + timedelta(minutes=10), tick=False) as travelled:
        yield travelled


@pytest.fixture
def at(tmp_path: Path, clock: time_machine.Traveller) -> Iterator[Office]:
    made = Office(tmp_path, clock, (), CPUS, {})
    made.paths.readings.mkdir(parents=True, exist_ok=True, mode=0o700)
    yield made
    made.store.close()


def grid(at: Office, hours: int) -> Path:
    """400 g/kWh in the first hour, 40 more in each one after it; written for so many hours from 09:00."""
    lines = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    for hour in range(hours):
        lines.append(
            f"DE,{(NINE + hour * HOUR).isoformat()},3600,{400 + 40 * hour},average,lifecycle,production"
        )
    path = at.folder / "grid.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def own_use(at: Office, path: Path) -> OwnUse:
    return OwnUse(replace(at.site, chain=PatientChain(Chain([FileProvider(path)]))), at.store)


def test_hours_are_settled_once_each_from_reading_to_reading(at: Office) -> None:
    host, own = Host(at.paths.readings, NINE + timedelta(minutes=10)), own_use(at, grid(at, 6))
    own.look()
    assert [entry.attempt_id for entry in entries(at.paths.readings)] == [OWN]
    for _ in range(16):
        host.run(600)
        at.wait(timedelta(seconds=600))
        own.look()
    events = [event["payload"] for event in at.store.events_of("own")]
    hours_ms = [time_ms(NINE), time_ms(NINE + HOUR)]
    assert [each["hour_ms"] for each in events] == hours_ms
    assert [each["start_ms"] for each in events] == [time_ms(NINE) + 600_000, hours_ms[1]]
    assert events[0]["end_ms"] == events[1]["start_ms"], "hours join"
    active_j = 3600 * (BUSY_W - IDLE_W) * 0.01 / 2
    idle_j = 3600 * IDLE_W * 0.01 / CPUS
    second = events[1]
    assert second["energy_uj"]["cpu"] / 1e6 == pytest.approx(active_j + idle_j, rel=1e-4)
    assert second["how"] == {"cpu": "measured"}
    assert second["actual_ug"]["average"] / 1e6 == pytest.approx(active_j / 3.6e6 * 440, rel=1e-4)
    assert second["emissions_ug"]["average"] / 1e6 == pytest.approx(
        (active_j + idle_j) / 3.6e6 * 440, rel=1e-4
    )


def test_hour_waits_for_the_grid_and_is_then_written_once(at: Office) -> None:
    host, own = Host(at.paths.readings, NINE + timedelta(minutes=10)), own_use(at, grid(at, 1))
    own.look()
    host.run(3 * 3600)
    at.wait(2 * HOUR + timedelta(minutes=5))
    own.look()
    assert len(at.store.events_of("own")) == 1, "the second hour has no observation yet"
    again = own_use(at, grid(at, 3))
    for _ in range(3):
        at.wait(timedelta(minutes=2))
        again.look()
    hours = [event["payload"]["hour_ms"] for event in at.store.events_of("own")]
    assert hours == [time_ms(NINE), time_ms(NINE + HOUR)], "after a restart it goes on"


def test_hour_without_readings_is_left_out_and_not_zero(at: Office) -> None:
    own = own_use(at, grid(at, 6))
    own.look()
    at.wait(3 * HOUR)
    own.look()
    assert at.store.events_of("own") == []


def test_grid_that_never_comes_leaves_energy_without_emissions(at: Office) -> None:
    host, own = Host(at.paths.readings, NINE + timedelta(minutes=10)), own_use(at, grid(at, 1))
    own.look()
    host.run(3 * 3600)
    at.wait(at.site.settings.final_after + 3 * HOUR)
    own.look()
    payloads = [event["payload"] for event in at.store.events_of("own")]
    assert [sorted(each["emissions_ug"]) for each in payloads[:2]] == [["average"], []]
    assert payloads[1]["energy_uj"]["cpu"] > 0


def test_replayed_time_has_no_energy_of_its_own(at: Office) -> None:
    host, own = Host(at.paths.readings, NINE), own_use(at, grid(at, 6))
    replayed = replace(at.site, clock=Clock(time_ms(NINE), time_ms(NINE), 600.0))
    own = OwnUse(replayed, at.store)
    host.run(2 * 3600)
    at.wait(2 * HOUR)
    own.look()
    assert at.store.events_of("own") == []
