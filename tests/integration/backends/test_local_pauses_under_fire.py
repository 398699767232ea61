"""A training that is paused in every way while its supervisor, itself and its checkpoints are shot at.

After every cycle it goes on from its last good checkpoint: no step is left out, and only those are done again
that came after it. The share that runs every day is small; `TIDEWATT_SOAK_PAUSES_UNDER_FIRE` says how many.
"""

import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidewatt.backends import checkpoint, claim, pausing
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import Launch, PauseMode, PauseTerms, Phase, StopReason
from tidewatt.backends.local import LocalBackend
from tidewatt.backends.processes import Tree

if TYPE_CHECKING:
    from tests.integration.backends.conftest import Stage

CYCLES = int(os.environ.get("TIDEWATT_SOAK_PAUSES_UNDER_FIRE", "8"))
SEED = int(os.environ.get("TIDEWATT_SOAK_SEED", "7"))
TRAINING = """
import json, os, signal, sys, time
folder = os.environ["TIDEWATT_CHECKPOINT_DIR"]
os.makedirs(folder, exist_ok=True)
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
step = 0
if os.environ.get("TIDEWATT_RESUME") == "1":
    step = json.load(open(os.environ["TIDEWATT_CHECKPOINT"]))["step"]
steps = open("steps", "a", buffering=1)
print("from", step, file=steps)
while not told:
    step += 1
    print(step, file=steps)
    time.sleep(0.005)
with open(os.path.join(folder, f"step-{step}.json"), "w") as file:
    file.write('{"step": ')
    file.flush()
    time.sleep(float(os.environ["SAVE_S"]))
    file.write(f"{step}}}")
sys.exit(85)
"""
TERMS = PauseTerms(grace_s=10.0, exit_codes=(85,), file="step-*.json", folder="kept")
WAYS = (
    "stand",
    "stand, supervisor killed",
    "save",
    "save, supervisor killed",
    "killed",
    "too slow",
    "damaged",
)


@dataclass
class Fire:
    """One training, and what is done to it."""

    stage: "Stage"
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))
    number: int = 0
    folder: Path = Path()
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def backend(self) -> LocalBackend:
        """Another one each time, as after a restart of the daemon."""
        backend = LocalBackend()
        self.stage.troupe.backend = backend  # type: ignore[misc]  # the host's troupe holds it in a field
        return backend

    def launch(self, save_s: float, grace_s: float) -> Launch:
        self.number += 1
        return self.stage.launch(
            sys.executable, "train.py", attempt_id=f"1.{self.number}", grace_s=grace_s,
            pausing=replace(TERMS, grace_s=grace_s), variables={"SAVE_S": str(save_s)},
            resumes=self.folder if self.number > 1 else None,
        )  # fmt: skip

    def start(self, **more: Any) -> None:
        """The next attempt, until it has done a few steps."""
        launch = self.launch(**more)
        before = self.written()
        self.backend.submit(launch)
        self.folder = launch.folder
        self.stage.see(self.folder, lambda _: self.written() > before + 3)

    def written(self) -> int:
        path = self.stage.root / "steps"
        return path.read_text().count("\n") if path.exists() else 0

    def cycle(self, way: str) -> None:
        """One pause, until the training runs again."""
        self.counts[way] += 1
        if way.startswith("stand"):
            self.stand(killed="killed" in way)
            return
        save_s = 0.2 if "supervisor" in way or way == "killed" else 0.0
        again = {"save_s": save_s, "grace_s": 10.0} if way != "too slow" else {"save_s": 30.0, "grace_s": 0.2}
        self.pause()
        self.stage.ended(self.folder)
        self.start(**again)
        self.pause()
        if way == "killed":  # while it saves; before that its end would be one like any other
            self.stage.wait(self.asked)
        if "killed" in way:
            time.sleep(self.chance.uniform(0.0, 0.3))
            self.shoot(supervisor="supervisor" in way, job=way == "killed")
        status = self.stage.ended(self.folder)
        assert status.phase is Phase.ENDED
        assert status.stopped is StopReason.PAUSED, status
        if way == "damaged":
            found = checkpoint.read(self.folder)
            assert found is not None
            Path(found.path).write_text("nonsense")
        self.start(save_s=0.0, grace_s=10.0)

    def stand(self, killed: bool) -> None:
        self.backend.pause(self.folder, PauseMode.STOP)
        if killed:
            time.sleep(self.chance.uniform(0.0, 0.05))
            self.shoot(supervisor=True, job=False)
        self.stage.until(self.folder, Phase.SUSPENDED)
        before = self.written()
        self.backend.resume(self.folder)
        self.stage.see(self.folder, lambda status: status.phase is Phase.RUNNING and self.written() > before)

    def pause(self) -> None:
        self.backend.pause(self.folder, PauseMode.CHECKPOINT)
        self.stage.until(self.folder, Phase.PAUSING, Phase.ENDED)

    def asked(self) -> bool:
        saving = pausing.Saving.of(self.folder)
        return Attempt(self.folder).exit.exists() or (saving is not None and saving.sent)

    def shoot(self, supervisor: bool, job: bool) -> None:
        if supervisor and (found := Attempt(self.folder).supervisor()) is not None:
            found.send(signal.SIGKILL)
        taken = claim.read(self.folder)
        if job and taken is not None and taken.process is not None:
            Tree(taken.process, self.folder).signal(signal.SIGKILL)

    def repeated(self) -> int:
        """Checks every step that was done; returns how many were done again."""
        done, again, last = set[int](), 0, 0
        for line in (self.stage.root / "steps").read_text().splitlines():
            if line.startswith("from "):
                last = int(line.removeprefix("from "))
                assert last == 0 or last in done, "it goes on from a step that it has done"
                continue
            assert int(line) == last + 1, "no step is left out, and no other copy runs beside it"
            last = int(line)
            again += last in done
            done.add(last)
        assert done == set(range(1, len(done) + 1))
        return again


def test_training_under_fire_goes_on_from_its_last_good_checkpoint(local: "Stage") -> None:
    (local.root / "train.py").write_text(TRAINING)
    fire = Fire(local)
    fire.start(save_s=0.0, grace_s=10.0)
    for cycle in range(CYCLES):
        fire.cycle(WAYS[cycle % len(WAYS)])
    fire.backend.stop(fire.folder, StopReason.CANCELLED)
    local.ended(fire.folder)
    print(f"{CYCLES} cycles, {fire.number} attempts, {fire.repeated()} steps done again; {dict(fire.counts)}")
