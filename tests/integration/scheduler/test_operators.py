"""What operators decide: drains, shifting switched off, rules that change; nothing running is stranded."""

from datetime import timedelta

import pytest

from tests.integration.scheduler.office import NOW
from tests.integration.scheduler.precinct import THREE, precinct
from tidewatt.scheduler.daemon.callers import user_name
from tidewatt.scheduler.daemon.launching import NotFree
from tidewatt.scheduler.daemon.overview import Overview
from tidewatt.scheduler.daemon.replanning import queue
from tidewatt.scheduler.daemon.shifting import switch
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.operator_schema import (
    DrainRequest,
    ExplainRequest,
    ReloadRequest,
    ShiftingRequest,
)
from tidewatt.scheduler.plan import Why
from tidewatt.scheduler.request_schema import SubmitRequest, UpdateRequest

RULES = """
[[policy]]
name = "guests stay at home"
labels = ["guest"]
regions = ["south", "west"]
verdict = "forbid"
because = "the lines are paid for by the lab"
[[policy]]
name = "vision first in the south"
projects = ["vision"]
regions = ["south"]
verdict = "prefer"
because = "its data lie there"
[project.vision]
priority = 7
slack = "6h"
"""
LATER = NOW + timedelta(hours=6)
ME = user_name()


def test_without_any_decision_the_cleanest_region_is_taken() -> None:
    with precinct() as at:
        assert at.sent(finish_by=LATER).region == "west"


def test_drained_region_takes_no_new_starts_and_what_runs_there_goes_on() -> None:
    with precinct() as at:
        at.submit(finish_by=LATER)
        at.round()
        reply = at.drains.drain("west", DrainRequest(reason="new fans"))
        [told] = reply.running
        assert (told.job, told.evicted) == ("1", False)
        assert at.job(1).warnings == (
            f"west is drained by {ME}: new fans; it runs there already and goes on",
        )
        at.submit(finish_by=LATER)
        at.round()
        assert at.place(2) == "south"
        assert at.states() == "rr"
        at.shift(60)
        assert at.states() == "dd"


def test_eviction_pauses_what_can_save_its_work_and_says_why_the_rest_stays() -> None:
    with precinct() as at:
        at.submit(finish_by=LATER, regions=("west",))
        at.submit(finish_by=LATER, pausing={"checkpoint_s": 10, "restart_s": 10, "moves": True})
        at.round()
        assert (at.place(1), at.place(2)) == ("west", "west")
        stays, goes = at.drains.drain("west", DrainRequest(evict=True)).running
        assert (stays.job, stays.evicted, goes.job, goes.evicted) == ("1", False, "2", True)
        assert "was not submitted with --pausable" in stays.sentence
        for _ in range(3):
            at.shift(5)
        assert at.store.attempts([2])[2][-1].region == "south"
        assert at.job(1).state == "running"


def test_plan_into_a_region_that_is_drained_meanwhile_moves() -> None:
    with precinct() as at:
        at.submit(finish_by=LATER, start_by=None, after=())
        at.drains.drain("west", DrainRequest())
        at.round()
        assert at.place(1) == "south"


def test_job_whose_only_region_is_drained_loses_its_plan_and_gets_one_again_afterwards() -> None:
    with precinct() as at:
        at.submit(finish_by=LATER, regions=("west",))
        at.drains.drain("west", DrainRequest(reason="fans"))
        at.round()
        job = at.job(1)
        assert (job.state, job.plan) == ("waiting", None)
        assert "no region that the job may use has room" in job.at_risk
        at.drains.undrain("west")
        at.round()
        assert (at.job(1).at_risk, at.place(1), at.job(1).state) == ("", "west", "running")


def test_drain_survives_a_restart_and_ends_when_its_time_is_over() -> None:
    with precinct() as at:
        at.drains.drain("west", DrainRequest(until=NOW + timedelta(hours=1)))
        at.restart()
        assert at.sent(finish_by=NOW + timedelta(minutes=30)).region == "south"
        at.shift(3600)
        assert at.sent(finish_by=LATER).region == "west"


def test_undrained_region_is_used_again_and_both_are_told_with_who() -> None:
    with precinct() as at:
        at.drains.drain("west", DrainRequest(reason="fans"))
        assert at.drains.undrain("west") == []
        assert at.sent(finish_by=LATER).region == "west"
        told = [event for event in at.store.events() if event["kind"].startswith("operator.")]
        assert [event["kind"] for event in told] == ["operator.decided", "operator.revoked"]
        assert told[0]["payload"] == {"decision": "drain:west", "user": ME, "reason": "fans"}
        with pytest.raises(BadInput, match="west is not drained: nothing is"):
            at.drains.undrain("west")


def test_what_cannot_be_drained_is_refused() -> None:
    with precinct() as at:
        with pytest.raises(BadInput, match="no region or GPU east: there are home, south, west"):
            at.drains.drain("east", DrainRequest())
        with pytest.raises(BadInput, match="is over: give a later time"):
            at.drains.drain("west", DrainRequest(until=NOW))


