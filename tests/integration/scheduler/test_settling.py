"""Jobs that pause, move, fail and are lost, from their events and readings to their receipts.

The real store, watcher and settler; attempts and readings are the fake backend's. All numbers that are
expected are worked out by hand from the scripts: watts, seconds and grams per kWh.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from tests.integration.scheduler.office import NOW, Office, office
from tidewatt.backends.backend import Phase
from tidewatt.backends.clock import time_ms
from tidewatt.backends.fake import FakeMeter, Leg, Script, Told
from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.recorded import FileProvider
from tidewatt.scheduler.accounting.receipt import Ledger, Settlement
from tidewatt.scheduler.daemon.patience import PatientChain
from tidewatt.scheduler.daemon.replanning import queue
from tidewatt.scheduler.daemon.settling import Settler
from tidewatt.scheduler.region import Pool, Region
from tidewatt.scheduler.schemas import LedgerView, SettlementView

IDLE_W = 50.0
HOUR_S = 3600
G_PER_WH = {"DE": (500, 400, 200, 100, 100, 300), "SE": (50, 40, 40, 20, 20, 20)}  # g/kWh, from 08:00
NORTH = Region("north", "local", {"average": "SE"}, (Pool("a100", 1),), 8, gpu_uuids=("GPU-0",), pue=1.5)


@pytest.fixture(autouse=True)
def quiet() -> None:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())


def metered(at: Office) -> Office:
    """GPU 0 draws 50 W while it does nothing; the package draws nothing, so that GPUs are all there is."""
    start_ms = time_ms(NOW)
    at.backend.meter = FakeMeter(at.paths.readings, {"GPU-0": IDLE_W}, start_ms, cpu_idle_w=0, core_w=0)
    at.backend.meter.write(start_ms, ())
    at.wait(timedelta(seconds=600))  # a stretch in which the GPU is seen idle
    at.backend.meter.write(start_ms + 600_000, ())
    return at


def settled(at: Office) -> Settlement:
    """The job's account, once the grid's observations are there."""
    grid = at.folder / "grid.csv"
    lines = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    for zone, values in G_PER_WH.items():
        for hour, value in enumerate(values):
            start = (NOW - timedelta(hours=1) + timedelta(hours=hour)).isoformat()
            lines.append(f"{zone},{start},3600,{value},average,lifecycle,production")
    grid.write_text("\n".join(lines) + "\n")
    at.wait(timedelta(hours=8))
    site = replace(at.site, chain=PatientChain(Chain([FileProvider(grid)])))
    Settler(site, at.store).look()
    return receipt(at, 1)


def receipt(at: Office, number: int) -> Settlement:
    record = at.job(number).settlement
    assert record is not None
    return Settlement.restored(record)


def passed(at: Office, seconds: float) -> None:
    """Time passes, and the daemon watches; nothing is planned or launched."""
    at.wait(timedelta(seconds=seconds))
    at.watcher.look()


def launch(at: Office, region: Region, number: int = 1) -> None:
    """The job's next attempt starts in that region now."""
    found = queue(at.site, at.store, (), at.site.clock.now())
    at.launcher.launch(at.job(number), region, region.pools[0].name, found, "for the test")
    at.watcher.look()


def grams(watt_hours: float, g_per_kwh: float, pue: float = 1.0) -> float:
    return watt_hours / 1000 * g_per_kwh * pue


def ledger(settlement: Settlement) -> Ledger:
    (found,) = settlement.ledgers
    return found


def near(micrograms: int | None, expected_g: float) -> None:
    """Equal to a thousandth of a milligram per reading, which is what whole microjoules can lose."""
    assert micrograms is not None
    assert micrograms / 1e6 == pytest.approx(expected_g, abs=1e-5)


def phases(settlement: Settlement) -> dict[tuple[str, str, bool], tuple[float, float | None]]:
    return {
        (str(use.phase), use.label, use.lost): (
            use.ms / 1000,
            None if use.energy_uj is None else use.energy_uj / 1e6,
        )
        for use in settlement.phases
    }


RUN_300_W = Leg(Phase.RUNNING, HOUR_S, gpu_w=300)


