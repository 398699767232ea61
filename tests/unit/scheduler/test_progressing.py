"""What is kept of an attempt's work, and what is lost."""

from dataclasses import replace

import pytest

from tidewatt.backends.backend import AttemptStatus, Move, Phase, StopReason
from tidewatt.scheduler.accounting.progress import progress_of
from tidewatt.scheduler.daemon.progressing import Kept, kept

MINUTE = 60_000
PAUSED = AttemptStatus(
    Phase.ENDED,
    started_ms=0,
    ended_ms=62 * MINUTE,
    stopped=StopReason.PAUSED,
    moves=(Move(Phase.PAUSING, 60 * MINUTE),),
)


def of(status: AttemptStatus, marks: object = None, told: object = None, **more: object) -> Kept:
    values = {"speed": 1.0, "restart_ms": 0} | more
    return kept(status, 0, 62 * MINUTE, marks or {}, told, **values)  # type: ignore[arg-type]


def test_all_before_the_pause_is_kept_in_a_whole_checkpoint() -> None:
    found = of(PAUSED, told={"whole": True, "digest": "ab", "size": 7})
    assert (found.ms, found.lost_ms, found.whole) == (60 * MINUTE, 0, True)
    assert (found.digest, found.bytes) == ("ab", 7)


def test_restart_is_no_progress_and_fast_hardware_does_more() -> None:
    found = of(PAUSED, told={"whole": True}, speed=2.0, restart_ms=10 * MINUTE)
    assert found.ms == 100 * MINUTE


def test_failed_checkpoint_falls_back_to_the_last_good_one() -> None:
    found = of(PAUSED, told={"whole": False, "previous": {"at_ms": 45 * MINUTE, "digest": "cd", "size": 3}})
    assert (found.ms, found.lost_ms, found.whole) == (45 * MINUTE, 15 * MINUTE, False)
    assert (found.until_ms, found.digest) == (45 * MINUTE, "cd")


def test_checkpoint_of_an_earlier_attempt_keeps_nothing_of_this_one() -> None:
    found = of(PAUSED, told={"whole": False, "previous": {"at_ms": -5 * MINUTE}})
    assert (found.ms, found.lost_ms) == (0, 60 * MINUTE)


def test_backend_that_says_nothing_is_believed_by_its_reason() -> None:
    assert of(PAUSED).whole
    failed = replace(PAUSED, reason="no whole checkpoint: it was killed")
    assert of(failed).ms == 0
    assert of(failed, marks={"checkpoints": [[30 * MINUTE, 100]]}).ms == 30 * MINUTE


def test_preempted_attempt_keeps_what_its_script_had_saved() -> None:
    taken = AttemptStatus(Phase.ENDED, started_ms=0, ended_ms=62 * MINUTE, stopped=StopReason.PREEMPTED)
    assert of(taken).ms == 0
    found = of(taken, marks={"checkpoints": [[20 * MINUTE, 1], [50 * MINUTE, 2]]})
    assert (found.ms, found.lost_ms, found.whole) == (50 * MINUTE, 12 * MINUTE, False)


def test_standing_still_is_no_work() -> None:
    moves = (
        Move(Phase.SUSPENDED, 10 * MINUTE),
        Move(Phase.RESUMING, 30 * MINUTE),
        Move(Phase.RUNNING, 31 * MINUTE),
    )
    found = of(replace(PAUSED, moves=(*moves, *PAUSED.moves)), told={"whole": True})
    assert found.ms == 39 * MINUTE


def events(*rows: tuple[str, str, int, dict[str, object]]) -> list[dict[str, object]]:
    return [
        {"kind": kind, "attempt_id": attempt, "time_ms": at * MINUTE, "payload": payload}
        for kind, attempt, at, payload in rows
    ]


def attempt(
    name: str, start: int, end: int, resumes: str = ""
) -> list[tuple[str, str, int, dict[str, object]]]:
    given: dict[str, object] = {"resumes": resumes} if resumes else {}
    return [
        ("attempt.launching", name, start, given),
        ("attempt.running", name, start, {"started_ms": start * MINUTE}),
        ("attempt.ended", name, end, {"ended_ms": end * MINUTE}),
    ]


@pytest.mark.parametrize(("kept_until", "productive"), [(60, 60), (45, 45), (0, 0)])
def test_account_counts_what_was_found_to_be_kept(kept_until: int, productive: int) -> None:
    found = progress_of(
        events(
            *attempt("1.1", 0, 60),
            ("progress", "1.1", 60, {"kept_until_ms": kept_until * MINUTE}),
            ("job.paused", "", 60, {}),
            *attempt("1.2", 100, 160, resumes="1.1"),
        )
    )
    assert found["1.1"].kept_until_ms == productive * MINUTE


def test_attempt_after_a_failed_one_goes_on_from_the_checkpoint_before_that() -> None:
    found = progress_of(
        events(
            *attempt("1.1", 0, 60),
            ("progress", "1.1", 60, {"kept_until_ms": 60 * MINUTE}),
            *attempt("1.2", 100, 110, resumes="1.1"),
            *attempt("1.3", 120, 160, resumes="1.1"),
        )
    )
    assert found["1.1"].kept_until_ms == 60 * MINUTE
    assert found["1.2"].kept_until_ms == 100 * MINUTE
