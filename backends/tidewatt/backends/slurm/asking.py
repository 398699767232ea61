"""How attempts are asked to end, or to save their work; whoever was asked may not have heard it."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tidewatt.backends import claim
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import AttemptStatus, BackendError, Phase, StopReason
from tidewatt.backends.slurm import facts
from tidewatt.backends.slurm.looking import Watch
from tidewatt.backends.slurm.reference import Reference
from tidewatt.backends.slurm.script import STOP

_BRIEF_S = 5.0
_ENDING = ("invalid job id", "already completing", "already completed")


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks by Slurm's clients, and by words beside the attempt for its script."""

    watch: Watch

    def stop(self, folder: Path, reason: StopReason) -> None:
        """Asks for its end. One that waits leaves the queue; one that was paused lets go of its place there.

        Raises:
            BackendError: Slurm or its files cannot be reached; `status` asks again.
        """
        attempt = Attempt(folder)
        attempt.make()
        attempt.request_stop(reason)
        reference = Reference.read(folder)
        if reference is None:
            claim.poison(folder, f"{reason} before it started")
            reference = Reference.read(folder)  # a submit at the same time
            if reference is None:
                return
        if poison(folder, f"{reason} before it started"):
            self._cancel(folder, reference)
            return
        self._end(folder, reference, attempt.stop_request() or reason)

    def ask_for_checkpoint(self, reference: Reference) -> None:
        """Wakes the attempt's script, which finds the request in its folder; `status` asks it again."""
        try:
            scancel(reference, "--signal=TERM", "--batch", reference.number)
        except BackendError as error:
            if not error.transient:
                raise

    def insist(self, folder: Path, status: AttemptStatus) -> None:
        """Asks again for the end of one that should have ended; whoever was asked may not have heard it."""
        attempt = Attempt(folder)
        if status.phase is Phase.PAUSING and attempt.stop_request() is None and self.watch.due(folder):
            with suppress(BackendError):
                self.ask_for_checkpoint(self.numbered(folder))
            return
        reason = attempt.stop_request()
        if reason is None or not self.watch.due(folder):
            return
        with suppress(BackendError):
            if status.phase is Phase.LAUNCHING:
                self.stop(folder, reason)
            elif (reference := Reference.read(folder)) is not None:
                self._end(folder, reference, reason)

    def numbered(self, folder: Path) -> Reference:
        """The attempt's reference, with its number."""
        reference = Reference.read(folder)
        if reference is None:
            raise BackendError(f"nothing was submitted in {folder}")
        if reference.number:
            return reference
        row = self.watch.row(reference)
        if row is None:
            raise BackendError("it is not known yet whether Slurm has it", transient=True)
        return reference.numbered(folder, row.number)

    def leave(self, reference: Reference, name: str, word: str) -> None:
        """A word for the attempt's script, unless it was left before."""
        text = 'umask 077; cd "$1" && { [ -e "$2" ] || { echo "$3" > ".$2.draft" && mv ".$2.draft" "$2"; }; }'
        reference.reach.script(text, str(reference.there), name, word)

    def _end(self, folder: Path, reference: Reference, reason: StopReason) -> None:
        """Ends one that has started: its script has the grace period, then Slurm itself ends the job."""
        seen = facts.look(reference.reach, [reference.there])[reference.there]
        if seen.exit:
            if seen.exit.get("stop") == "pause":
                self._cancel(folder, reference)
            return
        number = seen.number or reference.number
        launch = Attempt(folder).launch()
        grace_s = 30.0 if launch is None else launch.grace_s
        row = self.watch.row(replace(reference, number=number))
        if row is None:
            return
        if row.state == "SUSPENDED":  # a stopped process hears nothing
            reference.reach.call("scontrol", "resume", number)
        self.leave(reference, STOP, reason.value)
        if self.watch.asked_for_s(folder) > grace_s + 30:
            scancel(reference, number)
            return
        scancel(reference, "--signal=TERM", "--batch", number)

    def _cancel(self, folder: Path, reference: Reference) -> None:
        """Takes the job out of the queue, if it is still this attempt's."""
        row = self.watch.row(reference)
        if row is not None:
            scancel(reference, row.number)
        self.watch.forget(folder)


def poison(folder: Path, reason: str) -> bool:
    """Poisons the claim where jobs take it, and that on this host after it."""
    reference = Reference.read(folder)
    if reference is None:
        return claim.poison(folder, reason)
    if not facts.poison(reference.reach, reference.there, reason):
        return False
    if reference.there != folder:
        claim.poison(folder, reason)
    return True


def scancel(reference: Reference, *words: str) -> None:
    """Like the client; a job that is just ending is none to complain of.

    The client itself tries again for minutes while a job is just starting or ending; we rather ask later.
    """
    brief = replace(reference.reach, timeout_s=min(reference.reach.timeout_s, _BRIEF_S))
    try:
        brief.call("scancel", *words)
    except BackendError as error:
        if not any(word in str(error).lower() for word in _ENDING):
            raise
