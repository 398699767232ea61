"""What proof costs: appending to the chain, and verifying a receipt and a report.

    .venv/bin/python benchmarks/proof_speed.py [--jobs 10000] [--seconds 86400]

The receipt is of a day on 8 GPUs, read every second; the report is over 10,000 jobs, each with an account by
two signals of three metered components, in one zone with hourly and five-minute intensity; as long as the
real ones in ../shared/data/jobs_ml_50k.parquet where that is there, else of a similar spread. Verifying is
timed as a command would do it, from the file on the disk; CPU time of one thread, the best of three. Exits
with 1 above 1 s for the receipt, 10 s for the report.
"""

import argparse
import random
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import structlog

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.integration.scheduler.office import NOW, Office, office  # noqa: E402 - found from the line above
from tidewatt.backends.clock import Clock, moment, time_ms  # noqa: E402
from tidewatt.backends.meters.journal import Header, Journal  # noqa: E402
from tidewatt.backends.meters.reading import Device, How, Reading, Span, Usage  # noqa: E402
from tidewatt.forecasting.chain import Chain  # noqa: E402
from tidewatt.forecasting.kind import Signal  # noqa: E402
from tidewatt.forecasting.recorded import FileProvider  # noqa: E402
from tidewatt.scheduler.accounting.frozen import Frozen  # noqa: E402
from tidewatt.scheduler.accounting.runs import promised_ug, runs_of  # noqa: E402
from tidewatt.scheduler.accounting.settlement import settle  # noqa: E402
from tidewatt.scheduler.daemon.bundles import Bundles  # noqa: E402
from tidewatt.scheduler.daemon.ledger import Ledger  # noqa: E402
from tidewatt.scheduler.daemon.patience import PatientChain  # noqa: E402
from tidewatt.scheduler.daemon.settling import Settler  # noqa: E402
from tidewatt.scheduler.jobs import AttemptState, JobState  # noqa: E402
from tidewatt.scheduler.proof.opening import Trust  # noqa: E402
from tidewatt.scheduler.proof.verify import verify  # noqa: E402
from tidewatt.scheduler.store import Store  # noqa: E402
from tidewatt.scheduler.store.records import AttemptRecord  # noqa: E402

RECEIPT_S, REPORT_S = 1.0, 10.0
LENGTHS = ROOT / ".." / "shared" / "data" / "jobs_ml_50k.parquet"
GPUS = tuple(f"GPU-{number}" for number in range(8))
START_MS = time_ms(NOW)
HOUR_MS = 3_600_000
DAYS = 400
LATER = NOW + timedelta(days=DAYS)  # when all of it is settled


