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
from tidewatt.backends.slurm import capacity, continuing, energy, freight, replies
from tidewatt.backends.slurm.asking import Asking, poison, scancel
from tidewatt.backends.slurm.looking import Watch
from tidewatt.backends.slurm.options import SlurmOptions
from tidewatt.backends.slurm.reach import Reach
from tidewatt.backends.slurm.reference import Reference
from tidewatt.backends.slurm.script import PAUSE, Submission, clean, instant

SIGNALS = ("HUP", "INT", "QUIT", "USR1", "USR2", "WINCH")  # that the script in the allocation passes on
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
                    poison(launch.folder, str(error))
            raise

    def status(self, folders: Iterable[Path]) -> dict[Path, AttemptStatus]:
        """What is known of each attempt: one squeue for each cluster, more only where something ended."""
        found = self._watch.look(list(folders))
        for folder, status in found.items():
            if status.phase in (Phase.LAUNCHING, Phase.RUNNING, Phase.PAUSING, Phase.SUSPENDED):
                self._asking.insist(folder, status)
        return found

    def stop(self, folder: Path, reason: StopReason) -> None:
        """Asks for its end. One that waits leaves the queue; one that was paused lets go of its place there.

        Raises:
            BackendError: Slurm or its files cannot be reached; `status` asks again.
        """
        self._asking.stop(folder, reason)

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
        self._asking.leave(reference, PAUSE, "paused")
        self._watch.note(folder, Phase.PAUSING, launch.clock.now_ms())
        self._asking.ask_for_checkpoint(reference)

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
        scancel(reference, f"--signal={name}", "--batch", reference.number)

    def reschedule(self, folder: Path, not_before_ms: int | None) -> None:
        """Moves the start of a job that waits: no cancel, no second submit.

        Raises:
            BackendError: Slurm does not take it; transient where its number is not known yet.
        """
        reference = self._asking.numbered(folder)
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

    @property
    def _asking(self) -> Asking:
        return Asking(self._watch)

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
        return launch, self._asking.numbered(folder)

    def _options(self, region: str) -> SlurmOptions:
        if region not in self.regions:
            raise BackendError(f"the region {region!r} is not on Slurm: it is not configured so")
        return self.regions[region]


def reach_of(options: SlurmOptions) -> Reach:
    """The way to a region's cluster."""
    return Reach(options.cluster, options.conf, options.ssh, options.ssh_options, options.timeout_s)


def there_of(launch: Launch, options: SlurmOptions) -> Path:
    """The attempt's folder as the nodes see it."""
    return Path(options.folder) / launch.token if options.folder else launch.folder