def test_pause_by_checkpoint_and_a_move_to_another_region(tmp_path: Path) -> None:
    """An hour at home at 09:10, a checkpoint of 60 s, half an hour of waiting, an hour in the north."""
    pausing = Leg(Phase.PAUSING, 60, gpu_w=150)
    told = Told(checkpoints=((HOUR_S + 60.0, 400),), counts={"steps": 410}, kept={"steps": 400})
    with office(tmp_path, "a100", link={"kwh_per_gb": 0.01, "low": 0.005, "high": 0.02}) as at:
        metered(at)
        at.backend.scripts["1.1"] = Script(course=(RUN_300_W, pausing), told=told)
        at.backend.scripts["1.2"] = Script(
            runs_s=HOUR_S, course=(RUN_300_W,), told=Told(resumed_step=400, counts={"steps": 200})
        )
        at.submit(gpus=1, duration_s=7200.0, data_gb=2.0)
        launch(at, at.site.regions[0])
        passed(at, HOUR_S + 60)
        passed(at, 1800)
        launch(at, NORTH)
        passed(at, HOUR_S)
        assert at.states() == "d"
        settlement = settled(at)

    active_w = 300 - IDLE_W
    at_home = grams(active_w * 50 / 60, 400) + grams(active_w * 10 / 60, 200)  # 09:10 to 10:10
    checkpoint = grams((150 - IDLE_W) / 60, 200)
    north = [grams(active_w * 19 / 60, 40, 1.5), grams(active_w * 41 / 60, 20, 1.5)]  # 10:41 to 11:41
    moved = 2.0 * 0.01 * (200 + 40) / 2  # kWh x the mean of DE and SE at 10:41
    account = ledger(settlement)
    near(account.actual_ug, at_home + checkpoint + sum(north) + moved)
    turn = grams(active_w * 50 / 60, 400) + grams(active_w, 200) + grams(active_w * 10 / 60, 100)
    near(account.hypothetical_ug, turn)
    levers = account.levers
    assert levers is not None
    there_at_home = grams(active_w * 19 / 60, 200) + grams(active_w * 41 / 60, 100)
    near(levers.time_hypothetical_ug, turn - at_home - there_at_home)
    near(levers.region_ug, there_at_home - sum(north))
    near(levers.pauses_ug, -checkpoint)
    near(levers.transfer_ug, -moved)
    assert levers.lost_work_ug == levers.efficiency_ug == 0
    assert (levers.time_hypothetical_ug or 0) + levers.beyond_time_ug == account.saved_hypothetical_ug
    assert settlement.counts == {"steps": 600}
    assert phases(settlement) == {
        ("waiting", "", False): (1800, None),
        ("running", "", False): (7200, 2 * 300 * 3600),
        ("pausing", "", False): (60, 150 * 60),
    }
    (transfer,) = [each for each in account.exposures if each.meter.startswith("transfer")]
    meters = {each.meter for each in account.exposures if each is not transfer}
    assert "gpu measured: NVML energy counter, a100" in meters
    assert (transfer.low_permille, transfer.high_permille, transfer.pue) == (500, 2000, "none")


def test_pause_by_stop_that_cost_more_than_it_saved(tmp_path: Path) -> None:
    """Suspended over an hour no cleaner than the next ones: the draw of waiting is for nothing."""
    course = (
        Leg(Phase.RUNNING, 3000, gpu_w=300),  # 09:10 to 10:00
        Leg(Phase.SUSPENDED, HOUR_S, gpu_w=80),
        Leg(Phase.RESUMING, 60, gpu_w=90),
        Leg(Phase.RUNNING, 1800, gpu_w=300),  # 11:01 to 11:31
    )
    with office(tmp_path, "a100") as at:
        metered(at)
        at.backend.script = Script(course=course)
        at.submit(gpus=1, duration_s=4800.0)
        launch(at, at.site.regions[0])
        passed(at, sum(leg.lasts_s for leg in course))
        settlement = settled(at)
    account, levers = ledger(settlement), ledger(settlement).levers
    assert levers is not None
    turn = grams(250 * 3000 / 3600, 400) + grams(250 / 2, 200)
    spent = grams(250 * 3000 / 3600, 400) + grams(30, 200) + grams(40 / 60, 100) + grams(250 / 2, 100)
    near(account.feasible_ug, turn)
    near(account.actual_ug, spent)
    near(levers.time_feasible_ug, grams(250 / 2, 200 - 100))
    near(levers.pauses_ug, -(grams(30, 200) + grams(40 / 60, 100)))
    assert phases(settlement) == {
        ("running", "", False): (4800, 300 * 4800),
        ("suspended", "", False): (3600, 80 * 3600),
        ("resuming", "", False): (60, 90 * 60),
    }