def test_job_that_only_drained_regions_could_take_is_refused_with_the_reason() -> None:
    with precinct() as at:
        at.drains.drain("west", DrainRequest(reason="fans"))
        with pytest.raises(Refused, match=rf"no region .* \(west is drained by {ME}: fans\)"):
            at.submit(regions=("west",))


def test_nothing_is_launched_where_it_is_drained_whatever_was_planned() -> None:
    with precinct() as at:
        at.submit(finish_by=LATER)
        at.drains.drain("west", DrainRequest())
        found = queue(at.site, at.store, (), NOW)
        west = at.site.region("west")
        assert west is not None
        with pytest.raises(NotFree, match="west is drained"):
            at.launcher.launch(found.planned[0], west, "", found, "a plan that lies")


def test_drained_gpu_is_left_out_while_the_others_work() -> None:
    config = 'zone = "DE"\n[[region]]\nname = "local"\ngpus = 2\n'
    with precinct(config, ("T4", "T4")) as at:
        at.submit(gpus=1)
        at.round()
        assert at.store.attempts([1])[1][0].gpu_uuids == ("GPU-0",)
        at.drains.drain("GPU-0", DrainRequest())
        at.submit(gpus=1)
        at.submit(gpus=1)
        at.round()
        assert at.states() == "rrw"
        assert at.store.attempts([2])[2][0].gpu_uuids == ("GPU-1",)
        at.shift(60)
        assert at.store.attempts([3])[3][0].gpu_uuids == ("GPU-1",)
        [place] = at.places.now().regions
        assert [each.what for each in place.drained_gpus] == ["GPU-0"]


def test_shifting_switched_off_starts_everything_as_capacity_allows() -> None:
    with precinct() as at:
        at.submit(finish_by=LATER, regions=("home",))
        view = switch(at.service, ShiftingRequest(on=False, reason="an audit"))
        assert (view.on, view.user, view.reason) == (False, ME, "an audit")
        at.restart()
        at.submit(finish_by=LATER)
        at.round()
        plan = at.job(2).plan
        assert plan is not None
        assert (plan.why, plan.region) == (Why.UNSHIFTED, "home")
        assert at.states() == "rr"
        assert switch(at.service, ShiftingRequest(on=True)).on
        assert at.sent(finish_by=LATER).region == "west"


def test_switching_twice_keeps_who_did_it_first() -> None:
    with precinct() as at:
        first = switch(at.service, ShiftingRequest(on=False, reason="first"))
        at.wait(timedelta(hours=1))
        assert switch(at.service, ShiftingRequest(on=False, reason="second")) == first


def test_forbidden_region_is_not_used_and_the_rule_is_named() -> None:
    with precinct(THREE + RULES) as at:
        reply = at.submit(finish_by=LATER, labels={"guest": "yes"})
        assert at.place(1) == "home"
        assert any("west: forbidden by guests stay at home (" in note for note in reply.notes)
        with pytest.raises(Refused, match=r"west: forbidden by guests stay at home \(.*config.toml:18\)"):
            at.submit(regions=("west",), labels={"guest": "yes"})


def test_rules_hold_for_jobs_that_are_changed_and_released() -> None:
    with precinct(THREE + RULES) as at:
        at.submit(hold=True, finish_by=LATER, labels={"guest": "yes"})
        at.changes.release("1")
        assert at.place(1) == "home"
        at.submit(finish_by=LATER, start_by=None, labels={"guest": "yes"}, cpus=4)
        at.changes.update("2", UpdateRequest(finish_by=LATER + timedelta(hours=1)))
        assert at.place(2) == "home"


def test_preferred_region_comes_first_and_others_where_it_is_too_late() -> None:
    with precinct(THREE + RULES) as at:
        assert at.sent(finish_by=LATER, project="vision").region == "south"
        soon = NOW + timedelta(minutes=1, seconds=30)
        assert at.sent(finish_by=soon, project="vision", cpus=4).region == "south"  # the first one waits
        assert at.sent(finish_by=soon, project="vision", cpus=4).region == "west"


def test_defaults_of_a_project_fill_in_what_was_not_said_and_are_told() -> None:
    with precinct(THREE + RULES) as at:
        reply = at.submit(project="vision")
        job = at.job(1)
        assert (job.priority, job.late) == (7, True)
        assert job.finish_by_ms == (NOW + timedelta(minutes=1, hours=6)).timestamp() * 1000
        assert "priority 7: by default of project vision" in reply.notes[0]
        at.submit(project="vision", priority=1, finish_by=LATER)
        assert at.job(2).priority == 1
        assert at.job(2).finish_by_ms == LATER.timestamp() * 1000


def test_explanation_says_which_rule_decided_and_where_it_stands() -> None:
    with precinct(THREE + RULES) as at:
        at.submit(finish_by=LATER, labels={"guest": "yes"})
        found = {each.region: each for each in at.policies.of_job("1").verdicts}
        assert (found["home"].word, found["home"].rule) == ("allow", "")
        assert (found["west"].word, found["west"].rule) == ("forbid", "guests stay at home")
        assert found["west"].place == f"{at.file}:18"
        asked = at.policies.as_if(ExplainRequest(user="bob", project="vision", gpus=1))
        assert [each.word for each in asked.verdicts] == ["allow", "prefer", "allow"]
        assert all("can never hold" in each.lacks for each in asked.verdicts)


