"""Attempts as jobs of Slurm: submitted once, found again by their tokens, and started by one claim each."""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from tidewatt.backends import claim, durable
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import (
    AttemptStatus,
    BackendError,
    Capacity,
    Launch,
    PauseMode,
    Phase,
    StopReason,
)
from tidewatt.backends.engines import Setting
from tidewatt.backends.slurm import capacity, continuing, energy, facts, freight, replies
from tidewatt.backends.slurm.looking import Watch
from tidewatt.backends.slurm.options import SlurmOptions
from tidewatt.backends.slurm.reach import Reach
from tidewatt.backends.slurm.reference import Reference
from tidewatt.backends.slurm.script import PAUSE, STOP, Submission, clean, instant

SIGNALS = ("HUP", "INT", "QUIT", "USR1", "USR2", "WINCH")  # that the script in the allocation passes on
_BRIEF_S = 5.0
_ENDING = ("invalid job id", "already completing", "already completed")
_DENIED = ("access/permission denied", "permission denied", "not authorized", "accessdenied")


@dataclass(slots=True)
class SlurmBackend:
    """All regions on Slurm. One instance may be used from several threads."""

    regions: Mapping[str, SlurmOptions]
    setting: Setting
    _watch: Watch = field(default_factory=Watch)
    _unsuspendable: dict[str, str] = field(default_factory=dict)  # place -> what Slurm said
    _aging: capacity.Aging = field(default_factory=capacity.Aging)
    _figures: dict[str, capacity.Figures] = field(default_factory=dict)

    def submit(self, launch: Launch) -> None:
        """Sends the attempt once. Where that was tried before, `status` finds out what came of it.

        Raises:
            BackendError: Slurm refused it for good (it will never start), or, transient, gave no answer.
        """
        attempt = Attempt(launch.folder)
        try:
            attempt.make()
            attempt.write_launch(launch)
            if claim.read(launch.folder) is not None or Reference.read(launch.folder) is not None:
                return
        except (OSError, durable.CorruptError) as error:
            raise BackendError(
                f"attempt {launch.attempt_id} cannot be started: {error}", transient=True
            ) from error
        try:
            self._send(launch)
        except BackendError as error:
            if not error.transient:
                with suppress(BackendError):
                    self._poison(launch.folder, str(error))
            raise

    def status(self, folders: Iterable[Path]) -> dict[Path, AttemptStatus]:
        """What is known of each attempt: one squeue for each cluster, more only where something ended."""
        found = self._watch.look(list(folders))
        for folder, status in found.items():
            if status.phase in (Phase.LAUNCHING, Phase.RUNNING, Phase.PAUSING, Phase.SUSPENDED):
                self._insist(folder, status)
        return found

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
        if self._poison(folder, f"{reason} before it started"):
            self._cancel(folder, reference)
            return
        self._end(folder, reference, attempt.stop_request() or reason)

    def logs(self, folder: Path, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """The job's output from this byte on."""
        launch, reference = Attempt(folder).launch(), Reference.read(folder)
        if launch is None or reference is None:
            return b""
        return reference.reach.read(launch.cwd / launch.stdout, offset, limit)

    def pause(self, folder: Path, mode: PauseMode) -> None:
        """Suspends the job, or asks it for a checkpoint and, when it has ended, keeps its place in the queue.

        Raises:
            BackendError: Slurm does not let us suspend jobs, or it has no terms for checkpoints.
        """
        launch, reference = self._running(folder)
        if mode is PauseMode.STOP:
            self._suspend(reference)
            self._watch.note(folder, Phase.SUSPENDED, launch.clock.now_ms())
            return
        if launch.pausing is None:
            raise BackendError(f"attempt {launch.attempt_id} has no terms for a checkpoint")
        if self._watch.facts(reference).exit:  # it has ended just now, or was asked before
            return
        self._leave(reference, PAUSE, "paused")
        self._watch.note(folder, Phase.PAUSING, launch.clock.now_ms())
        self._ask_for_checkpoint(reference)

    def resume(self, folder: Path) -> None:
        """Lets a suspended job go on."""
        launch, reference = self._running(folder)
        reference.reach.call("scontrol", "resume", reference.number)
        self._watch.note(folder, Phase.RUNNING, launch.clock.now_ms())

    def signal(self, folder: Path, name: str) -> None:
        """Hands a signal to the job's processes; only kinds that the script in the allocation passes on."""
        name = name.upper().removeprefix("SIG")
        if name not in SIGNALS:
            raise BackendError(f"a job on Slurm can be sent {', '.join(SIGNALS)}, and not {name}")
        _, reference = self._running(folder)
        _scancel(reference, f"--signal={name}", "--batch", reference.number)

    def reschedule(self, folder: Path, not_before_ms: int | None) -> None:
        """Moves the start of a job that waits: no cancel, no second submit.

        Raises:
            BackendError: Slurm does not take it; transient where its number is not known yet.
        """
        reference = self._numbered(folder)
        if not_before_ms is None:
            reference.reach.call("scontrol", "uhold", reference.number)
            return
        past = not_before_ms <= time.time_ns() // 1_000_000
        begin = "now" if past else instant(not_before_ms)
        reference.reach.call("scontrol", "update", f"JobId={reference.number}", f"StartTime={begin}")
        reference.reach.call("scontrol", "release", reference.number)

    def collect(self, folder: Path) -> bool:
        """Brings what our meter read beside the job, else what Slurm's accounting says it used."""
        launch, reference = Attempt(folder).launch(), Reference.read(folder)
        if launch is None or reference is None:
            return True
        status = self._watch.look([folder])[folder]
        if status.phase not in (Phase.ENDED, Phase.POISONED):
            return False
        if status.started_ms is None:
            return True
        if reference.there != folder:
            freight.fetch(reference, folder)
        if any((folder / "readings").glob("*.jsonl*")):
            return True
        return energy.report(launch, reference, self._watch.facts(reference), status)

    def capacity(self, region: str) -> Capacity:
        """What the region's nodes have and what is free, and how long jobs waited there in the last week."""
        options = self._options(region)
        figures = self._figures.setdefault(region, capacity.Figures(reach_of(options), options))
        return figures.now()

    def ages_while_delayed(self, region: str) -> bool:
        """Whether a job that may not begin yet gains age, and so priority, in the region's queue.

        Asked under the daemon's lock: it takes some seconds at most, and once in a while only.

        Raises:
            BackendError: Slurm does not tell.
        """
        return self._aging.of(reach_of(self._options(region)))

    def rehearse(self, launch: Launch) -> str:
        """The call of sbatch, the batch script, and what that runs; values of variables are left out."""
        options = self._options(launch.region)
        submission = Submission(launch, options, there_of(launch, options))
        reach = reach_of(options)
        call = reach.command(clean(reach, submission.argv(instant(launch.not_before_ms)), os.environ))
        return submission.shown(call)

    def told(self, launch: Launch) -> tuple[str, ...]:
        """What of the script's #SBATCH lines is left out, in sentences."""
        options = self._options(launch.region)
        return Submission(launch, options, there_of(launch, options)).directives.dropped

    def _send(self, launch: Launch) -> None:
        options = self._options(launch.region)
        reach, there = reach_of(options), there_of(launch, options)
        prepared, warnings = continuing.prepared(launch, reach)
        submission = Submission(prepared, options, there)
        reference = Reference(
            token=launch.token,
            region=launch.region,
            reach=reach,
            there=there,
            sent_ms=time.time_ns() // 1_000_000,
            visible_within_s=options.visible_within_s,
        )
        if not launch.token:
            raise BackendError(f"attempt {launch.attempt_id} has no token to be known by")
        kept = continuing.place_of(launch, reach)
        if kept is not None:
            reference = replace(reference, number=kept.number, first=kept.first or kept.there)
        reference.write(launch.folder)
        if claim.read(launch.folder) is not None:  # it was stopped just now
            return
        if told := (*submission.directives.dropped, *warnings):
            Attempt(launch.folder).warn(told)
        freight.send(reference, launch)
        reach.script(submission.placing())
        if kept is not None and continuing.go_on(reference, launch.not_before_ms):
            return
        reference = replace(reference, number="", first=None)
        reference.write(launch.folder)
        argv = submission.argv(instant(launch.not_before_ms))
        said = reach.run(clean(reach, argv, os.environ), "sbatch", submission.batch())
        if number := replies.number(said):
            reference.numbered(launch.folder, number)

    def _ask_for_checkpoint(self, reference: Reference) -> None:
        """Wakes the attempt's script, which finds the request in its folder; `status` asks it again."""
        try:
            _scancel(reference, "--signal=TERM", "--batch", reference.number)
        except BackendError as error:
            if not error.transient:
                raise

    def _insist(self, folder: Path, status: AttemptStatus) -> None:
        """Asks again for the end of one that should have ended; whoever was asked may not have heard it."""
        attempt = Attempt(folder)
        if status.phase is Phase.PAUSING and attempt.stop_request() is None and self._watch.due(folder):
            with suppress(BackendError):
                self._ask_for_checkpoint(self._numbered(folder))
            return
        reason = attempt.stop_request()
        if reason is None or not self._watch.due(folder):
            return
        with suppress(BackendError):
            if status.phase is Phase.LAUNCHING:
                self.stop(folder, reason)
            elif (reference := Reference.read(folder)) is not None:
                self._end(folder, reference, reason)

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
        row = self._watch.row(replace(reference, number=number))
        if row is None:
            return
        if row.state == "SUSPENDED":  # a stopped process hears nothing
            reference.reach.call("scontrol", "resume", number)
        self._leave(reference, STOP, reason.value)
        if self._watch.asked_for_s(folder) > grace_s + 30:
            _scancel(reference, number)
            return
        _scancel(reference, "--signal=TERM", "--batch", number)

    def _cancel(self, folder: Path, reference: Reference) -> None:
        """Takes the job out of the queue, if it is still this attempt's."""
        row = self._watch.row(reference)
        if row is not None:
            _scancel(reference, row.number)
        self._watch.forget(folder)

    def _poison(self, folder: Path, reason: str) -> bool:
        """Poisons the claim where jobs take it, and that on this host after it."""
        reference = Reference.read(folder)
        if reference is None:
            return claim.poison(folder, reason)
        if not facts.poison(reference.reach, reference.there, reason):
            return False
        if reference.there != folder:
            claim.poison(folder, reason)
        return True

    def _leave(self, reference: Reference, name: str, word: str) -> None:
        """A word for the attempt's script, unless it was left before."""
        text = 'umask 077; cd "$1" && { [ -e "$2" ] || { echo "$3" > ".$2.draft" && mv ".$2.draft" "$2"; }; }'
        reference.reach.script(text, str(reference.there), name, word)

    def _suspend(self, reference: Reference) -> None:
        place = reference.reach.place
        if place in self._unsuspendable:
            raise BackendError(self._unsuspendable[place])
        try:
            reference.reach.call("scontrol", "suspend", reference.number)
        except BackendError as error:
            if any(word in str(error).lower() for word in _DENIED):
                said = f"only operators may suspend jobs on {place} ({error}): pause by checkpoint instead"
                self._unsuspendable[place] = said
                raise BackendError(said) from error
            raise

    def _running(self, folder: Path) -> tuple[Launch, Reference]:
        launch = Attempt(folder).launch()
        if launch is None:
            raise BackendError(f"nothing was submitted in {folder}")
        return launch, self._numbered(folder)

    def _numbered(self, folder: Path) -> Reference:
        """The attempt's reference, with its number."""
        reference = Reference.read(folder)
        if reference is None:
            raise BackendError(f"nothing was submitted in {folder}")
        if reference.number:
            return reference
        row = self._watch.row(reference)
        if row is None:
            raise BackendError("it is not known yet whether Slurm has it", transient=True)
        return reference.numbered(folder, row.number)

    def _options(self, region: str) -> SlurmOptions:
        if region not in self.regions:
            raise BackendError(f"the region {region!r} is not on Slurm: it is not configured so")
        return self.regions[region]


def _scancel(reference: Reference, *words: str) -> None:
    """Like the client; a job that is just ending is none to complain of.

    The client itself tries again for minutes while a job is just starting or ending; we rather ask later.
    """
    brief = replace(reference.reach, timeout_s=min(reference.reach.timeout_s, _BRIEF_S))
    try:
        brief.call("scancel", *words)
    except BackendError as error:
        if not any(word in str(error).lower() for word in _ENDING):
            raise


def reach_of(options: SlurmOptions) -> Reach:
    """The way to a region's cluster."""
    return Reach(options.cluster, options.conf, options.ssh, options.ssh_options, options.timeout_s)


def there_of(launch: Launch, options: SlurmOptions) -> Path:
    """The attempt's folder as the nodes see it."""
    return Path(options.folder) / launch.token if options.folder else launch.folder
