"""A store that cannot be written for a night is told of, and does not fill the log."""

from structlog.testing import capture_logs

from tidewatt.scheduler.daemon.faults import Lasting
from tidewatt.scheduler.store import StoreError

FULL, GONE = StoreError("the disk is full"), StoreError("the server is gone")


def test_fault_of_every_second_is_told_once_a_minute_and_a_new_one_at_once() -> None:
    clock = iter([0.0, 1.0, 2.0, 59.0, 60.0, 61.0, 62.0])
    lasting = Lasting(lambda: next(clock))
    with capture_logs() as logs:
        for error in (FULL, FULL, FULL, FULL, FULL, GONE, GONE):
            lasting.tell("guard.failed", error, "guard")
    assert [line["error"] for line in logs] == [str(FULL), str(FULL), str(GONE)]


def test_each_step_tells_for_itself() -> None:
    lasting = Lasting(lambda: 0.0)
    with capture_logs() as logs:
        for step in ("watch", "plan", "watch"):
            lasting.tell("round.failed", FULL, step)
    assert [line["step"] for line in logs] == ["watch", "plan"]
