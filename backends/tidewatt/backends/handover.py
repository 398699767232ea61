"""Hands attempts to an engine elsewhere once, and finds out what became of them.

Ray, AWS Batch and SkyPilot differ in what they are asked, not in what can go wrong: an answer that never
came, an attempt that shows up late, vanishes, or ends with 0 because it was told to end. All of that is here;
the rest is a `Desk` for each.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tidewatt.backends import claim, durable, reference
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import AttemptStatus, BackendError, Launch, PauseMode, Phase, StopReason
from tidewatt.backends.desk import Desk, NotTakenError
from tidewatt.backends.durably import durably
from tidewatt.backends.judge import Judge
from tidewatt.backends.reference import Reference

_AGAIN_S = 2.0  # between two requests to end of one attempt


@dataclass(slots=True)
class Handover:
    """Attempts at engines of one kind. `places` says how to reach each region.

    A place that is `shared` has machines that see the attempt's folder, and with it its claim. `visible_s`:
    an attempt that was sent so long ago and is not to be found was never taken. `vanished_s`: one that was
    there and has not been for so long is gone. Both times are real.
    """

    kind: str
    desk: Desk
    places: Mapping[str, Mapping[str, Any]]
    visible_s: float = 60.0
    vanished_s: float = 120.0
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    _sending: set[Path] = field(default_factory=set)
    _asked_at: dict[Path, float] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        """One judge for all."""
        self._judge = Judge(self.kind, self.visible_s, self.vanished_s, self.now_ms, self._sending)
        self._judge.withdraw = self.desk.withdraw

    def submit(self, launch: Launch) -> None:
        """Hands the attempt to the engine, once; what is left open by an error, `status` finds out.

        Raises:
            BackendError: It was not taken (its status is POISONED), or that is not known (transient).
        """
        attempt, folder = Attempt(launch.folder), launch.folder
        with self._alone(folder), durably(f"attempt {launch.attempt_id} cannot be sent"):
            attempt.make()
            attempt.write_launch(launch)
            if attempt.exit.exists() or claim.read(folder) is not None or reference.read(folder) is not None:
                return
            if (asked := attempt.stop_request()) is not None:
                claim.poison(folder, f"{asked} before it started")
                return
            found = Reference(self.kind, launch.region, launch.token, self._place(launch), self.now_ms())
            found = replace(found, storage=self._storage(launch))
            found.begin(folder)
            try:
                found.known(folder, self.desk.send(launch, found.place))
            except NotTakenError as error:
                claim.poison(folder, str(error))
                raise
            except Exception as error:  # the engine may have it, whatever went wrong
                raise BackendError(f"whether {self.kind} has it is open: {error}", transient=True) from error

    def status(self, folders: Iterable[Path]) -> dict[Path, AttemptStatus]:
        """What is known of each attempt; each engine is asked once for all that are still open."""
        told: dict[Path, AttemptStatus] = {}
        open_: dict[Path, Reference] = {}
        for folder in folders:
            try:
                known = self._kept(Attempt(folder))
                if isinstance(known, Reference):
                    open_[folder] = known
                else:
                    told[folder] = known
            except (OSError, durable.CorruptError) as error:
                told[folder] = AttemptStatus(Phase.UNKNOWN, reason=f"cannot be told: {error}")
        return told | self._asked(open_)

    def stop(self, folder: Path, reason: StopReason) -> None:
        """Asks for the attempt's end, durably; one that has not started never will where that can be had."""
        attempt = Attempt(folder)
        with durably(f"the attempt in {folder} cannot be stopped"):
            attempt.make()
            attempt.request_stop(reason)
            if attempt.exit.exists():
                return
            found, launch = reference.read(folder), attempt.launch()
            if found is None or launch is None:
                claim.poison(folder, f"{reason} before it started")
                return
            if found.shared:
                claim.poison(folder, f"{reason} before it started")
        self._end(folder, found, launch)

    def logs(self, folder: Path, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """The job's output from this byte on; of a shared folder the file it was written to."""
        with durably(f"the output of the attempt in {folder} cannot be read"):
            found, launch = reference.read(folder), Attempt(folder).launch()
            if found is None or launch is None:
                return b""
            path = launch.cwd / launch.stdout
            if found.shared and path.exists():
                with open(path, "rb") as file:
                    file.seek(offset)
                    return file.read(limit)
            return self.desk.output(found, launch, offset, limit)

    def pause(self, folder: Path, mode: PauseMode) -> None:
        """Asks for a checkpoint and the attempt's end; another attempt goes on with it.

        Raises:
            BackendError: By STOP, or the job has no checkpoint terms.
        """
        launch = Attempt(folder).launch()
        if self.status([folder])[folder].phase not in (Phase.RUNNING, Phase.PAUSING, Phase.UNKNOWN):
            raise BackendError(f"the attempt in {folder} does not run: there is nothing to pause")
        if mode is PauseMode.STOP:
            raise BackendError(f"{self.kind} cannot let a job stand still: pause it by checkpoint")
        if launch is None or launch.pausing is None:
            raise BackendError(
                "the job does not say how it is asked for a checkpoint: submit it with a preset"
            )
        self.stop(folder, StopReason.PAUSED)

    def resume(self, folder: Path) -> None:
        """Nothing here stands still: a paused job goes on as another attempt."""
        raise BackendError(f"the attempt in {folder} has ended: its job goes on as another attempt")

    def signal(self, folder: Path, name: str) -> None:
        """Passes a signal on, where the attempt's folder is shared with its machine."""
        found = reference.read(folder)
        if found is None or not found.shared:
            raise BackendError(f"{self.kind} passes no signals on: only a region with a shared folder does")
        with durably(f"the attempt in {folder} cannot be signalled"):
            (folder / "signals").mkdir(mode=0o700, exist_ok=True)
            durable.create(folder / "signals" / f"{time.time_ns()}-{name.removeprefix('SIG')}", {})

    def _storage(self, _launch: Launch) -> str:
        """Object storage of the attempt's own, where its engine has such."""
        return ""

    def _place(self, launch: Launch) -> Mapping[str, Any]:
        try:
            return self.places[launch.region]
        except KeyError:
            claim.poison(launch.folder, reason := f"there is no region {launch.region!r} of {self.kind}")
            raise NotTakenError(reason) from None

    def _kept(self, attempt: Attempt) -> AttemptStatus | Reference:
        """What the folder alone tells; a reference where the engine has to be asked."""
        found = reference.read(attempt.folder)
        if (closed := self._judge.closed(attempt, found)) is not None:
            return closed
        taken = claim.read(attempt.folder)
        if taken is not None and taken.process is None:
            if found is not None and (launch := attempt.launch()) is not None:
                self._end(attempt.folder, found, launch)  # until the engine has let go of it
            return AttemptStatus(Phase.POISONED, reason=taken.reason)
        if found is not None:
            return found
        if attempt.folder in self._sending or attempt.launch() is None:
            return AttemptStatus(Phase.LAUNCHING, reason="not submitted yet")
        claim.poison(attempt.folder, reason := "nothing was sent to its engine")
        return AttemptStatus(Phase.POISONED, reason=reason)

    def _asked(self, open_: Mapping[Path, Reference]) -> dict[Path, AttemptStatus]:
        """The status of attempts of which the engines have to be asked, each once."""
        told: dict[Path, AttemptStatus] = {}
        places = {_key(found.place): found.place for found in open_.values()}
        for key, place in places.items():
            theirs = {path: found for path, found in open_.items() if _key(found.place) == key}
            try:
                seen = self.desk.look(place, {found.token: found.id for found in theirs.values()})
            except BackendError as error:
                unknown = AttemptStatus(Phase.UNKNOWN, reason=f"{self.kind} does not answer: {error}")
                told |= {path: self._judge.finished(path, found) or unknown for path, found in theirs.items()}
                continue
            for path, found in theirs.items():
                try:
                    now = seen.get(found.token)
                    if now is not None and now.phase is Phase.ENDED:
                        self.desk.finish(path, found)
                    told[path] = self._judge.judged(path, found, now)
                    self._pursue(path, found, told[path])
                except (OSError, durable.CorruptError, BackendError) as error:
                    told[path] = AttemptStatus(Phase.UNKNOWN, reason=f"cannot be told: {error}")
                except Exception as error:  # whatever one attempt's engine or job said, the others go on
                    reason = f"cannot be told: {type(error).__name__}: {error}"[:500]
                    told[path] = AttemptStatus(Phase.UNKNOWN, reason=reason)
        return told

    def _pursue(self, folder: Path, found: Reference, status: AttemptStatus) -> None:
        """Ends what was asked to end, or is over its time, while the engine still has it."""
        if status.phase in (Phase.ENDED, Phase.POISONED, Phase.UNKNOWN):
            return
        attempt = Attempt(folder)
        launch = attempt.launch()
        if launch is None:
            return
        if attempt.stop_request() is not None:
            self._end(folder, found, launch)  # whoever was asked first may not have heard
        elif status.started_ms is not None and launch.time_limit_s is not None:
            ran_ms = launch.clock.at_ms(self.now_ms()) - status.started_ms
            if ran_ms >= launch.time_limit_s * 1000:  # the escort keeps it, too, where there is one
                self.stop(folder, StopReason.TIME_LIMIT)

    def _end(self, folder: Path, found: Reference, launch: Launch) -> None:
        """Asks the engine for the end, now and then; should it not hear, the next status asks again."""
        asked = Attempt(folder).stop_request() or StopReason.CANCELLED
        now_s = time.monotonic()
        since = self._asked_at.get(folder)
        if since is not None and now_s - since < _AGAIN_S:
            return
        self._asked_at[folder] = now_s
        with suppress(BackendError):
            self.desk.end(reference.read(folder) or found, launch, asked)

    @contextmanager
    def _alone(self, folder: Path) -> Iterator[None]:
        """While this runs nobody takes the attempt for one that was left half sent."""
        with self._guard:
            if folder in self._sending:
                raise BackendError(f"the attempt in {folder} is just being sent", transient=True)
            self._sending.add(folder)
        try:
            yield
        finally:
            with self._guard:
                self._sending.discard(folder)


def _key(place: Mapping[str, Any]) -> str:
    return json.dumps(place, sort_keys=True)
