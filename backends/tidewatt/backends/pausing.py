"""Pauses of one job, as its supervisor brings them about.

`pausing.json` says how the job is to be: stopped, saved and ended, or running. The last word counts, and the
supervisor makes it so whenever it looks, so that neither its own end nor that of the daemon loses a pause or
a resumption. `saving.json` is there from the instant before the job is asked to save.
"""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from tidewatt.backends import checkpoint, durable, moves, standstill
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import Launch, Phase
from tidewatt.backends.cgroup import Cgroup
from tidewatt.backends.identity import Identity
from tidewatt.backends.metering import Metering
from tidewatt.backends.moves import Step
from tidewatt.backends.processes import Tree
from tidewatt.backends.rotation import Output

LOOK_S = 0.5  # how often the output of a job that saves is looked at
_TAIL_BYTES = 4 << 20


class Wish(StrEnum):
    """How a job is to be."""

    RUN = "run"
    STOP = "stop"
    CHECKPOINT = "checkpoint"


def ask(folder: Path, wish: Wish) -> None:
    """Writes it down, durably."""
    durable.replace(folder / "pausing.json", {"wish": wish.value})


def asked(folder: Path) -> Wish:
    """How the job is to be now."""
    try:
        content = durable.read(folder / "pausing.json")
        return Wish.RUN if content is None else Wish(content["wish"])
    except (durable.CorruptError, KeyError, ValueError):
        return Wish.RUN


@dataclass(frozen=True, slots=True)
class Saving:
    """That a job was asked to save: when, what of its output was there before, and until when it may take.

    `asked_ms` and `late_ms` are real Unix milliseconds; `late_ms` is when its time was over, None before.
    `sent` is False from writing this down until the signal is known to have been sent.
    """

    asked_ms: int
    output_bytes: int
    until_s: float  # monotonic, of the boot that the claim names
    sent: bool = False
    late_ms: int | None = None

    @classmethod
    def of(cls, folder: Path) -> "Saving | None":
        """What was written down, None where the job was not asked.

        Raises:
            durable.CorruptError: The file does not say it.
            OSError: It cannot be read.
        """
        content = durable.read(folder / "saving.json")
        try:
            return None if content is None else cls(**content)
        except TypeError as error:
            raise durable.CorruptError(f"{folder / 'saving.json'}: {error}") from error

    def write(self, folder: Path) -> None:
        """Writes it down, durably."""
        durable.replace(folder / "saving.json", asdict(self))


def number_of(launch: Launch) -> signal.Signals:
    """The signal that asks the job to save; SIGTERM where the terms name none."""
    name = launch.pausing.signal if launch.pausing else "TERM"
    return named(name) or signal.SIGTERM


def named(name: str) -> signal.Signals | None:
    """The signal of a name as in `kill -l`, with or without SIG; None where there is none."""
    return getattr(signal.Signals, f"SIG{name.upper().removeprefix('SIG')}", None)


