"""What a Job and its pod say of themselves, read from the cluster's own forms."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidewatt.backends.kubernetes.manifest import CONTAINER, WANTED

Form = dict[str, Any]
_HOPELESS = (  # such a container starts only once somebody mends the image or its settings
    "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull",
    "CreateContainerConfigError", "CreateContainerError", "RunContainerError",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PodFacts:
    """One pod. Times are real Unix milliseconds in whole seconds, 0 where not known."""

    name: str
    owner: str  # uid of its Job
    node: str
    phase: str  # "Pending", "Running", "Succeeded", "Failed", "Unknown"
    reason: str  # "DeadlineExceeded", "Evicted"
    created_ms: int
    started_ms: int = 0
    finished_ms: int = 0
    exit_code: int | None = None
    oom: bool = False
    runs: bool = False
    waiting: str = ""  # why it does not start
    hopeless: bool = False
    disrupted: str = ""  # who took it away
    deleting: bool = False
    asked_ms: int = 0  # when its deletion was asked for

    @property
    def over(self) -> bool:
        """Whether its container has ended, or never will run."""
        return self.exit_code is not None or self.phase in ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class JobFacts:
    """One Job. `failed` is its reason ("BackoffLimitExceeded") once it has failed."""

    uid: str
    wanted: str
    suspended: bool
    rests: bool  # its controller has seen that it is suspended, and no pod of it is left
    complete: bool
    failed: str
    said: str
    started_ms: int
    finished_ms: int

    @property
    def over(self) -> bool:
        """Whether it has come to its own end."""
        return self.complete or bool(self.failed)


def time_ms(text: str | None) -> int:
    """Unix milliseconds of a cluster's time, 0 for none."""
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000) if text else 0


def job_of(form: Form) -> JobFacts:
    """The facts of a Job."""
    metadata, status = form["metadata"], form.get("status") or {}
    held = {each["type"]: each for each in status.get("conditions") or () if each.get("status") == "True"}
    failed = held.get("Failed") or {}
    done = held.get("Complete") or failed
    return JobFacts(
        uid=metadata["uid"],
        wanted=(metadata.get("annotations") or {}).get(WANTED, ""),
        suspended=bool((form.get("spec") or {}).get("suspend")),
        rests="Suspended" in held and not status.get("active") and not status.get("terminating"),
        complete="Complete" in held,
        failed=(failed.get("reason") or "Failed") if failed else "",
        said=str(failed.get("message", "")),
        started_ms=time_ms(status.get("startTime")),
        finished_ms=time_ms(status.get("completionTime") or done.get("lastTransitionTime")),
    )


def pod_of(form: Form) -> PodFacts:
    """The facts of a pod."""
    metadata, spec, status = form["metadata"], form.get("spec") or {}, form.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    container: Form = next(
        (each for each in status.get("containerStatuses") or () if each.get("name") == CONTAINER), {}
    )
    state = container.get("state") or {}
    ended, running, waits = (state.get(word) or {} for word in ("terminated", "running", "waiting"))
    disrupted = conditions.get("DisruptionTarget") or {}
    deleted_ms = time_ms(metadata.get("deletionTimestamp"))
    return PodFacts(
        name=metadata["name"],
        owner=next(
            (each["uid"] for each in metadata.get("ownerReferences") or () if each.get("controller")), ""
        ),
        node=str(spec.get("nodeName") or ""),
        phase=str(status.get("phase") or "Pending"),
        reason=str(status.get("reason") or ""),
        created_ms=time_ms(metadata.get("creationTimestamp")),
        started_ms=time_ms((ended or running).get("startedAt")),
        finished_ms=time_ms(ended.get("finishedAt")),
        exit_code=int(ended["exitCode"]) if "exitCode" in ended else None,
        oom=ended.get("reason") == "OOMKilled",
        runs="running" in state,
        waiting=_waiting(conditions.get("PodScheduled") or {}, waits),
        hopeless=waits.get("reason") in _HOPELESS,
        disrupted=str(disrupted.get("reason") or "taken away") if disrupted.get("status") == "True" else "",
        deleting=bool(deleted_ms),
        asked_ms=deleted_ms - 1000 * int(metadata.get("deletionGracePeriodSeconds") or 0)
        if deleted_ms
        else 0,
    )


def _waiting(scheduled: Form, waits: Form) -> str:
    if scheduled.get("status") == "False":
        return f"pending: {scheduled.get('reason', 'not scheduled')}: {scheduled.get('message', '')}"[:300]
    reason = str(waits.get("reason") or "")
    if reason in ("", "ContainerCreating", "PodInitializing"):
        return f"pending: {reason}" if reason else ""
    return f"pending: {reason}: {waits.get('message', '')}"[:300]
