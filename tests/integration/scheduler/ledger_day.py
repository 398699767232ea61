"""A day of jobs on two GPUs, by lot of a seed: run, paused, failed and tried again, settled, and bundled."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from tests.integration.scheduler.office import NOW, Office, office
from tidewatt.backends.backend import Phase
from tidewatt.backends.clock import time_ms
from tidewatt.backends.fake import FakeMeter, Leg, Script, Told
from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.recorded import FileProvider
from tidewatt.scheduler.daemon.bundles import Bundles
from tidewatt.scheduler.daemon.ledger import Ledger
from tidewatt.scheduler.daemon.patience import PatientChain
from tidewatt.scheduler.daemon.settling import Settler
from tidewatt.scheduler.proof.keys import VerifyingKey, verifying_key

KINDS = ("average,lifecycle,production", "marginal,direct,production")


@dataclass(frozen=True, slots=True)
class Day:
    """The bundles of a day by name, and the key that signed them."""

    bundles: dict[str, bytes]
    key: VerifyingKey


def day(folder: Path, seed: int, jobs: int = 4, reports: int = 2, source: str = "") -> Day:
    """Bundles of every job of a day, and of some reports over them; `source` is where the grid is from."""
    chance = random.Random(seed)
    with worked(folder, chance, jobs, source) as at:
        made = Bundles(at.service)
        bundles = {f"job {job.id}": made.job(str(job.id), {}) for job in at.store.jobs()}
        ways = [("none", "feasible"), ("job", "hypothetical"), ("project", "feasible"), ("user", "feasible")]
        for by, baseline in ways[:reports]:
            bundles[f"report by {by}"] = made.report(None, by, baseline)
        return Day(bundles, verifying_key(at.paths.keys / "ledger.pub.pem"))


@contextmanager
def worked(
    folder: Path, chance: random.Random, jobs: int, source: str = "", hold_out: float = 0.0
) -> Iterator[Office]:
    """A daemon without threads at the end of its day: all jobs have ended and are settled."""
    flexible = {"finish_by": NOW + timedelta(hours=14)} if hold_out else {}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "grid.csv").write_text(grid(chance), encoding="utf-8")
    with office(folder, "a100", "a100", hold_out=hold_out) as at:
        region = replace(
            at.site.regions[0],
            zones={"average": "DE", "marginal": "DE"},
            pue=1 + chance.randrange(1, 60) / 100,
            pue_source="measured 2025",
        )
        provider = FileProvider(folder / "grid.csv")
        provider.name = source or provider.name
        at.site = replace(at.site, chain=PatientChain(Chain((provider,))), stated_regions=(region,))
        at.open()
        at.service.ledger = Ledger(at.site, at.store)
        at.service.ledger.begin()
        at.backend.meter = FakeMeter(at.paths.readings, {"GPU-0": 50.0, "GPU-1": 40.0}, time_ms(NOW))
        for number in range(1, jobs + 1):
            at.backend.scripts |= {
                f"{number}.1": script(chance, fails=chance.random() < 0.3),
                f"{number}.2": script(chance, fails=False),
            }
            at.submit(
                gpus=chance.randrange(3),
                duration_s=1500.0,
                retries=1,
                project=chance.choice(["", "nlp", "vision"]),
                name=f"run-{number} ü",
                **flexible,
            )
            at.service.ledger.turn()
            at.shift(chance.randrange(600))
        for _ in range(400):
            at.shift(150)
            if set(at.states()) <= set("dfc"):
                break
        settle(at)
        yield at
        at.store.close()


def settle(at: Office) -> None:
    """Settles what can be settled four hours later."""
    at.wait(timedelta(hours=4))
    settler = Settler(at.site, at.store)
    settler._read = lambda: None  # type: ignore[method-assign] # there is no meter to ask
    settler.look()
    assert at.service.ledger is not None
    at.service.ledger.turn()


def script(chance: random.Random, *, fails: bool) -> Script:
    """What an attempt does: it runs, and maybe is suspended for a while."""
    course = [
        Leg(Phase.RUNNING, chance.randrange(300, 4000), chance.randrange(60, 400), chance.randrange(1, 4))
    ]
    if chance.random() < 0.4 and not fails:
        course += [
            Leg(Phase.PAUSING, 20, 120, 1),
            Leg(Phase.SUSPENDED, chance.randrange(60, 900), 80),
            Leg(Phase.RESUMING, 30, 90, 1),
            Leg(Phase.RUNNING, chance.randrange(60, 900), 300, 2),
        ]
    told = Told(counts={"steps": chance.randrange(1, 10**6)})
    return Script(course=tuple(course), exit_code=int(fails), told=told)


def grid(chance: random.Random) -> str:
    """Three days of hourly intensity, average and marginal, as a file of a recorded grid."""
    lines = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    begin = NOW.replace(hour=0)
    for kind in KINDS:
        for hour in range(72):
            at = begin + timedelta(hours=hour)
            value = chance.randrange(20_000, 900_000) / 1000
            lines.append(f"DE,{at:%Y-%m-%dT%H:%MZ},3600,{value},{kind}")
    return "\n".join(lines) + "\n"