def refusal(launch: Launch, members: list[Identity]) -> str:
    """Why this job cannot be paused by checkpoint now, "" where it can. Nothing is signalled for it.

    A job that tells of its work by our hooks may ask them whether a pause is coming, and so need not listen.
    """
    terms = launch.pausing
    if terms is None:
        return "it was not submitted with a way to save its work"
    number = number_of(launch)
    if any(standstill.listens(process, number) for process in members) or terms.anew:
        return ""
    if Attempt(launch.folder).marks.exists() or launch.resumes is not None:
        return ""
    place = checkpoint.Place.of(launch)
    if place.before(time.time_ns() // 1_000_000):
        return ""
    return f"nothing in it listens to {number.name} yet, and it has saved nothing so far: all would be lost"


@dataclass(slots=True)
class Pauses:
    """The pauses of one job under watch. `saving` is set while, and after, it was asked to save."""

    attempt: Attempt
    launch: Launch
    tree: Tree
    metering: Metering
    cgroup: Cgroup | None
    say: Callable[[str], None]
    steps: list[Step] = field(default_factory=list)
    saving: Saving | None = None
    inherited: bool = False  # an earlier supervisor was about to ask it to save, or had just done so

    @classmethod
    def of(
        cls,
        attempt: Attempt,
        launch: Launch,
        tree: Tree,
        metering: Metering,
        cgroup: Cgroup | None,
        say: Callable[[str], None],
    ) -> "Pauses":
        """Those of an attempt, as far as an earlier supervisor has come with them."""
        steps, saving = moves.read(attempt.folder), None
        with suppress(durable.CorruptError):
            saving = Saving.of(attempt.folder)
        inherited = saving is not None and not saving.sent
        return cls(attempt, launch, tree, metering, cgroup, say, steps, saving, inherited)

    @property
    def phase(self) -> Phase:
        """Where the job stands."""
        return self.steps[-1].move.phase if self.steps else Phase.RUNNING

    @property
    def stands(self) -> bool:
        """Whether it was stopped, so that no time of its own passes."""
        return self.phase is Phase.SUSPENDED

    @property
    def halted(self) -> bool:
        """Whether some of its processes may be stopped, by this supervisor or by one before."""
        return self.phase in (Phase.SUSPENDED, Phase.RESUMING) or (
            self.phase is Phase.PAUSING and self.saving is None
        )

    def stood_s(self) -> float:
        """Real seconds that it stood still by now."""
        return moves.stood_s(self.steps, time.monotonic())

    def follow(self) -> None:
        """Makes the job as it is to be; what cannot be done now is tried again with the next look."""
        try:
            self._follow(asked(self.attempt.folder))
        except OSError as error:
            self.say(f"the pause cannot be brought about yet: {error}")

    def due_s(self) -> float | None:
        """When to look again, on the monotonic clock; None where nothing is under way."""
        if self.saving is None or self.saving.late_ms is not None:
            return None
        if self.launch.pausing is not None and self.launch.pausing.log_line:
            return min(self.saving.until_s, time.monotonic() + LOOK_S)
        return self.saving.until_s

    def over(self) -> bool:
        """Whether a job that was asked to save is to be made to end: it has said that it has, or is late."""
        if self.saving is None or not self.saving.sent:
            return False
        if self.saving.late_ms is not None:
            return True
        if time.monotonic() < self.saving.until_s:
            return self.said()
        self.saving = replace(self.saving, late_ms=_now_ms())
        with suppress(OSError):
            self.saving.write(self.attempt.folder)
        return True

    def said(self) -> bool:
        """Whether the job's output has had the line of the terms since it was asked."""
        line = self.launch.pausing.log_line if self.launch.pausing else ""
        if not line or self.saving is None:
            return False
        output = Output(self.attempt.folder, self.launch.cwd / self.launch.stdout)
        with suppress(OSError, durable.CorruptError):
            end = output.end()
            begin = max(self.saving.output_bytes, end - _TAIL_BYTES)
            return line.encode() in output.read(begin, end - begin)
        return False

    def let_go(self, reason: str) -> None:
        """Lets a job that is stopped go on, since it is to end."""
        if self.stands:
            self._move(Phase.RESUMING, reason)
        self.metering.read("phase")
        standstill.release(self.tree, self.cgroup)

    def _follow(self, wish: Wish) -> None:
        if self.saving is not None:
            if not self.saving.sent:
                self._signal()
            return
        if wish is Wish.STOP:
            self._stop()
            return
        if self.phase in (Phase.SUSPENDED, Phase.RESUMING):
            self._resume()
        if self.phase is Phase.PAUSING and wish is Wish.RUN:  # an earlier supervisor came so far
            standstill.release(self.tree, self.cgroup)
            self._move(Phase.RUNNING, "the pause was taken back")
        elif wish is Wish.CHECKPOINT:
            self._save()

    def _stop(self) -> None:
        if self.stands:
            standstill.halt(self.tree, self.cgroup)  # somebody may have let one of them go on
            return
        if self.phase is Phase.RESUMING:
            self._resume()
        if self.phase is not Phase.PAUSING:
            self.metering.read("phase")
            self._move(Phase.PAUSING)
        others = standstill.halt(self.tree, self.cgroup)
        reason = f"{others} of its processes are another user's and go on" if others else ""
        self._move(Phase.SUSPENDED, reason)
        self.metering.read("phase")

    def _resume(self) -> None:
        self.metering.read("phase")
        if self.stands:
            self._move(Phase.RESUMING)
        standstill.release(self.tree, self.cgroup)
        self._move(Phase.RUNNING)

    def _save(self) -> None:
        """Asks the job to save its work and to end."""
        if why := refusal(self.launch, self.tree.members()):
            ask(self.attempt.folder, Wish.RUN)
            if self.phase is not Phase.PAUSING:
                self._move(Phase.PAUSING)
            self._move(Phase.RUNNING, f"not paused: {why}")
            return
        self.metering.read("phase")
        if self.phase is not Phase.PAUSING:
            self._move(Phase.PAUSING)
        terms = self.launch.pausing
        grace_s = terms.grace_s if terms else self.launch.grace_s
        with suppress(OSError):
            self.attempt.announce_pause(_now_ms() + round(grace_s * 1000))
        until_s = time.monotonic() + grace_s
        saving = Saving(_now_ms(), self._output_bytes(), until_s)
        saving.write(self.attempt.folder)
        self.saving = saving
        self._signal()

    def _signal(self) -> None:
        """Signals those that listen; those that do not would end, a shell around the training among them."""
        number = number_of(self.launch)
        leader = self.tree.leader
        if self.saving is None:
            return
        if not standstill.hold(leader):
            self._ended_first()
            return
        heard = [each.send(number) for each in self.tree.members() if standstill.listens(each, number)]
        leader.send(signal.SIGCONT)
        self.saving = replace(self.saving, sent=True)
        if not heard and not self.attempt.marks.exists():  # no need to wait: nobody will answer
            self.saving = replace(self.saving, until_s=time.monotonic())
        self.saving.write(self.attempt.folder)

    def _ended_first(self) -> None:
        """The job ended before this supervisor could ask it to save; one before it may have."""
        if self.inherited and self.saving is not None:
            self.saving = replace(self.saving, sent=True)
            self.saving.write(self.attempt.folder)
            return
        (self.attempt.folder / "saving.json").unlink(missing_ok=True)
        self.saving = None

    def _output_bytes(self) -> int:
        with suppress(OSError, durable.CorruptError):
            return Output(self.attempt.folder, self.launch.cwd / self.launch.stdout).end()
        return 0

    def _move(self, phase: Phase, reason: str = "") -> None:
        self.steps.append(moves.append(self.attempt.folder, phase, self.launch.clock, reason))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