def test_turn_of_the_next_job_comes_when_the_work_before_it_would_have_been_done(tmp_path: Path) -> None:
    """A pause of another's making holds up nobody in the replay: at once the work takes 40 minutes."""
    course = (
        Leg(Phase.RUNNING, 1200, gpu_w=300),
        Leg(Phase.SUSPENDED, HOUR_S, gpu_w=80),
        Leg(Phase.RESUMING, 60, gpu_w=90),
        Leg(Phase.RUNNING, 1200, gpu_w=300),
    )
    with office(tmp_path, "a100") as at:
        metered(at)
        at.backend.scripts["1.1"] = Script(course=course)
        at.submit(gpus=1, duration_s=2400.0)
        at.submit(gpus=1, duration_s=2400.0)
        submitted = at.site.clock.now()
        launch(at, at.site.regions[0])
        passed(at, sum(leg.lasts_s for leg in course))
        settler = Settler(at.site, at.store)
        before, (_, waiting) = settler.case(at.job(2)), settler.case(at.job(2)).queue
        settled(at)
        after = settler.case(at.job(2))
    assert before.feasible_start == submitted + timedelta(seconds=2400 + HOUR_S + 60)
    assert after.feasible_start == submitted + timedelta(seconds=2400)
    assert (waiting.job_id, waiting.ended) == (2, False)
    assert after.predecessors_ended


def test_of_a_failed_attempt_counts_what_the_next_one_kept(tmp_path: Path) -> None:
    """Fails after an hour; the retry goes on from the checkpoint of minute 40."""
    told = Told(
        labels=((0.0, "warm-up"), (600.0, "train")),
        checkpoints=((1200.0, 10), (2400.0, 20)),
        counts={"steps": 30},
        kept={"steps": 20},
    )
    with office(tmp_path, "a100") as at:
        metered(at)
        at.backend.scripts["1.1"] = Script(course=(RUN_300_W,), exit_code=1, told=told)
        at.backend.scripts["1.2"] = Script(
            course=(Leg(Phase.RUNNING, 1200, gpu_w=300),), told=Told(resumed_step=20, counts={"steps": 10})
        )
        at.submit(gpus=1, duration_s=4800.0, retries=1)
        launch(at, at.site.regions[0])  # 09:10
        passed(at, HOUR_S)
        passed(at, 1800)
        launch(at, at.site.regions[0])  # 10:40
        passed(at, 1200)
        settlement = settled(at)
    account, levers = ledger(settlement), ledger(settlement).levers
    assert levers is not None
    near(levers.lost_work_ug, -(grams(250 * 600 / 3600, 400) + grams(250 * 600 / 3600, 200)))
    near(account.hypothetical_ug, grams(250 * 3000 / 3600, 400) + grams(250 * 600 / 3600, 200))
    assert settlement.counts == {"steps": 30}
    assert phases(settlement) == {
        ("waiting", "", False): (1800, None),
        ("running", "warm-up", False): (600, 300 * 600),
        ("running", "train", False): (1800, 300 * 1800),
        ("running", "", False): (1200, 300 * 1200),
        ("running", "train", True): (1200, 300 * 1200),
    }


