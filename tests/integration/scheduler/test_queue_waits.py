"""The daemon learns how long jobs wait in the queues of clusters, and plans with it."""

from pathlib import Path

from tests.integration.scheduler.outpost import Outpost, hours, outpost
from tidewatt.backends.backend import BackendError, Capacity
from tidewatt.backends.fake import Script
from tidewatt.backends.fake_engine import FakeQueue
from tidewatt.scheduler.daemon.region_views import Places

HOUR = 3600.0


class Recorded(FakeQueue):
    """A cluster that knows how long its jobs have waited."""

    def capacity(self, region: str) -> Capacity:
        """Two hours in `eu`."""
        if self.cluster.down is not None:
            raise self.cluster.down
        return Capacity({}, {}, 8, 8, waits_s=2 * HOUR if region == "eu" else None)


def seen(at: Outpost, count: int, wait_s: float) -> None:
    """So many short jobs have waited so long in `eu`."""
    at.cluster.scripts |= {f"{n}.1": Script(starts_after_s=wait_s, runs_s=5) for n in range(1, count + 1)}
    for _ in range(count):
        at.submit(duration_s=5.0, regions=("eu",))
    at.round()
    at.shift(int(wait_s) + 1)
    at.shift(60)


def test_waits_that_were_seen_make_later_jobs_start_earlier(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        seen(at, 5, 1800.0)
        number = at.submit(
            duration_s=HOUR, finish_by=at.site.clock.now() + hours(4), gpus=1, regions=("eu",)
        ).job.id
        at.round()
        plan = at.job(number).plan
        assert plan is not None
        wait_s = at.parking.waits.of("eu").total_seconds()
        assert 1800 <= wait_s < 1900
        assert (at.site.clock.now() + hours(4) - plan.window.end).total_seconds() >= wait_s - 61
        assert "in the queue of eu are reckoned with before its deadline" in plan.note
        place = next(each for each in Places(at.service).now().regions if each.name == "eu")
        assert place.queue_wait_s == wait_s
        assert place.queue_wait_source == "our last 5 jobs, 95th percentile"


def test_too_few_of_our_own_are_not_learnt_from(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        seen(at, 4, 1800.0)
        assert at.parking.waits.of("eu").total_seconds() == 0
        assert at.parking.waits.longest().total_seconds() == 0


def test_record_of_the_engine_counts_until_enough_of_our_own_were_seen(tmp_path: Path) -> None:
    with outpost(tmp_path, kind=Recorded) as at:
        assert at.parking.waits.of("eu").total_seconds() == 2 * HOUR
        assert at.parking.waits.of("us").total_seconds() == 0
        place = next(each for each in Places(at.service).now().regions if each.name == "eu")
        assert place.queue_wait_source == "its engine's own record, 95th percentile"
        seen(at, 5, 60.0)
        assert 60 <= at.parking.waits.of("eu").total_seconds() < 120


def test_engine_that_does_not_answer_leaves_what_is_known(tmp_path: Path) -> None:
    with outpost(tmp_path, kind=Recorded) as at:
        at.cluster.down = BackendError("no answer", transient=True)
        assert at.parking.waits.of("eu").total_seconds() == 0
        at.submit(duration_s=HOUR, finish_by=at.site.clock.now() + hours(8))
        at.round()
        assert at.job(1).plan is not None
