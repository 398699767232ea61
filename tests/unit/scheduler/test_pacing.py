"""When the queue is planned: at once where it is cheap, and never all the time where it is dear."""

from tidewatt.scheduler.daemon.pacing import LONGEST_S, QUIET_S, RESTS, Pace


class Watch:
    """A clock that is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def planned(took_s: float) -> tuple[Pace, Watch]:
    """A pace after a planning that took so long."""
    watch = Watch()
    pace = Pace(watch)
    with pace:
        watch.now += took_s
    return pace, watch


def test_cheap_planning_follows_every_cause_at_once() -> None:
    pace, _ = planned(0.1)
    assert not pace.due(urgent=False, stale=False)
    pace.put_off("job 1 was submitted")
    assert pace.due(urgent=False, stale=False)
    assert pace.taken() == ["job 1 was submitted"]
    assert not pace.due(urgent=False, stale=False)
    assert pace.due(urgent=True, stale=False)


def test_dear_planning_rests_even_where_it_is_urgent() -> None:
    pace, watch = planned(2.0)
    assert not pace.due(urgent=True, stale=True)
    watch.now += 2.0 * RESTS
    assert pace.due(urgent=True, stale=False)


def test_while_jobs_pour_in_dear_planning_waits_but_not_for_ever() -> None:
    pace, watch = planned(1.0)
    watch.now += RESTS
    waited = 0.0
    while not pace.due(urgent=False, stale=True) or not waited:
        pace.put_off("a job was submitted")
        watch.now += QUIET_S / 2
        waited += QUIET_S / 2
    assert LONGEST_S <= waited <= LONGEST_S + QUIET_S
    assert len(pace.taken()) == 6  # five are named, the others counted
    pace.put_off("the last one")
    assert not pace.due(urgent=False, stale=False)
    watch.now += QUIET_S
    assert pace.due(urgent=False, stale=False)


def test_newcomers_may_spoil_planning_three_times() -> None:
    pace, _ = planned(1.0)
    for _ in range(3):
        assert not pace.hurried
        pace.spoilt()
    assert pace.hurried
    pace.done()
    assert not pace.hurried
