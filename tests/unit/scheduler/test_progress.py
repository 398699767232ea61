"""What of an attempt's work counts, told from events alone."""

from typing import Any

import pytest

from tidewatt.scheduler.accounting.phases import Phase, Progress, Stretch
from tidewatt.scheduler.accounting.progress import progress_of

Event = dict[str, Any]


def event(kind: str, at_s: int, attempt: str = "", **payload: Any) -> Event:
    return {"kind": kind, "time_ms": at_s * 1000, "attempt_id": attempt, "payload": payload}


def attempt(
    number: int, start_s: int, end_s: int, *, pausing_s: int | None = None, **marks: Any
) -> list[Event]:
    """An attempt that ran from start to end, launched 5 s before; told of its work in `marks`."""
    name = f"7.{number}"
    events = [
        event("attempt.launching", start_s - 5, name),
        event("attempt.running", start_s + 1, name, started_ms=start_s * 1000),
    ]
    if pausing_s is not None:
        events.append(event("attempt.pausing", pausing_s, name))
    if marks:
        events.append(event("marks", end_s + 2, name, **marks))
    events.append(event("attempt.ended", end_s + 2, name, ended_ms=end_s * 1000))
    if pausing_s is not None:
        events.append(event("job.paused", end_s + 2))
    return [*events, event("job.waiting", end_s + 2)]


def saved(*checkpoints: tuple[int, int]) -> list[list[int]]:
    return [[at_s * 1000, step] for at_s, step in checkpoints]


def kept(*attempts: list[Event]) -> list[int]:
    """Until when each attempt's work counts, in seconds since its start."""
    found = progress_of(event for events in attempts for event in events)
    starts = [
        next(stretch.start_ms for stretch in each.stretches if stretch.phase is not Phase.LAUNCHING)
        for each in found.values()
    ]
    return [(each.kept_until_ms - start) // 1000 for each, start in zip(found.values(), starts, strict=True)]


def test_only_attempt_counts_to_its_end() -> None:
    assert kept(attempt(1, 100, 400)) == [300]


def test_attempt_before_one_that_said_nothing_is_lost() -> None:
    assert kept(attempt(1, 100, 400, checkpoints=saved((200, 5))), attempt(2, 500, 600)) == [0, 100]


@pytest.mark.parametrize(
    ("resumed", "counts_s"),
    [
        (5, 100),  # the checkpoint of that step
        (7, 100),  # steps since it was saved are not proved to be in it
        (9, 250),
        (12, 250),  # it may have gone on from elsewhere: what is known to be before it counts
        (4, 0),  # from before all that is known
        (0, 0),  # from the beginning, as it says
        (-1, 250),  # from a checkpoint without a number: the newest
    ],
)
def test_failed_attempt_counts_up_to_the_checkpoint_that_was_gone_on_from(
    resumed: int, counts_s: int
) -> None:
    first = attempt(1, 100, 400, checkpoints=saved((200, 5), (350, 9)))
    assert kept(first, attempt(2, 500, 600, resumed_step=resumed)) == [counts_s, 100]


def test_checkpoint_that_was_saved_twice_is_the_later_one() -> None:
    first = attempt(1, 100, 400, checkpoints=saved((200, 5), (350, 5)))
    assert kept(first, attempt(2, 500, 600, resumed_step=5)) == [250, 100]


def test_pause_by_checkpoint_keeps_all_until_it_began() -> None:
    assert kept(attempt(1, 100, 400, pausing_s=380), attempt(2, 500, 600)) == [280, 100]


def test_pause_keeps_nothing_where_the_next_attempt_says_that_it_began_anew() -> None:
    assert kept(attempt(1, 100, 400, pausing_s=380), attempt(2, 500, 600, resumed_step=0)) == [0, 100]


def test_attempt_killed_while_it_wrote_its_checkpoint_is_lost() -> None:
    killed = attempt(1, 100, 400, pausing_s=380)
    killed = [each for each in killed if each["kind"] != "job.paused"]
    assert kept(killed, attempt(2, 500, 600)) == [0, 100]


def test_chain_of_attempts_is_kept_as_far_as_it_goes_back() -> None:
    first = attempt(1, 100, 400, checkpoints=saved((300, 10)))
    second = attempt(2, 500, 800, resumed_step=10, checkpoints=saved((700, 20)))
    assert kept(first, second, attempt(3, 900, 1000, resumed_step=20)) == [200, 200, 100]


def test_attempt_between_that_was_not_gone_on_from_is_lost() -> None:
    first = attempt(1, 100, 400, checkpoints=saved((300, 10)))
    second = attempt(2, 500, 800)
    assert kept(first, second, attempt(3, 900, 1000, resumed_step=10)) == [200, 0, 100]


def test_what_a_lost_attempt_went_on_from_does_not_count_by_way_of_it() -> None:
    first = attempt(1, 100, 400, checkpoints=saved((300, 10)))
    second = attempt(2, 500, 800, resumed_step=10)
    assert kept(first, second, attempt(3, 900, 1000)) == [0, 0, 100]


def test_attempt_that_never_came_up_is_none() -> None:
    never = [event("attempt.launching", 10, "7.1"), event("attempt.poisoned", 70, "7.1")]
    assert list(progress_of([*never, *attempt(2, 100, 400)])) == ["7.2"]


def test_counts_are_those_of_work_that_was_kept() -> None:
    told: dict[str, Any] = {"counts": {"steps": 12, "flops": str(10**20)}, "kept": {"steps": 9}}
    first = attempt(1, 100, 400, checkpoints=saved((200, 5), (350, 9)), **told)
    by_last = progress_of([*first, *attempt(2, 500, 600, resumed_step=9, counts={"steps": 4})])
    assert [each.counts for each in by_last.values()] == [{"steps": 9}, {"steps": 4}]
    by_first = progress_of([*first, *attempt(2, 500, 600, resumed_step=5)])
    assert by_first["7.1"].counts == {}
    alone = progress_of(first)
    assert alone["7.1"].counts == {"steps": 12, "flops": 10**20}


def test_stretches_follow_states_and_the_words_of_the_script() -> None:
    events = [
        event("attempt.launching", 90, "7.1"),
        event("attempt.running", 101, "7.1", started_ms=100_000),
        event("attempt.unknown", 150, "7.1"),
        event("attempt.running", 160, "7.1", started_ms=100_000),
        event("attempt.suspended", 200, "7.1"),
        event("attempt.resuming", 300, "7.1"),
        event("attempt.running", 310, "7.1"),
        event("marks", 402, "7.1", phases=[[90_000, 150_000, "warm-up"], [140_000, 350_000, "train"]]),
        event("attempt.ended", 402, "7.1", ended_ms=400_000),
    ]
    running = Phase.RUNNING
    assert progress_of(events)["7.1"] == Progress(
        (
            Stretch(Phase.LAUNCHING, 90_000, 100_000),
            Stretch(running, 100_000, 140_000, "warm-up"),
            Stretch(running, 140_000, 200_000, "train"),
            Stretch(Phase.SUSPENDED, 200_000, 300_000),
            Stretch(Phase.RESUMING, 300_000, 310_000),
            Stretch(running, 310_000, 350_000, "train"),
            Stretch(running, 350_000, 400_000),
        ),
        400_000,
        {},
    )
