"""Whatever lines and engines do, of a job at most one copy runs at any time, and every job ends once.

`TIDEWATT_SOAK_SUBMITS=1000` makes as many submits of which nobody knows at first what came of them; else 30.
`TIDEWATT_SOAK_WALKS=200` takes as many walks through the model; else 4.
"""

import os
import random
from contextlib import ExitStack, suppress
from pathlib import Path

import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.integration.scheduler.outpost import Outpost, hours, outpost
from tidewatt.backends.backend import BackendError
from tidewatt.backends.fake import Script
from tidewatt.backends.fake_engine import FakeEngine, FakeQueue
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.jobs import ENDED, JobState
from tidewatt.scheduler.request_schema import UpdateRequest

SUBMITS = int(os.environ.get("TIDEWATT_SOAK_SUBMITS", "30"))
WALKS = int(os.environ.get("TIDEWATT_SOAK_WALKS", "4"))
VISIBLE_S = 30
OVER = {f"job.{state}" for state in ENDED}

scripts = some.builds(
    Script,
    starts_after_s=some.sampled_from([0.0, 0.0, 45.0, 900.0]),
    runs_s=some.sampled_from([20.0, 600.0, 4000.0]),
    exit_code=some.sampled_from([0, 0, 0, 1]),
    stops_after_s=some.sampled_from([0.0, 25.0, None]),
    stop_exit_code=some.sampled_from([None, 0]),
    preempted_after_s=some.sampled_from([None, None, None, 10.0]),
    vanishes_after_s=some.sampled_from([None, None, None, 15.0]),
    loses=some.sampled_from([False, False, True]),
    mutes=some.sampled_from([False, False, True]),
    hidden_s=some.sampled_from([0.0, 0.0, VISIBLE_S - 1.0]),
)


def quiet() -> None:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())


class Engines(RuleBasedStateMachine):
    """A daemon, two clusters, and lines between them that break."""

    jobs: int

    def __init__(self) -> None:
        super().__init__()
        quiet()
        self.stack, self.jobs = ExitStack(), 0

    @initialize(kind=some.sampled_from([FakeQueue, FakeEngine]))
    def begin(self, kind: type[FakeEngine]) -> None:
        self.at: Outpost = self.stack.enter_context(outpost(kind=kind))
        self.at.cluster.highest = 50

    @rule(
        script=scripts,
        slack_h=some.sampled_from([0.0, 1.5, 6.0]),
        hold=some.booleans(),
        retries=some.integers(0, 1),
    )
    def submit(self, script: Script, slack_h: float, hold: bool, retries: int) -> None:
        self.jobs += 1
        for attempt in range(1, 4):
            self.at.cluster.scripts[f"{self.jobs}.{attempt}"] = script
        until = {"finish_by": self.at.site.clock.now() + hours(slack_h + 1)} if slack_h else {}
        self.at.submit(duration_s=600.0, hold=hold, retries=retries, **until)

    @rule(seconds=some.sampled_from([1, 10, 31, 300, 3600]))
    def pass_time(self, seconds: int) -> None:
        self.at.shift(seconds)

    @rule()
    def line_breaks(self) -> None:
        self.at.cluster.down = BackendError("no answer came within 10 s", transient=True)

    @rule()
    def line_is_mended(self) -> None:
        self.at.cluster.down = None

    @rule()
    def restart(self) -> None:
        self.at.restart()

    @rule()
    def killed_before_anything_is_sent(self) -> None:
        """All that this round decides is committed, and none of it reaches an engine."""
        self.at.launcher.polls.tell = lambda *_: None  # type: ignore[method-assign]
        self.at.shift(1)
        self.at.restart()

    @precondition(lambda self: self.jobs)
    @rule(verb=some.sampled_from(["cancel", "hold", "release", "start"]), lot=some.integers(0, 10**6))
    def change(self, verb: str, lot: int) -> None:
        with suppress(SchedulerError):
            getattr(self.at.changes, verb)(str(lot % self.jobs + 1))

    @precondition(lambda self: self.jobs)
    @rule(region=some.sampled_from(["eu", "us", ""]), lot=some.integers(0, 10**6))
    def plan_elsewhere(self, region: str, lot: int) -> None:
        with suppress(SchedulerError):
            wish = UpdateRequest(exclude_regions=(region,) if region else (), late=True)
            self.at.changes.update(str(lot % self.jobs + 1), wish)

    @invariant()
    def at_most_one_copy_runs(self) -> None:
        if hasattr(self, "at"):
            running = [attempt_id.partition(".")[0] for attempt_id in self.at.cluster.running()]
            assert len(running) == len(set(running))

    def teardown(self) -> None:
        try:
            if hasattr(self, "at"):
                ends_once(self.at)
        finally:
            self.stack.close()


def ends_once(at: Outpost) -> None:
    """Lets everything go its way until all jobs are over; each has ended once, and done only if it was."""
    at.cluster.down = None
    for job in at.store.jobs([JobState.HELD]):
        try:
            at.changes.release(str(job.id))
        except SchedulerError:  # its deadline has passed
            at.changes.cancel(str(job.id))
    for _ in range(400):
        if all(job.state in ENDED for job in at.store.jobs()):
            break
        at.shift(300)
        running = [attempt_id.partition(".")[0] for attempt_id in at.cluster.running()]
        assert len(running) == len(set(running))
    for job in at.store.jobs():
        assert job.state in ENDED, (job.state, job.reason, job.at_risk)
        assert sum(event["kind"] in OVER for event in at.store.events(job.id)) == 1
        begun = [run for run in at.cluster.begun if run.launch.attempt_id.partition(".")[0] == str(job.id)]
        attempts = [run.launch.attempt_id for run in begun]
        assert len(attempts) == len(set(attempts))
        if job.state is JobState.DONE:
            assert begun


TestEngines = Engines.TestCase
TestEngines.settings = settings(
    max_examples=WALKS,
    stateful_step_count=25,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # a walk is short enough to be read as it is
    derandomize=WALKS == 4,
    suppress_health_check=list(HealthCheck),
)


def test_of_ambiguous_submits_at_most_one_copy_runs(tmp_path: Path) -> None:
    quiet()
    chance = random.Random(20261122)
    with outpost(tmp_path) as at:
        at.engine.visible_within_s = VISIBLE_S
        for number in range(1, SUBMITS + 1):
            fate = chance.choice(["loses", "mutes", "hidden"])
            script = Script(
                runs_s=chance.choice([5, 60]),
                loses=fate == "loses",
                mutes=fate != "loses",
                hidden_s=VISIBLE_S - 1 if fate == "hidden" else 0.0,
            )
            at.cluster.scripts[f"{number}.1"] = script
            at.submit(duration_s=60.0)
            at.shift(chance.choice([1, 5, 40]))
            if chance.random() < 0.1:
                at.restart()
            running = at.cluster.running()
            assert len(running) == len({attempt_id.partition(".")[0] for attempt_id in running})
        ends_once(at)
        copies = len(at.cluster.begun)
        lost = sum(job.state is not JobState.DONE for job in at.store.jobs())
        print(f"{SUBMITS} ambiguous submits: {copies} copies ran, {copies - SUBMITS} doubled, {lost} lost")
        assert (copies, lost) == (SUBMITS, 0)
