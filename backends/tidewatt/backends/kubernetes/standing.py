"""How an attempt stands, decided from its reference, its Job and its pod; nothing is asked or changed."""

from dataclasses import dataclass, replace

from tidewatt.backends.backend import Phase, StopReason
from tidewatt.backends.kubernetes.facts import JobFacts, PodFacts
from tidewatt.backends.kubernetes.reference import Reference, Wanted

SETTLE_MS = 2000  # a controller that has just seen a Job let go may still make a pod of it
_TAKEN = ("Evicted", "NodeLost", "Preempting", "NodeShutdown", "Terminated")
_SIGNALS = (1, 2, 3, 4, 6, 7, 8, 9, 11, 13, 14, 15, 24, 25)  # 128 + n is how a container tells of signal n


@dataclass(frozen=True, slots=True)
class Standing:
    """A phase with what there is to say. `give_up`: it should be asked to end, for this reason."""

    phase: Phase
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    stopped: StopReason | None = None
    finished_ms: int = 0
    give_up: str = ""


def remembered(ref: Reference, pod: PodFacts, now_ms: int) -> Reference:
    """The reference with what its pod tells; what was once known stays."""
    return replace(
        ref,
        pod=pod.name,
        node=pod.node or ref.node,
        started_ms=ref.started_ms or pod.started_ms,
        finished_ms=ref.finished_ms or pod.finished_ms,
        exit_code=pod.exit_code if ref.exit_code is None else ref.exit_code,
        oom=ref.oom or pod.oom,
        taken_ms=ref.taken_ms or pod.asked_ms,
        disrupted=ref.disrupted or pod.disrupted or (pod.reason if pod.reason in _TAKEN else ""),
        late=ref.late or pod.reason == "DeadlineExceeded",
        hopeless_ms=(ref.hopeless_ms or now_ms) if pod.hopeless else 0,
    )


def needs_job(ref: Reference, pod: PodFacts | None) -> bool:
    """Whether its pod alone cannot tell how it stands."""
    if pod is None or ref.wanted is not Wanted.RUN:
        return True
    return not (pod.over or (pod.runs and not pod.deleting))


def standing(
    ref: Reference, job: JobFacts | None, pod: PodFacts | None, stop: StopReason | None, now_ms: int
) -> Standing:
    """How a Job that was let go stands. `job` None: it is certainly not there, or its pod told enough.

    `ref` remembers the pod already. `stop` is the reason that was given for its end.
    """
    if job is not None and job.over:
        return _over(ref, job, stop)
    if pod is not None and pod.over and pod.owner == ref.uid:
        return _over(ref, job, stop)  # no other pod comes: the Job does not retry
    if job is None and needs_job(ref, pod):
        return _gone(ref, stop)
    if ref.wanted is not Wanted.RUN:
        return _ending(ref, job, pod, stop, now_ms)
    if job is not None and job.suspended:
        return _held(ref)
    return _going(ref, pod, now_ms)


def _going(ref: Reference, pod: PodFacts | None, now_ms: int) -> Standing:
    if pod is None:
        if ref.started_ms:
            return Standing(Phase.RUNNING, "its pod is gone, and its Job has not told how it ended")
        return Standing(Phase.LAUNCHING, "pending: no pod yet")
    if pod.phase == "Unknown":
        return Standing(Phase.UNKNOWN, f"the node {pod.node} does not answer")
    if pod.runs or ref.started_ms:
        return Standing(Phase.RUNNING, "its pod is being deleted" if pod.deleting else "")
    if pod.hopeless and now_ms - ref.hopeless_ms > 1000 * ref.pull_patience_s:
        word = f"it cannot start: {pod.waiting.removeprefix('pending: ')}: mend the image or the options"
        return Standing(Phase.LAUNCHING, pod.waiting, give_up=word)
    return Standing(Phase.LAUNCHING, pod.waiting or "pending")