def test_attempt_that_was_lost_is_only_on_the_actual_side(tmp_path: Path) -> None:
    with office(tmp_path, "a100") as at:
        metered(at)
        at.backend.scripts["1.1"] = Script(course=(RUN_300_W,), exit_code=None)
        at.backend.scripts["1.2"] = Script(course=(RUN_300_W,))
        at.submit(gpus=1, duration_s=3600.0, retries=1)
        launch(at, at.site.regions[0])
        passed(at, HOUR_S)
        passed(at, 3000)
        launch(at, at.site.regions[0])  # 11:00
        passed(at, HOUR_S)
        settlement = settled(at)
    account, levers = ledger(settlement), ledger(settlement).levers
    assert levers is not None
    once = grams(250 * 3000 / 3600, 400) + grams(250 * 600 / 3600, 200)
    near(account.hypothetical_ug, once)
    near(account.actual_ug, once + grams(250, 100))
    near(levers.lost_work_ug, -once)
    near(account.saved_hypothetical_ug, -grams(250, 100))


def test_receipt_as_clients_see_it_says_how_it_was_got(tmp_path: Path) -> None:
    with office(tmp_path, "a100") as at:
        metered(at)
        at.backend.script = Script(course=(RUN_300_W,), told=Told(counts={"tokens": 10**6}))
        at.submit(gpus=1, duration_s=3600.0)
        launch(at, at.site.regions[0])
        passed(at, HOUR_S)
        view: SettlementView = settled(at).view()
    (account,) = view.ledgers
    assert isinstance(account, LedgerView)
    assert view.method_version == "2"
    assert view.boundary == "components only: node overhead not measured"
    assert view.counts == {"tokens": 10**6}
    assert account.interval is not None
    assert account.interval.draws >= 1000
    assert account.grade == view.grade == "inconclusive", "it started in its turn: nothing was saved"
    assert account.levers is not None
    assert account.levers.time_feasible_g == 0


def two_kinds(at: Office) -> tuple[Region, Region]:
    """Home has the a100 alone, the north the h100, which is stated to be 4 x as fast at twice the power."""
    home = replace(at.site.regions[0], pools=(Pool("a100", 1),), gpu_uuids=("GPU-0",))
    north = replace(NORTH, pools=(Pool("h100", 1, speed=4.0, power=2.0),), gpu_uuids=("GPU-1",), pue=1.0)
    at.site = replace(at.site, stated_regions=(home, north))
    at.open()
    start_ms = time_ms(NOW)
    idle_w = {"GPU-0": IDLE_W, "GPU-1": IDLE_W}
    at.backend.meter = FakeMeter(at.paths.readings, idle_w, start_ms, cpu_idle_w=0, core_w=0)
    at.backend.meter.write(start_ms, ())
    at.wait(timedelta(seconds=600))
    return home, north


def trained(at: Office, region: Region, seconds: int, name: str = "bert") -> int:
    """A job of that name has run there, 250 W above idle."""
    leg = Leg(Phase.RUNNING, seconds, gpu_w=300)
    number = at.submit(gpus=1, duration_s=float(seconds), name=name).job.id
    at.backend.scripts[f"{number}.1"] = Script(course=(leg,))
    launch(at, region, number)
    passed(at, seconds)
    assert at.job(number).state == "done"
    return number


def test_measured_pair_of_hardware_is_found_among_earlier_jobs(tmp_path: Path) -> None:
    with office(tmp_path, "a100", "h100") as at:
        home, north = two_kinds(at)
        for region, seconds in ((home, 1200), (north, 300)):
            for _ in range(3):
                trained(at, region, seconds)
        settled(at)
        number = trained(at, north, 300)
        settled(at)
        account = receipt(at, number)
    assert account.efficiency[f"{number}.1"].measured
    assert account.efficiency[f"{number}.1"].ratio_ppm == pytest.approx(4_000_000, rel=1e-3)
    assert "hardware: median energy per job: 3 on a100, 3 on h100" in account.notes


def test_without_a_pair_stated_speed_is_efficiency_unverified(tmp_path: Path) -> None:
    with office(tmp_path, "a100", "h100") as at:
        _, north = two_kinds(at)
        trained(at, north, 1800)  # 09:10 to 09:40, at 40 g/kWh, where home has 400
        account = settled(at)
    levers = ledger(account).levers
    assert levers is not None
    assert levers.efficiency_ug == 0
    near(levers.region_ug, grams(125, 400 - 40))
    near(levers.unverified_efficiency_ug, grams(125, 40))  # (1 / 1) / (2 / 4) - 1 = once more
    assert (
        "hardware: stated speed and power of h100 against a100: not measured, in no saving" in account.notes
    )
