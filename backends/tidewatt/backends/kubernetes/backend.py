"""Runs jobs as Kubernetes Jobs, in any number of clusters, each asked once for all its attempts."""

import threading
from collections.abc import Callable, Iterable, Mapping
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
from tidewatt.backends.durably import durably
from tidewatt.backends.engines import Setting
from tidewatt.backends.kubernetes import (
    checkpoints,
    closing,
    energy,
    output,
    reference,
    release,
    room,
    witness,
)
from tidewatt.backends.kubernetes.clusters import Clusters, Statuses, View
from tidewatt.backends.kubernetes.entry import Entry, now_ms
from tidewatt.backends.kubernetes.facts import JobFacts, PodFacts, job_of
from tidewatt.backends.kubernetes.options import KubernetesOptions
from tidewatt.backends.kubernetes.quiet import Quiet
from tidewatt.backends.kubernetes.reference import Reference, Wanted
from tidewatt.backends.kubernetes.rehearsal import rehearsed
from tidewatt.backends.kubernetes.standing import Standing, needs_job, remembered, standing

_LOCKS = 64


@dataclass(slots=True)
class KubernetesBackend:
    """Attempts as Jobs of one pod. One instance may be used from several threads.

    It does not `Reschedule`: a Job that is suspended starts only when somebody lets it go, and that would be
    us; so a job is handed over when its start has come. An attempt that cannot be handed over for
    `give_up_s` is poisoned, and planned anew.
    """

    regions: Mapping[str, KubernetesOptions]
    setting: Setting
    clusters: Clusters = field(default_factory=Clusters)
    give_up_s: float = 120.0
    _locks: tuple[threading.RLock, ...] = field(
        default_factory=lambda: tuple(threading.RLock() for _ in range(_LOCKS))
    )
    _witnesses: dict[Path, threading.Thread] = field(default_factory=dict)
    _quiet: Quiet = field(default_factory=Quiet)

    def submit(self, launch: Launch) -> None:
        """Makes the Job suspended, writes down which one it is, and lets it go.

        Raises:
            BackendError: transient where it is open how far that came: `status` goes on with it. Otherwise
                the attempt is poisoned.
        """
        attempt = Attempt(launch.folder)
        with self._lock(launch.folder), durably(f"attempt {launch.attempt_id} cannot be submitted"):
            attempt.make()
            attempt.write_launch(launch)
            if attempt.exit.exists() or claim.read(launch.folder) is not None:
                return
            self._entry.hand_over(attempt, launch)

    def status(self, folders: Iterable[Path]) -> Statuses:
        """What is known of each attempt: of all that run in a namespace by one request."""
        answers: Statuses = {}
        live: dict[tuple[object, str, str], list[Path]] = {}
        for folder in folders:
            try:
                with self._lock(folder):
                    found = self._quiet.reference(folder) or self._entry.known(folder)
            except (OSError, durable.CorruptError, BackendError) as error:
                found = AttemptStatus(Phase.UNKNOWN, reason=f"cannot be told: {error}")
            if isinstance(found, AttemptStatus):
                answers[folder] = found
            else:
                live.setdefault((found.reach, found.namespace, found.home), []).append(folder)
        for group in live.values():
            answers |= self._polled(group)
        return answers

    def stop(self, folder: Path, reason: StopReason) -> None:
        """Has the attempt's pod ended; one that was not let go yet never will be.

        Raises:
            BackendError: The cluster could not be told now; `status` tells it again.
        """
        attempt = Attempt(folder)
        with self._lock(folder), durably(f"the attempt in {folder} cannot be stopped"):
            attempt.make()
            if attempt.exit.exists():
                return
            attempt.request_stop(reason)
            ref = reference.read(folder)
            if ref is None or not ref.released:
                self._entry.poison(folder, ref, f"{reason} before it started")
            elif ref.wanted is Wanted.RUN and claim.read(folder) is None:
                self._ask(attempt, ref, Wanted.STOP)

    def logs(self, folder: Path, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """The output of its container, standard output and error as one.

        Raises:
            BackendError: It cannot be read.
        """
        with durably(f"the output of the attempt in {folder} cannot be read"):
            ref = reference.read(folder)
            here = output.read(folder, offset, limit)
            if ref is None or ref.collected or not ref.pod or len(here) == limit:
                return here
            output.copy(self.clusters.of(ref.reach), folder, ref, ended=ref.finished_ms > 0)
            return output.read(folder, offset, limit)

    def pause(self, folder: Path, mode: PauseMode) -> None:
        """Suspends its Job: its pod gets SIGTERM, and has its grace period to save its work.

        Raises:
            BackendError: It cannot be paused so: its processes cannot be made to stand still from here.
        """
        attempt = Attempt(folder)
        with self._lock(folder), durably(f"the attempt in {folder} cannot be paused"):
            if mode is PauseMode.STOP:
                raise BackendError("pods cannot be made to stand still: pause it by checkpoint")
            checkpoints.agreed(attempt.launch())
            ref = reference.read(folder)
            if ref is None or not ref.started_ms or attempt.exit.exists():
                raise BackendError("it does not run")
            if ref.wanted is Wanted.RUN:
                self._ask(attempt, ref, Wanted.PAUSE)

    def resume(self, _folder: Path) -> None:
        """Nothing is ever suspended here: what was paused goes on as another attempt."""
        raise BackendError("it was paused by checkpoint: it goes on as another attempt")

    def signal(self, _folder: Path, name: str) -> None:
        """Not possible by this interface."""
        raise BackendError(f"Kubernetes sends pods no {name}: they can only be stopped or paused")

    def collect(self, folder: Path) -> bool:
        """Brings log and energy of an ended attempt here, then deletes its Job, pod and Secret."""
        attempt = Attempt(folder)
        with self._lock(folder), durably(f"the readings of the attempt in {folder} cannot be fetched"):
            ref, launch = reference.read(folder), attempt.launch()
            if ref is None or launch is None or not ref.released or ref.collected:
                return True
            try:
                if not closing.fetched(self.clusters.of(ref.reach), folder, ref):
                    return False
                done = energy.collect(folder, ref, launch, now_ms())
            except BackendError as error:
                if error.transient:
                    return False
                attempt.warn((*attempt.warnings(), f"not all of its log or energy can be had: {error}"))
                done = True
            if done:
                replace(ref, collected=True).replace(folder)
            return done

    def capacity(self, region: str) -> Capacity:
        """What the region's nodes have. Raises BackendError where the cluster does not tell."""
        options = self._entry.options(region)
        return room.capacity(self.clusters.of(self.clusters.reach(options)), options)

    def rehearse(self, launch: Launch) -> str:
        """The requests that would be sent."""
        return rehearsed(launch, self._entry.options(launch.region), self.setting.mark)

    def _polled(self, folders: list[Path]) -> Statuses:
        """The attempts of one namespace."""
        try:
            ref = reference.read(folders[0])
            assert ref is not None  # noqa: S101 - it was just read
            view = View(self.clusters.of(ref.reach), ref).look()
        except (OSError, durable.CorruptError, BackendError) as error:
            return {folder: AttemptStatus(Phase.UNKNOWN, reason=str(error)) for folder in folders}
        answers: Statuses = {}
        for folder in folders:
            try:
                with self._lock(folder):
                    answers[folder] = self._seen(folder, view)
            except (OSError, durable.CorruptError, BackendError) as error:
                answers[folder] = AttemptStatus(Phase.UNKNOWN, reason=f"cannot be told: {error}")
        return answers

    def _seen(self, folder: Path, view: View) -> AttemptStatus:
        """One attempt's status as the view shows it; what follows from it is done."""
        quiet = self._quiet.reference(folder)
        if quiet is not None and (status := self._quiet.status(folder, view.pod(quiet))) is not None:
            return status
        self._quiet.forget(folder)
        known = self._entry.known(folder)
        if isinstance(known, AttemptStatus):
            return known
        pod = view.pod(known)
        ref = self._remember(folder, known, pod)
        job = view.job(ref) if needs_job(ref, pod) else None
        attempt = Attempt(folder)
        stand = standing(ref, job, pod, attempt.stop_request(), now_ms())
        if not self._pressed(attempt, ref, job, stand):
            return AttemptStatus(Phase.POISONED, reason="the cluster does not let us start it")
        witnessed = folder in self._witnesses and self._witnesses[folder].is_alive()
        if stand.phase is Phase.ENDED and not witnessed:
            self._witnesses.pop(folder, None)
            return closing.close(attempt, ref, job, stand, now_ms())
        if stand.phase is Phase.POISONED:
            self._entry.poison(folder, ref, stand.reason)
        status = closing.live(attempt, ref, stand, witnessed)
        self._quiet.keep(folder, ref, pod, status)
        return status

    def _pressed(self, attempt: Attempt, ref: Reference, job: JobFacts | None, stand: Standing) -> bool:
        """Tells the cluster again what it was not told, or did not hear; False where it refuses to."""
        if job is None and not stand.give_up:
            return True
        if stand.give_up:
            self._ask(attempt, replace(ref, gave_up=stand.give_up), Wanted.STOP)
        elif job is not None and ref.wanted is not Wanted.RUN and job.wanted != ref.wanted and not job.over:
            release.ask(self.clusters.of(ref.reach), ref)
        elif job is not None and ref.wanted is Wanted.RUN and job.suspended and not ref.pushed:
            try:
                release.pushed(self.clusters.of(ref.reach), attempt.folder, ref)
            except BackendError as error:
                if error.transient:
                    raise
                self._entry.poison(attempt.folder, ref, str(error))
                return False
        return True

    def _remember(self, folder: Path, ref: Reference, pod: PodFacts | None) -> Reference:
        new = ref if pod is None else remembered(ref, pod, now_ms())
        if new != ref:
            new.replace(folder)
        return new

    def _ask(self, attempt: Attempt, ref: Reference, wanted: Wanted) -> None:
        """Writes down what is wanted, tells the cluster, and has the pod's last moments followed."""
        folder, launch = attempt.folder, attempt.launch()
        cluster, before = self.clusters.of(ref.reach), ref
        ref = replace(ref, wanted=wanted, asked_ms=now_ms())
        ref.replace(folder)
        form = release.ask(cluster, ref)
        if form is not None and job_of(form).over:
            before.replace(folder)  # it had come to its own end
        elif ref.pod and launch is not None:
            terms = launch.pausing
            grace_s = max(launch.grace_s, terms.grace_s if terms is not None else 0.0)
            self._witnesses[folder] = witness.watch(cluster, folder, ref, grace_s, self._witness(folder))

    def _witness(self, folder: Path) -> Callable[[PodFacts], None]:
        def seen(pod: PodFacts) -> None:
            with self._lock(folder):
                ref = reference.read(folder)
                if ref is not None and ref.uid == pod.owner:
                    self._remember(folder, ref, pod)

        return seen

    @property
    def _entry(self) -> Entry:
        return Entry(self.regions, self.setting.mark, self.clusters, self.give_up_s)

    def _lock(self, folder: Path) -> threading.RLock:
        return self._locks[hash(folder) % _LOCKS]
