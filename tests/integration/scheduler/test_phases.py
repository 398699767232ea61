"""An attempt's phases, and what its script told, reach the store once and at their own times."""

import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.integration.scheduler.office import NOW, Office, office
from tidewatt.backends.backend import BackendError, Phase
from tidewatt.backends.clock import time_ms
from tidewatt.backends.fake import FakeMeter, Leg, Script, Told
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.journal import readings_of
from tidewatt.scheduler.daemon.marking import payload
from tidewatt.scheduler.jobs import AttemptState, JobState

START_MS = time_ms(NOW)
PAUSED = (
    Leg(Phase.RUNNING, 600, gpu_w=300, cores=2),
    Leg(Phase.PAUSING, 20, gpu_w=120, cores=1),
    Leg(Phase.SUSPENDED, 600, gpu_w=80),
    Leg(Phase.RESUMING, 30, gpu_w=90, cores=1),
    Leg(Phase.RUNNING, 300, gpu_w=300, cores=2),
)
MOVES = [
    ("attempt.pausing", 600),
    ("attempt.suspended", 620),
    ("attempt.resuming", 1220),
    ("attempt.running", 1250),
]


@pytest.fixture(autouse=True)
def quiet() -> None:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())


def moves(at: Office, attempt_id: str = "1.1") -> list[tuple[str, int]]:
    """Kinds and seconds since the start of an attempt's moves, that of its start and end left out."""
    return [
        (event["kind"], (event["time_ms"] - START_MS) // 1000)
        for event in at.store.events(1)
        if event["attempt_id"] == attempt_id
        and event["kind"].startswith("attempt.")
        and event["kind"] not in ("attempt.launching", "attempt.ended", "attempt.unknown")
        and "started_ms" not in event["payload"]
    ]


def marks(at: Office, attempt_id: str = "1.1") -> list[dict[str, Any]]:
    return [
        event["payload"]
        for event in at.store.events(1)
        if event["kind"] == "marks" and event["attempt_id"] == attempt_id
    ]


@pytest.mark.parametrize("every_s", [90, 700, 5000])
def test_phases_are_recorded_at_their_own_times_however_rarely_anybody_looks(
    tmp_path: Path, every_s: int
) -> None:
    with office(tmp_path, "a100") as at:
        at.backend.script = Script(course=PAUSED)
        at.submit(gpus=1, duration_s=1000.0)
        at.round()
        for _ in range(0, 1600, every_s):
            at.shift(every_s)
        assert at.job(1).state is JobState.DONE
        assert moves(at) == MOVES


def test_phases_that_were_seen_are_not_recorded_again_after_a_restart(tmp_path: Path) -> None:
    with office(tmp_path, "a100") as at:
        at.backend.script = Script(course=PAUSED)
        at.submit(gpus=1, duration_s=1000.0)
        at.round()
        for _ in range(16):
            at.shift(100)
            at.open()
        assert moves(at) == MOVES
        assert at.job(1).state is JobState.DONE


def test_suspended_attempt_keeps_its_gpu_and_its_state_is_shown(tmp_path: Path) -> None:
    with office(tmp_path, "a100") as at:
        at.backend.script = Script(course=PAUSED)
        at.submit(gpus=1, duration_s=1000.0)
        at.submit(gpus=1, duration_s=1000.0)
        at.round()
        at.shift(700)
        (attempt,) = at.store.live_attempts()
        assert (attempt.job_id, attempt.state) == (1, AttemptState.SUSPENDED)
        assert at.states() == "pw"  # the second one waits for its GPU


def test_time_in_a_pause_is_no_overrun(tmp_path: Path) -> None:
    with office(tmp_path, "a100") as at:
        at.backend.script = Script(course=PAUSED)
        at.submit(gpus=1, duration_s=800.0)
        at.round()
        at.shift(1300)
        assert "overrun" not in [event["kind"] for event in at.store.events(1)]
        at.shift(200)
        assert [event["kind"] for event in at.store.events(1)].count("overrun") == 1


def test_attempt_that_cannot_be_seen_for_a_while_is_found_in_its_phase_again(tmp_path: Path) -> None:
    with office(tmp_path, "a100") as at:
        at.backend.script = Script(course=PAUSED)
        at.submit(gpus=1, duration_s=1000.0)
        at.round()
        at.shift(610)
        (running,) = at.backend._attempts.values()
        lost = Script(course=PAUSED, unknown="the host does not answer")
        running.script, kept = lost, running.script
        at.shift(300)
        assert at.store.live_attempts()[0].state is AttemptState.UNKNOWN
        running.script = kept
        at.shift(1)
        assert at.store.live_attempts()[0].state is AttemptState.SUSPENDED
        at.shift(1000)
        assert moves(at) == MOVES


def test_job_paused_by_checkpoint_goes_on_in_another_attempt(tmp_path: Path) -> None:
    with office(tmp_path, "a100") as at:
        at.backend.scripts["1.1"] = Script(
            course=(Leg(Phase.RUNNING, 600, gpu_w=300), Leg(Phase.PAUSING, 20, gpu_w=120)),
            told=Told(checkpoints=((615.0, 400),), counts={"steps": 410}, kept={"steps": 400}),
        )
        at.backend.scripts["1.2"] = Script(runs_s=300, told=Told(resumed_step=400, counts={"steps": 200}))
        at.submit(gpus=1, duration_s=900.0, retries=0)
        at.round()
        for _ in range(12):
            at.shift(100)
        assert at.job(1).state is JobState.DONE
        assert at.job(1).retried == 0
        first, second = at.store.attempts([1])[1]
        assert (first.reason, first.state, second.state) == ("paused", AttemptState.ENDED, AttemptState.ENDED)
        kinds = [event["kind"] for event in at.store.events(1)]
        here = kinds.index("attempt.pausing")
        assert kinds[here : here + 6] == [
            "attempt.pausing", "marks", "attempt.ended", "progress", "job.paused", "job.waiting"
        ]  # fmt: skip
        (before,), (after,) = marks(at), marks(at, "1.2")
        assert before["kept"] == {"steps": 400}
        assert after["resumed_step"] == 400


def test_cancelled_job_that_is_paused_does_not_go_on(tmp_path: Path) -> None:
    with office(tmp_path, "a100") as at:
        at.backend.script = Script(course=(Leg(Phase.RUNNING, 60), Leg(Phase.PAUSING, 20)))
        at.submit(gpus=1, duration_s=900.0)
        at.round()
        at.shift(61)
        with at.store.transaction() as transaction:
            transaction.change_job(1, stopping=True)
        at.backend.failing = BackendError("the stop did not come through", transient=True)
        at.shift(100)
        assert at.job(1).state is JobState.CANCELLED


def test_job_that_ran_and_is_cancelled_while_it_is_launched_again_is_accounted_for(tmp_path: Path) -> None:
    with office(tmp_path, "a100") as at:
        at.backend.scripts["1.1"] = Script(runs_s=100, exit_code=1)
        at.backend.scripts["1.2"] = Script(refusal="the GPU is leased by somebody else")
        at.submit(gpus=1, duration_s=100.0, retries=1)
        at.round()
        at.shift(101)
        ended_ms = at.store.attempts([1])[1][0].ended_ms
        with at.store.transaction() as transaction:
            transaction.change_job(1, stopping=True)
        at.shift(10)
        assert at.job(1).state is JobState.CANCELLED
        assert at.job(1).ended_ms == ended_ms is not None
        assert list(at.store.open_accounts()) == [1]


def test_failed_attempt_and_its_retry_each_tell_once_what_they_did(tmp_path: Path) -> None:
    with office(tmp_path, "a100") as at:
        at.backend.scripts["1.1"] = Script(
            runs_s=100,
            exit_code=1,
            told=Told(
                labels=((0.0, "warm-up"), (10.0, "train"), (500.0, "never")),
                checkpoints=((50.0, 5), (400.0, 40)),
                counts={"steps": 10, "flops": 10**20},
            ),
        )
        at.backend.scripts["1.2"] = Script(runs_s=60, told=Told(resumed_step=5))
        at.submit(gpus=1, duration_s=100.0, retries=1)
        at.round()
        for _ in range(10):
            at.shift(50)
        assert at.job(1).state is JobState.DONE
        assert marks(at) == [
            {
                "phases": [
                    [START_MS, START_MS + 10_000, "warm-up"],
                    [START_MS + 10_000, START_MS + 100_000, "train"],
                ],
                "checkpoints": [[START_MS + 50_000, 5]],
                "counts": {"steps": 10, "flops": str(10**20)},
            }
        ]
        assert marks(at, "1.2") == [{"resumed_step": 5}]
        assert [event["reason"] for event in at.store.events(1) if event["kind"] == "marks"] == [
            "2 phases, 1 checkpoint, 10 steps, 100,000,000,000,000,000,000 flops",
            "went on from step 5",
        ]


def test_job_ends_whatever_it_wrote_among_its_marks(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        at.submit()
        at.round()
        folder = at.paths.job(1) / "1" / "marks"
        folder.mkdir()
        (folder / f"{START_MS:013d}-1.jsonl").write_bytes(b"\xff\x00[[[" * 10_000)
        (folder / f"{START_MS:013d}-1.counts").write_text('{"counts":{"steps":"many"}}\n')
        at.shift(61)
        assert at.job(1).state is JobState.DONE
        assert marks(at) == []


def test_event_of_marks_holds_integers_and_strings_only_and_stays_small() -> None:
    from tidewatt.backends.marks import Marks

    most = Marks(
        phases=tuple((place, place + 1, "é" * 64) for place in range(200)),
        checkpoints=tuple((2**53 - 1, 2**53 - 1) for _ in range(50)),
        resumed_step=0,
        counts={"flops": 10**40, "steps": 2**53 - 1},
        kept={"flops": 2**53},
        processes_left_out=3,
    )
    told = payload(most)
    assert told["kept"] == {"flops": str(2**53)}
    assert len(json.dumps(told)) < 120_000
    assert payload(Marks()) == {}


def test_scripted_meter_writes_what_the_phases_drew(tmp_path: Path) -> None:
    with office(tmp_path, "a100") as at:
        meter = FakeMeter(at.paths.readings, {"GPU-0": 50.0}, START_MS)
        at.backend.meter = meter
        at.backend.script = Script(course=PAUSED, starts_after_s=60)
        at.submit(gpus=1, duration_s=1000.0)
        at.round()
        for _ in range(20):
            at.shift(100)
        (attempt,) = at.store.attempts([1])[1]
        assert attempt.started_ms is not None
        assert attempt.ended_ms is not None
        used = usage(at.paths.readings, "1.1", ("GPU-0",), attempt.started_ms, attempt.ended_ms)
        joules = {
            component: sum(
                span.active_uj + span.idle_uj for span in used.spans if span.component == component
            )
            / 1e6
            for component in ("gpu", "cpu")
        }
        assert joules["gpu"] == pytest.approx(600 * 300 + 20 * 120 + 600 * 80 + 30 * 90 + 300 * 300)
        cores_s = 600 * 2 + 20 + 30 + 300 * 2
        assert joules["cpu"] == pytest.approx(cores_s * 5 + cores_s / 8 * 20, rel=1e-3)
        assert used.coverage["gpu"] == pytest.approx(1)
        suspended = [START_MS + 1000 * (60 + second) for second in (620, 1220)]
        (paused,) = [
            sum(
                span.active_uj + span.idle_uj
                for span in used.spans
                if span.component == "gpu" and span.start_ms >= suspended[0] and span.end_ms <= suspended[1]
            )
        ]
        assert paused == 600 * 80 * 10**6, "readings lie at the borders of phases"
        readings = [each for path in at.paths.readings.glob("*.jsonl") for each in readings_of(path)]
        causes = [reading.cause for reading in readings if reading.cause != "tick"]
        assert causes == ["start 1.1", *["phase 1.1"] * 4, "end 1.1"]


@pytest.mark.parametrize(
    "course",
    [
        (Leg(Phase.SUSPENDED, 1),),
        (Leg(Phase.RUNNING, 1), Leg(Phase.RESUMING, 1)),
        (Leg(Phase.RUNNING, 1), Leg(Phase.ENDED, 1)),
        (Leg(Phase.RUNNING, 1), Leg(Phase.SUSPENDED, 1), Leg(Phase.RUNNING, 1)),
    ],
)
def test_course_that_no_attempt_can_go_through_is_refused(course: tuple[Leg, ...]) -> None:
    with pytest.raises(BackendError, match=r"no attempt goes from|begins with running"):
        Script(course=course)
