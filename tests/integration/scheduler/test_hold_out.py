"""The hold-out in the daemon: announced, kept before the plan, never at the cost of a deadline."""

import random
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.scheduler.office import NOW, Office, office
from tidewatt.scheduler.accounting.holdout import Lot, draw
from tidewatt.scheduler.accounting.report import report
from tidewatt.scheduler.cli.job_text import job_lines, submitted_lines
from tidewatt.scheduler.daemon.reporting import ended_since, rows
from tidewatt.scheduler.errors import Refused

LATER = NOW + timedelta(hours=20)


def lots(at: Office) -> list[Lot | None]:
    return [Lot.of(job.frozen) for job in at.store.jobs()]


def arms(at: Office) -> Counter[str]:
    return Counter("none" if lot is None else str(lot.arm) for lot in lots(at))


def test_half_of_the_flexible_jobs_run_at_once_and_are_told_so(tmp_path: Path) -> None:
    with office(tmp_path, cpus=64, hold_out=0.5) as at:
        replies = [at.submit(finish_by=LATER, project="nlp") for _ in range(12)]
        assert arms(at) == {"held_out": 6, "shifted": 6}
        for reply in replies:
            held_out = reply.job.lot == "held out by lot: runs at once, for the comparison"
            assert reply.job.plan is not None
            assert (reply.job.plan.why == "held out") == held_out
            if held_out:
                assert reply.job.plan.start == NOW
            said = "\n".join([*submitted_lines(reply.model_dump(mode="json"), NOW)])
            shown = "\n".join(job_lines(at.service.view(reply.job.key).model_dump(mode="json"), NOW))
            assert f"  lot      {reply.job.lot}" in said
            assert f"  lot      {reply.job.lot}" in shown


def test_the_lot_is_an_event_before_the_plan_and_anybody_can_draw_it_again(tmp_path: Path) -> None:
    with office(tmp_path, cpus=64, hold_out=0.25) as at:
        for number in range(8):
            at.submit(finish_by=LATER, project=("nlp", "vision")[number % 2])
        [seed, *drawn] = [event["payload"] for event in at.store.events_of("holdout")]
        assert seed["share_ppm"] == 250_000
        assert [Lot.of({"lot": each}) for each in drawn] == lots(at)
        for each in drawn:
            again = draw(seed["seed"], seed["share_ppm"] / 1e6, each["stratum"], each["place"])
            assert again.record() == each
        for job in at.store.jobs():
            assert [event["kind"] for event in at.store.events(job.id)] == ["submitted", "holdout", "plan"]


def test_only_jobs_that_could_wait_take_part(tmp_path: Path) -> None:
    with office(tmp_path, cpus=64, hold_out=0.5) as at:
        at.submit()
        at.submit(finish_by=NOW + timedelta(seconds=90))
        at.submit(finish_by=LATER, hold=True)
        at.submit(finish_by=LATER, after=("1",))
        at.submit(start_by=LATER, duration_s=None)
        assert arms(at) == {"none": 5}
        assert at.store.events_of("holdout") == []


def test_without_the_setting_no_lot_is_drawn(tmp_path: Path) -> None:
    with office(tmp_path, cpus=64) as at:
        at.submit(finish_by=LATER)
        assert arms(at) == {"none": 1}


def test_a_restart_goes_on_in_the_same_block_and_another_share_begins_anew(tmp_path: Path) -> None:
    with office(tmp_path, cpus=64, hold_out=0.25) as at:
        for _ in range(3):
            at.submit(finish_by=LATER)
        at.store.close()
        at.open()
        at.submit(finish_by=LATER)
        assert [lot and lot.place for lot in lots(at)] == [0, 1, 2, 3]
        assert arms(at)["held_out"] == 1
        assert len([each for each in at.store.events_of("holdout") if "seed" in each["payload"]]) == 1
        at.store.close()
        object.__setattr__(at.site, "settings", at.site.settings.model_copy(update={"hold_out": 0.5}))
        at.open()
        at.submit(finish_by=LATER)
        assert [lot and lot.place for lot in lots(at)] == [0, 1, 2, 3, 0]