def test_rules_read_again_strand_nothing_that_runs() -> None:
    with precinct() as at:
        at.submit(finish_by=LATER, labels={"guest": "yes"})
        at.submit(finish_by=LATER, start_by=None, cpus=4, labels={"guest": "yes"})
        at.round()
        at.file.write_text(THREE + RULES)
        reply = at.policies.reload(ReloadRequest())
        assert set(reply.changed) == {"policies", "projects"}
        assert [each.job for each in reply.running] == ["1", "2"][: len(reply.running)]
        assert all(not each.evicted for each in reply.running)
        assert any("forbidden by guests stay at home" in said for said in at.job(1).warnings)
        at.shift(60)
        assert at.job(1).state == "done"
        assert at.sent(finish_by=LATER, labels={"guest": "yes"}).region == "home"


def test_wrong_file_changes_nothing() -> None:
    with precinct(THREE + RULES) as at:
        at.file.write_text(THREE + RULES.replace("forbid", "deny"))
        with pytest.raises(BadInput, match=r"config.toml:22: policy\[1\].verdict must be"):
            at.policies.reload(ReloadRequest())
        assert at.sent(finish_by=LATER, labels={"guest": "yes"}).region == "home"


def test_what_needs_a_restart_is_said() -> None:
    with precinct() as at:
        more = '[[region]]\nname = "east"\ncpus = 1\nzone = "DE"\n'
        at.file.write_text(THREE.replace("cpus = 4", "cpus = 8", 1) + more)
        reply = at.policies.reload(ReloadRequest())
        assert reply.later == ("home.cpus", "the new region east")
        assert [region.name for region in at.site.regions] == ["home", "south", "west"]


def test_closed_hours_are_kept_and_told() -> None:
    nights = 'open = "22:00-06:00"\ntime_zone = "Europe/London"\n'
    with precinct(THREE + nights) as at:  # of the west; it is nine in the morning
        assert at.sent(finish_by=LATER).region == "south"
        evening = at.sent(finish_by=NOW + timedelta(hours=15))
        assert (evening.region, evening.start) == ("west", NOW.replace(hour=22))
        west = at.places.now().regions[2]
        assert (west.open, west.sentence) == ("closed", "west is closed until 2026-03-10 22:00 UTC")
        at.round()
        assert at.store.attempts([2])[2] == []
        at.shift(13 * 3600)
        assert at.place(2) == "west"
        assert at.job(2).state == "running"


def test_job_longer_than_any_opening_is_refused() -> None:
    nights = 'open = "22:00-06:00"\ntime_zone = "Europe/London"\n'
    with precinct(THREE + nights) as at, pytest.raises(Refused, match="west is closed until"):
        at.submit(regions=("west",), duration_s=9 * 3600)


def test_regions_are_shown_with_their_grid_and_what_is_free() -> None:
    with precinct() as at:
        at.submit(finish_by=LATER)
        at.round()
        home, _, west = at.places.now().regions
        assert (home.home, home.gco2_per_kwh, home.health) == (True, 400, "answers")
        assert (west.cpus, west.cpus_free, west.running, west.open) == (4, 3, 1, "open")


def test_region_with_a_marginal_zone_alone_has_a_zone() -> None:
    config = 'signal = "both"\n[[region]]\nname = "a"\ncpus = 1\nzones = { marginal = "DE" }\n'
    with precinct(config) as at:
        [place] = at.places.now().regions
        assert place.zones == {"marginal": "DE"}
        assert place.intensity_source != "no zone is configured"
        status = Overview(at.service, _NoTroubles(), "").status()  # type: ignore[arg-type]
        assert status.regions[0].zone == "DE"


def test_rehearsal_shows_what_would_be_started_and_stores_nothing() -> None:
    with precinct(THREE + "host_limits = { nice = 5 }\n" + RULES) as at:
        before = len(at.store.events())
        request = {"argv": ("echo", "a b"), "cwd": str(at.folder), "env": {"TOKEN": "secret"}}
        reply = at.rehearsals.rehearse(
            SubmitRequest.model_validate(request | {"finish_by": LATER, "time_limit_s": 90, "duration_s": 60})
        )
        assert (reply.job, reply.region, reply.backend) == ("1", "west", "local")
        for line in ("echo 'a b'", "TOKEN", "limits:       nice 5", "time limit:   90 s", "-1-1"):
            assert line in reply.text
        assert "secret" not in reply.text
        assert str(at.paths.job(1) / "output.log") in reply.text
        assert ".new-" not in reply.text
        assert at.store.jobs() == []
        assert len(at.store.events()) == before
        assert list(at.paths.jobs.iterdir()) == []


class _NoTroubles:
    """A gatherer of live sources that has none."""

    def troubles(self) -> list[str]:
        return []