def _held(ref: Reference) -> Standing:
    """Suspended, and not by us."""
    if ref.started_ms:
        who = f"the queue {ref.queue}" if ref.queue else "somebody"
        return Standing(Phase.RUNNING, give_up=f"{who} suspended its Job")
    if ref.queue:
        return Standing(Phase.LAUNCHING, f"pending: waits in the queue {ref.queue}")
    return Standing(Phase.LAUNCHING, "pending: not let go yet")


def _ending(
    ref: Reference, job: JobFacts | None, pod: PodFacts | None, stop: StopReason | None, now_ms: int
) -> Standing:
    """We asked for its end."""
    settled = ref.started_ms or now_ms - ref.asked_ms >= SETTLE_MS
    if job is not None and job.rests and pod is None and settled:
        return _stopped(ref, stop)
    if not ref.started_ms:
        return Standing(Phase.LAUNCHING, "is being withdrawn")
    return Standing(Phase.PAUSING if ref.wanted is Wanted.PAUSE else Phase.RUNNING)


def _gone(ref: Reference, stop: StopReason | None) -> Standing:
    """Its Job is not there."""
    if ref.wanted is not Wanted.RUN:
        return _stopped(ref, stop)
    said = "exit status lost: somebody deleted its Job"
    return Standing(Phase.ENDED, said, finished_ms=ref.finished_ms)


def _over(ref: Reference, job: JobFacts | None, stop: StopReason | None) -> Standing:
    finished_ms = ref.finished_ms or (job.finished_ms if job is not None else 0)
    if ref.wanted is not Wanted.RUN and not _by_itself(ref):
        return replace(_stopped(ref, stop), finished_ms=finished_ms)
    exit_code, number = exit_status(ref)
    if job is not None and job.complete:
        exit_code, number = 0, None
    stopped, reason = _taken(ref, job)
    if not reason and ref.oom:
        reason = "killed: it used more memory than it may"
    if not reason and exit_code is None and number is None:
        told = f"{job.failed}: {job.said}" if job is not None else ""
        reason = f"exit status lost: {told or 'its pod is gone'}"
    return Standing(Phase.ENDED, reason, exit_code, number, stopped, finished_ms)


def _by_itself(ref: Reference) -> bool:
    """Whether its container was seen to have ended before its deletion was asked for."""
    return ref.exit_code is not None and (not ref.taken_ms or 0 < ref.finished_ms < ref.taken_ms)


def _taken(ref: Reference, job: JobFacts | None) -> tuple[StopReason | None, str]:
    """Why the cluster ended it, where it did."""
    failed = job.failed if job is not None else ""
    if failed == "DeadlineExceeded" or ref.late:
        return StopReason.TIME_LIMIT, f"stopped: {StopReason.TIME_LIMIT}"
    if ref.disrupted or failed == "PodFailurePolicy":
        return StopReason.PREEMPTED, f"its place was taken away: {ref.disrupted or 'its pod was disrupted'}"
    if ref.taken_ms and not _by_itself(ref):
        return StopReason.SIGNALLED, "stopped: somebody deleted its pod"
    return None, ""


def _stopped(ref: Reference, stop: StopReason | None) -> Standing:
    """Its end after we asked for it."""
    if not ref.started_ms:
        said = ref.gave_up or f"{stop or StopReason.CANCELLED} before it started"
        return Standing(Phase.POISONED, said)
    exit_code, number = exit_status(ref)
    if ref.gave_up:
        why, said = StopReason.PREEMPTED, f"its place was taken away: {ref.gave_up}"
    elif ref.wanted is Wanted.PAUSE and stop is None:
        why, said = StopReason.PAUSED, "paused"
    else:
        why = stop or StopReason.CANCELLED
        said = f"stopped: {why}"
    return Standing(Phase.ENDED, said, exit_code, number, why, ref.finished_ms)


def exit_status(ref: Reference) -> tuple[int | None, int | None]:
    """Exit code and signal; neither where its pod was gone before it could be asked."""
    if ref.exit_code is not None and ref.exit_code - 128 in _SIGNALS:
        return None, ref.exit_code - 128
    return ref.exit_code, None
