"""What a report costs: 10,000 ended jobs, read from a store, summed with levers, intervals and grades.

    .venv/bin/python benchmarks/report_speed.py [--jobs 10000]

Each job has an account by two signals of three metered components, and the cells of its energy (36, as of
three hours with steps of a quarter of an hour), as the daemon stores them. CPU time of one thread, the best
of three; the grouped report is that by project, of 40.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tidewatt.backends.clock import time_ms
from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.accounting.levers import Exposure, Levers
from tidewatt.scheduler.accounting.phases import Phase
from tidewatt.scheduler.accounting.profile import Cell
from tidewatt.scheduler.accounting.receipt import Component, Ledger, Settlement
from tidewatt.scheduler.accounting.report import report
from tidewatt.scheduler.accounting.uncertainty import interval
from tidewatt.scheduler.daemon.reporting import rows
from tidewatt.scheduler.jobs import AttemptState, JobState, SettlementState
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUARTER_MS = 900_000
METERS = {"gpu": "NVML energy counter", "cpu": "RAPL", "dram": "RAPL"}


def main() -> None:
    """Prints every measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=10_000)
    jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory(prefix="tw-") as folder:
        store = Store(Path(folder) / "tidewatt.db")
        with store.transaction() as transaction:
            for number in range(1, jobs + 1):
                transaction.add_job(_job(number))
                transaction.add_attempt(_attempt(number))
        found = rows(store, None)
        exposures = [part for row in found if row.settlement for part in row.settlement.ledgers[0].exposures]
        one = exposures[:3]
        size = Path(folder, "tidewatt.db").stat().st_size
        print(f"{jobs:,} jobs, a store of {size / 1e6:.0f} MB")
        print(f"interval of one job: {_best(lambda: interval(one, 'feasible')) * 1e3:.2f} ms")
        print(f"interval of all jobs: {_best(lambda: interval(exposures, 'feasible')):.2f} s")
        print(f"accounts read from the store: {_best(lambda: rows(store, None)):.2f} s")
        print(f"report of them: {_best(lambda: report(found, None)):.2f} s")
        print(f"by project: {_best(lambda: report(found, None, 'project')):.2f} s")
        print(f"read and reported: {_best(lambda: report(rows(store, None), None, 'project')):.2f} s")
        store.close()


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


def _job(number: int) -> JobRecord:
    now_ms = time_ms(NOW)
    return JobRecord(
        id=0, state=JobState.DONE, since_ms=now_ms, reason="", user=f"user {number % 30}", name="train",
        project=f"project {number % 40}", labels={}, argv=("python", "train.py"), cwd="/", stdout="",
        stderr="", outputs={}, submitted_ms=now_ms, finish_by_ms=None, start_by_ms=None, duration_ms=1,
        duration_source="yours", time_limit_ms=None, gpus=1, gpu_kind="", cpus=1, mem_mb=0, regions=(),
        exclude_regions=(), late=False, asked=False, stopping=False, power_mw=1, power_source="", source={},
        snapshot=False, umask=0o077, keeps_env=False, frozen={"home": "local", "signal": "average"},
        plan=None, at_risk="", warnings=(), ended_ms=now_ms, settlement_state=SettlementState.FINAL,
        settlement=_settlement(number).record(),
    )  # fmt: skip


def _attempt(number: int) -> AttemptRecord:
    now_ms = time_ms(NOW)
    factors = {"zones": {"average": "DE"}, "pue_micro": 1_200_000, "pue_source": "assumed"}
    return AttemptRecord(
        f"{number}.1", number, AttemptState.LAUNCHING, now_ms, "local", "H100", ("GPU-1",), now_ms, factors
    )


def _settlement(number: int) -> Settlement:
    """An account as the daemon writes it; the sums are of the right size, and not of these cells."""
    ledger = _ledger(number)
    return Settlement(
        state=SettlementState.FINAL,
        settled_at=NOW,
        method_version="2",
        energy_uj=3_600_000_000_000,
        facility_uj=4_320_000_000_000,
        pue_micro=1_200_000,
        pue_source="assumed",
        components=tuple(
            Component(name, How.MEASURED, source, 1_200_000_000_000, 900_000_000_000, 1_000_000)
            for name, source in METERS.items()
        ),
        ledgers=(ledger, replace(ledger, signal="marginal", kind="marginal direct CO2, production")),
        waited_ms=3_600_000,
        held_back_ms=0,
        idle_gpu_ms=0,
        feasible_start=NOW,
        digests=((f"{number}.1", "sha256:" + "0" * 64),),
        notes=("components only: node overhead not measured",),
        profile=tuple(_cell(number, place) for place in range(36)),
    )


def _ledger(number: int) -> Ledger:
    saved_ug = (number % 90 - 20) * 1_000_000
    return Ledger(
        signal="average",
        source="file grid.csv",
        kind="average lifecycle CO2eq, production",
        emissions_ug=120_000_000,
        actual_ug=300_000_000,
        feasible_ug=300_000_000 + 3 * saved_ug,
        hypothetical_ug=300_000_000 + 3 * saved_ug,
        levers=Levers(3 * saved_ug, 3 * saved_ug, 0, 0, 0, 0, 0),
        exposures=tuple(
            Exposure(
                f"{name} measured: {source}", "local: assumed", f"file grid.csv zone {number % 7}",
                100_000_000, 100_000_000 + saved_ug, 100_000_000 + saved_ug,
            )
            for name, source in METERS.items()
        ),
        forecast_saved_ug=3 * saved_ug,
    )  # fmt: skip


def _cell(number: int, place: int) -> Cell:
    start_ms = time_ms(NOW) + place // 3 * QUARTER_MS
    component, end_ms = list(METERS)[place % 3], start_ms + QUARTER_MS
    return Cell(
        f"{number}.1", "local", component, How.MEASURED, Phase.RUNNING, start_ms, end_ms,
        25_000_000_000 + place, 8_000_000_000, True, place // 3 * QUARTER_MS,
    )  # fmt: skip


if __name__ == "__main__":
    main()
