"""A backend for the engine in memory, with all that one needs for an engine elsewhere: the one to read first.

What it writes into an attempt's folder: `launch.json` before anything is sent, `engine.json` when it is sent
and again when the engine's number is known, and where nothing came of it a poisoned claim.
"""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidewatt.backends import claim, durable
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import AttemptStatus, BackendError, Capacity, Launch, Phase, StopReason
from tidewatt.backends.fake_cluster import FakeCluster
from tidewatt.backends.meters import reported
from tidewatt.backends.meters.reading import Device, How

_LOST = "exit status lost: the engine no longer knows it"


@dataclass(slots=True)
class FakeEngine:
    """Attempts on a fake cluster. `visible_within_s`: so soon what it has taken is found by its token.

    `draws_w` is what each attempt draws: what its engine reports of it when it has ended. `output` is what
    attempts have written, by their ids.
    """

    cluster: FakeCluster
    visible_within_s: float = 60.0
    draws_w: float | None = None
    output: dict[str, bytes] = field(default_factory=dict)

    def submit(self, launch: Launch) -> None:
        """Sends it once. Where that was tried before, `status` finds out what came of it."""
        attempt = Attempt(launch.folder)
        attempt.make()
        attempt.write_launch(launch)
        if claim.read(launch.folder) is not None or self._reference(launch.folder):
            return
        self._refer(launch, None)
        self._refer(launch, self.cluster.submit(launch))

    def status(self, folders: Iterable[Path]) -> dict[Path, AttemptStatus]:
        """One look at the cluster for all."""
        asked = {folder: self._reference(folder) for folder in folders}
        numbers = [each["number"] for each in asked.values() if each.get("number") is not None]
        tokens = [each["token"] for each in asked.values() if each and each["number"] is None]
        try:
            found = self.cluster.look(numbers, tokens) if numbers or tokens else {}
            return {folder: self._status(folder, each, found) for folder, each in asked.items()}
        except BackendError as error:
            return {folder: AttemptStatus(Phase.UNKNOWN, reason=str(error)) for folder in asked}

    def stop(self, folder: Path, reason: StopReason) -> None:
        """Takes it out of the queue or ends it; what comes up later finds its claim poisoned."""
        Attempt(folder).make()
        Attempt(folder).request_stop(reason)
        number = self._reference(folder).get("number")
        if not claim.poison(folder, f"{reason} before it started") and number is None:
            return  # it runs, and `status` stops it when it has found it
        if number is not None and self._is_ours(folder, number):
            self.cluster.stop(number, reason)

    def logs(self, folder: Path, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """What the attempt has written."""
        launch = Attempt(folder).launch()
        return b"" if launch is None else self.output.get(launch.attempt_id, b"")[offset : offset + limit]

    def collect(self, folder: Path) -> bool:
        """What the cluster says that it used, as readings."""
        launch = Attempt(folder).launch()
        if launch is None or self.draws_w is None:
            return True
        for run in self.cluster.begun:
            if run.launch.attempt_id == launch.attempt_id:
                start_ms, end_ms = run.starts_ms(), run.ends_ms()
                drawn_uj = round(self.draws_w * (end_ms - start_ms) * 1000)
                device = Device("attempt:node", "node", How.MEASURED, "fake cluster, node charged whole")
                points = [(start_ms, 0), (end_ms, drawn_uj)]
                reported.write(folder / "readings", launch.attempt_id, device, points, launch.clock)
        return True

    def capacity(self, region: str) -> Capacity:
        """It has room for everything."""
        if self.cluster.down is not None:
            raise self.cluster.down
        return Capacity({}, {}, 1000, 1000, note=region)

    def rehearse(self, launch: Launch) -> str:
        """The command."""
        return shlex.join(launch.argv)

    def _status(
        self, folder: Path, reference: dict[str, Any], found: dict[int, AttemptStatus]
    ) -> AttemptStatus:
        taken = claim.read(folder)
        if taken is not None and taken.process is None:
            return AttemptStatus(Phase.POISONED, reason=taken.reason)
        if not reference:
            return AttemptStatus(Phase.LAUNCHING, reason="not submitted yet")
        number = reference["number"]
        if number is None:
            number = self._found(folder, reference["token"], found)
        if number in found and self._is_ours(folder, number):
            return self._seen(folder, number, found[number])
        return self._absent(folder, reference, taken)

    def _seen(self, folder: Path, number: int, status: AttemptStatus) -> AttemptStatus:
        asked = Attempt(folder).stop_request()
        if status.phase is Phase.RUNNING and asked is not None:
            self.cluster.stop(number, asked)  # whoever was asked to may not have known its number
        return status

    def _absent(self, folder: Path, reference: dict[str, Any], taken: claim.Claim | None) -> AttemptStatus:
        """Nowhere to be found; that means something only when the cluster would show it by now."""
        sent_s = (self.cluster.now_ms() - reference["sent_ms"]) / 1000
        if reference["number"] is None and sent_s < self.visible_within_s:
            return AttemptStatus(Phase.LAUNCHING, reason="it is not known yet whether the engine has it")
        if taken is None and claim.poison(folder, "the engine never took it"):
            return AttemptStatus(Phase.POISONED, reason="the engine never took it")
        taken = claim.read(folder)
        started_ms = None if taken is None else taken.started_ms
        return AttemptStatus(Phase.ENDED, started_ms=started_ms, reason=_LOST)

    def _found(self, folder: Path, token: str, found: dict[int, AttemptStatus]) -> int | None:
        """The number of what was sent without an answer; kept."""
        for number in found:
            if self.cluster.token(number) == token:
                launch = Attempt(folder).launch()
                if launch is not None:
                    self._refer(launch, number)
                return number
        return None

    def _is_ours(self, folder: Path, number: int) -> bool:
        """False where the cluster has given our number to somebody else since."""
        return self.cluster.token(number) == self._reference(folder).get("token")

    def _reference(self, folder: Path) -> dict[str, Any]:
        return durable.read(folder / "engine.json") or {}

    def _refer(self, launch: Launch, number: int | None) -> None:
        sent_ms = self._reference(launch.folder).get("sent_ms", self.cluster.now_ms())
        content = {"token": launch.token, "number": number, "sent_ms": sent_ms, "region": launch.region}
        durable.replace(launch.folder / "engine.json", content)


@dataclass(slots=True)
class FakeQueue(FakeEngine):
    """One whose cluster keeps jobs that are not to start yet."""

    def reschedule(self, folder: Path, not_before_ms: int | None) -> None:
        """Moves the start of an attempt that waits there."""
        number = self._reference(folder).get("number")
        if number is None or not self._is_ours(folder, number):
            raise BackendError("it is not known yet whether the engine has it", transient=True)
        self.cluster.begin(number, not_before_ms)