def test_a_job_that_is_refused_uses_up_no_place(tmp_path: Path) -> None:
    with office(tmp_path, cpus=1, hold_out=0.5) as at:
        at.submit(duration_s=3600.0, finish_by=NOW + timedelta(minutes=61))
        with pytest.raises(Refused):
            at.submit(duration_s=3600.0, finish_by=NOW + timedelta(minutes=80))
        at.submit(duration_s=60.0, finish_by=LATER)
        assert [lot and lot.place for lot in lots(at)] == [None, 0]


def test_each_task_of_an_array_has_a_lot_of_its_own(tmp_path: Path) -> None:
    with office(tmp_path, cpus=64, hold_out=0.5) as at:
        at.submit(finish_by=LATER, array=tuple(range(10)))
        assert arms(at) == {"held_out": 5, "shifted": 5}
        first = [job.plan for job in at.store.jobs() if (Lot.of(job.frozen) or _never()).arm == "held_out"]
        assert {plan and plan.window.start for plan in first} == {NOW}


def test_a_held_out_job_that_its_owner_holds_keeps_its_lot(tmp_path: Path) -> None:
    with office(tmp_path, cpus=64, hold_out=0.5) as at:
        for _ in range(2):
            at.submit(finish_by=LATER)
        number = next(job.id for job in at.store.jobs() if (Lot.of(job.frozen) or _never()).arm == "held_out")
        at.changes.hold(str(number))
        at.wait(timedelta(hours=1))
        at.changes.release(str(number))
        plan = at.job(number).plan
        assert plan is not None
        assert (str(plan.why), plan.window.start) == ("held out", NOW + timedelta(hours=1))


def _never() -> Lot:
    raise AssertionError("it has a lot")


def test_a_lot_never_costs_a_deadline(tmp_path: Path) -> None:
    """A crowded day: whatever was accepted, held out or shifted, is done in time."""
    rng = random.Random(7)
    with office(tmp_path, cpus=3, hold_out=0.5) as at:
        due: dict[int, datetime] = {}
        for _ in range(24):
            now = at.site.clock.now()
            finish = now + timedelta(minutes=rng.choice((3, 10, 30)))
            try:
                reply = at.submit(duration_s=60.0, finish_by=finish)
            except Refused:
                pass
            else:
                due[reply.job.id] = finish
            at.shift(rng.choice((5, 20, 30)))
        for _ in range(32):
            at.shift(60)
        ended = {job.id: job.ended_ms for job in at.store.jobs()}
        assert arms(at)["held_out"] >= 5
        assert all(ended[number] is not None for number in due)
        late = [number for number, by in due.items() if (ended[number] or 0) > by.timestamp() * 1000 + 61_000]
        assert late == []


def test_jobs_with_a_lot_and_no_account_are_told_in_the_report(tmp_path: Path) -> None:
    with office(tmp_path, cpus=64, hold_out=0.5) as at:
        for _ in range(4):
            at.submit(finish_by=NOW + timedelta(minutes=20))
        for _ in range(24):
            at.shift(60)
        made = ended_since(at.site, at.store, None, "", "")
        assert made.hold_out is not None
        assert (made.hold_out.share, made.hold_out.held_out, made.hold_out.shifted) == (0.5, 0, 0)
        assert "4 more without an account" in made.hold_out.note
        assert {row.arm for row in rows(at.store, None)} == {"held_out", "shifted"}
        assert report(rows(at.store, None), None).baseline == "feasible"


def test_projects_and_hours_have_blocks_of_their_own(tmp_path: Path) -> None:
    with office(tmp_path, cpus=200, hold_out=0.5) as at:
        for hour in range(3):
            for project in ("nlp", "vision"):
                for _ in range(4):
                    at.submit(finish_by=NOW + timedelta(hours=23), project=project)
            if hour < 2:
                at.wait(timedelta(hours=1))
        found = Counter((lot.stratum, str(lot.arm)) for lot in lots(at) if lot is not None)
        assert set(found.values()) == {2}
        assert len(found) == 12