def main() -> int:
    """Prints every measurement; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=86_400)
    asked = parser.parse_args()
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    with tempfile.TemporaryDirectory(prefix="tw-") as folder:
        appending(Path(folder))
        took_s = receipt(Path(folder) / "receipt", asked.seconds)
        report_s = report(Path(folder) / "report", asked.jobs)
    return int(took_s > RECEIPT_S or report_s > REPORT_S)


def appending(folder: Path) -> None:
    """Events a second, in one transaction and in one each."""
    store = Store(folder / "append.db")
    payload = {
        "region": "local",
        "pool": "",
        "start_ms": 1,
        "end_ms": 2,
        "why": "cleanest",
        "reason": "x" * 60,
    }
    for count, each in ((5000, 5000), (500, 1)):
        begin = time.perf_counter()
        for _ in range(count // each):
            with store.transaction() as transaction:
                for number in range(each):
                    transaction.append(number, "plan", payload, job_id=3)
        took = (time.perf_counter() - begin) / count
        print(f"append, {each} in a transaction: {took * 1e6:.0f} us an event")
    store.close()


def receipt(folder: Path, seconds: int) -> float:
    """The receipt of a day on 8 GPUs, and verifying it."""
    with site(folder, ("a100",) * 8) as at:
        readings(at.paths.readings, seconds)
        number = at.submit(gpus=8, duration_s=float(seconds)).job.id
        run(at, number, START_MS + 60_000, START_MS + 1000 * seconds, GPUS)
        at.wait(timedelta(seconds=seconds + 4 * 3600))
        settler = Settler(at.site, at.store)
        settler._read = lambda: None  # type: ignore[method-assign] # there is no meter to ask
        settler.look()
        begin = time.process_time()
        content = Bundles(at.service).job("1", {})
        print(
            f"bundle of a receipt, 8 GPUs, {seconds / 3600:g} h at 1 Hz: {time.process_time() - begin:.2f} s"
        )
        at.store.close()
    return verified(folder, content, "receipt")


def report(folder: Path, jobs: int) -> float:
    """A report over many jobs, and verifying it."""
    with site(folder, ("a100",) * 8) as at:
        fill(at, jobs)
        at.wait(timedelta(days=DAYS))
        begin = time.process_time()
        content = Bundles(at.service).report(None, "project", "feasible")
        print(f"bundle of a report, {jobs:,} jobs: {time.process_time() - begin:.2f} s")
        at.store.close()
    return verified(folder, content, f"report, {jobs:,} jobs")


def verified(folder: Path, content: bytes, what: str) -> float:
    """Verifies a bundle and tells what that took; its findings must all hold."""
    path = folder / "bundle.zip"
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    outcome = verify(path, Trust())
    for finding in outcome.findings:
        print(f"  {finding.verdict}: {finding.subject}: {finding.found}")
    took = best(lambda: verify(path, Trust()))
    print(f"verify {what}: {took:.2f} s; {len(content) / 1e6:.1f} MB, unpacked {unpacked / 1e6:.1f} MB")
    return took if outcome.sound else float("inf")


def best(work: Callable[[], object]) -> float:
    """CPU seconds, the best of three."""
    times = []
    for _ in range(3):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


@contextmanager
def site(folder: Path, gpus: tuple[str, ...]) -> Iterator[Office]:
    """A daemon without threads, in a zone with two recorded signals, that keeps a ledger."""
    folder.mkdir(parents=True)
    (folder / "grid.csv").write_text(grid(), encoding="utf-8")
    with office(folder, *gpus) as at:
        region = replace(at.site.regions[0], zones={"average": "DE", "marginal": "DE"}, pue=1.2)
        chain = PatientChain(Chain((FileProvider(folder / "grid.csv"),)))
        at.site = replace(at.site, chain=chain, stated_regions=(region,))
        at.open()
        at.service.ledger = Ledger(at.site, at.store)
        at.service.ledger.begin()
        yield at


def grid() -> str:
    """Hourly average and five-minute marginal intensity."""
    chance = random.Random(1)
    lines = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    for kind, step_s in (("average,lifecycle,production", 3600), ("marginal,direct,production", 300)):
        for at_ms in range(START_MS - HOUR_MS, START_MS + DAYS * 24 * HOUR_MS, step_s * 1000):
            value = chance.randrange(50_000, 800_000) / 1000
            lines.append(f"DE,{moment(at_ms):%Y-%m-%dT%H:%MZ},{step_s},{value},{kind}")
    return "\n".join(lines) + "\n"


def readings(folder: Path, seconds: int) -> None:
    """Readings every second of 8 GPUs, 2 packages and their memory, with the draw of a training job."""
    chance = np.random.default_rng(1)
    keys = [f"gpu:{gpu}" for gpu in GPUS]
    hosts = ["rapl:package-0", "rapl:package-1", "rapl:package-0/dram", "rapl:package-1/dram"]
    devices = [Device(key, "gpu", How.MEASURED, "NVML energy counter", limit_w=700) for key in keys]
    devices += [
        Device(key, "dram" if key.endswith("dram") else "cpu", How.MEASURED, "RAPL", 262_143_328_850, 300)
        for key in hosts
    ]
    header = Header("0123abcd-0000", 64, 1000, Clock(), tuple(devices))
    journal = Journal(folder)
    energy_uj = {key: int(chance.integers(10**12)) for key in keys} | dict.fromkeys(hosts, 10**6)
    watts = chance.normal(450, 60, (seconds + 60, len(keys)))
    for second in range(-30, seconds + 30):
        running = 60 <= second <= seconds
        power_mw = {}
        for place, key in enumerate(keys):
            power_mw[key] = max(60_000, int(watts[second + 30, place] * 1000)) if running else 62_000
            energy_uj[key] += power_mw[key] * 1000
        for key in hosts:
            energy_uj[key] = (energy_uj[key] + (45_000_000 if running else 20_000_000)) % 262_143_328_850
        cause = {60: "start 1.1", seconds: "end 1.1"}.get(second, "tick")
        cpu_ms = {
            "host": (second + 30) * 9000,
            **({"1.1": max(0, second - 60) * 8000} if second >= 60 else {}),
        }
        at_ms = START_MS + second * 1000
        reading = Reading(
            at_ms, 10**6 + second * 1000, header.boot_id, cause, dict(energy_uj), power_mw, cpu_ms
        )
        journal.append(reading, header, durable=False)
    journal.close()


def run(at: Office, number: int, start_ms: int, end_ms: int, gpus: Sequence[str]) -> None:
    """Appends what the daemon appends for a job that runs and ends."""
    region = at.site.regions[0]
    factors = {
        "zones": dict(region.zones),
        "pue_micro": 1_200_000,
        "pue_source": "assumed",
        "gpu_model": "a100",
    }
    attempt = AttemptRecord(
        f"{number}.1",
        number,
        AttemptState.LAUNCHING,
        start_ms,
        "local",
        "a100",
        tuple(gpus),
        start_ms,
        factors,
    )
    with at.store.transaction() as on:
        on.add_attempt(attempt)
        on.move_job(number, JobState.RUNNING, "as planned", start_ms)
        on.move_attempt(attempt, AttemptState.RUNNING, "", start_ms, started_ms=start_ms)
        on.move_attempt(attempt, AttemptState.ENDED, "", end_ms, ended_ms=end_ms, exit_code=0, signal=None)
        on.move_job(number, JobState.DONE, "", end_ms, ended_ms=end_ms, keeps_env=False)


def fill(at: Office, jobs: int) -> None:
    """Ended and settled jobs over a year; energy is even over each quarter of an hour."""
    chance = random.Random(2)
    lengths_ms = lengths(jobs)
    first = at.submit(gpus=1, duration_s=60.0, project="project 0").job.id
    told = next(each for each in at.store.events(first) if each["kind"] == "submitted")["payload"]
    record = at.job(first)
    for place, length_ms in enumerate(lengths_ms):
        submitted_ms = START_MS + int(place / jobs * 350 * 24) * HOUR_MS + chance.randrange(HOUR_MS)
        frozen = record.frozen | {"submitted_ms": submitted_ms}
        with at.store.transaction() as on:
            project = f"project {place % 40}"
            number = on.add_job(replace(record, project=project, submitted_ms=submitted_ms, frozen=frozen))
            payload = told | {"frozen": frozen, "project": project}
            on.append(submitted_ms, "submitted", payload, job_id=number)
        start_ms = submitted_ms + chance.randrange(12 * HOUR_MS)
        run(at, number, start_ms, start_ms + length_ms, GPUS[:1])
        _settle(at, number, submitted_ms, frozen)


def _settle(at: Office, number: int, submitted_ms: int, frozen: dict[str, object]) -> None:
    events = at.store.events(number)
    settlement = settle(
        Frozen.restored(frozen),
        runs_of(events, used),
        moment(submitted_ms),
        lambda zone, signal, start, end: at.site.chain.observations(zone, Signal(signal), start, end, LATER),
        LATER,
        timedelta(days=1),
        forecast_saved_ug=promised_ug(events),
    )
    with at.store.transaction() as on:
        on.set_settlement(number, settlement.state, settlement.record(), time_ms(LATER))


def used(attempt_id: str, gpu_uuids: Sequence[str], start_ms: int, end_ms: int) -> Usage:
    """An attempt's energy in spans of a minute, as the daemon's meter would tell it of three components."""
    edges = [*range(start_ms, end_ms, 60_000), end_ms]
    watts = {"gpu": (300, 60), "cpu": (40, 15), "dram": (8, 3)}
    spans = tuple(
        Span(
            first,
            last,
            name,
            How.MEASURED,
            (active + first // 60_000 % 17) * (last - first) * 1000,
            idle * (last - first) * 1000,
        )
        for name, (active, idle) in watts.items()
        for first, last in pairwise(edges)
    )
    sources = {"gpu": "NVML energy counter", "cpu": "RAPL", "dram": "RAPL"}
    return Usage(attempt_id, start_ms, end_ms, spans, dict.fromkeys(watts, 1.0), sources, "0" * 64)


def lengths(jobs: int) -> list[int]:
    """Milliseconds that jobs last: real ones where they are at hand, at most three days."""
    if LENGTHS.exists():
        import pandas as pd

        hours = pd.read_parquet(LENGTHS)["duration_h"].to_numpy()[:jobs]
        print(f"lengths of real jobs: {hours.mean():.1f} h in the mean, median {np.median(hours):.1f} h")
    else:
        hours = np.random.default_rng(3).lognormal(0.5, 1.3, jobs)
    return [int(hour * HOUR_MS) for hour in np.clip(hours, 1 / 60, 72)]


if __name__ == "__main__":
    raise SystemExit(main())
