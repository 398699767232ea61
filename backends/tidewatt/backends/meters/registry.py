"""The attempts whose CPU time is read: one durable file each, so that a restarted meter knows them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tidewatt.backends import durable
from tidewatt.backends.identity import Identity, boot_id


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered attempt; `job` is given where it is not below the supervisor (an adopting one)."""

    attempt_id: str
    supervisor: Identity
    job: Identity | None = None

    @property
    def born_ticks(self) -> int:
        """No process of the attempt is older than this."""
        return (self.job or self.supervisor).start_ticks


@dataclass(frozen=True, slots=True)
class Memory:
    """What the meter remembers of an attempt: its process groups, and CPU time that /proc has forgotten."""

    groups: tuple[int, ...] = ()
    forgotten_ms: int = 0


def write_entry(readings: Path, attempt_id: str, supervisor_pid: int, job_pid: int | None) -> None:
    """Registers the attempt, durably; raises OSError."""
    gone = Identity(boot_id(), supervisor_pid, 0)  # of a supervisor that has just died: nothing matches it
    supervisor = Identity.of(supervisor_pid) or gone
    job = Identity.of(job_pid) if job_pid else None
    content = {"attempt_id": attempt_id, "supervisor": supervisor.to_dict()}
    folder = _folder(readings)
    for made in (readings, folder):  # parents made on the way would be open to others
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.replace(folder / f"{attempt_id}.json", content | ({"job": job.to_dict()} if job else {}))


def entries(readings: Path) -> Iterator[Entry]:
    """The attempts registered now; those whose files cannot be read are not attributed."""
    for path in sorted(_folder(readings).glob("[!.]*.json")):
        try:
            if form := durable.read(path):
                job = Identity.from_dict(form["job"]) if "job" in form else None
                yield Entry(form["attempt_id"], Identity.from_dict(form["supervisor"]), job)
        except (OSError, ValueError, TypeError, KeyError, durable.CorruptError):
            continue


def remember(readings: Path, attempt_id: str, memory: Memory) -> None:
    """Keeps what the meter has to remember; raises OSError."""
    content = {"groups": list(memory.groups), "forgotten_ms": memory.forgotten_ms}
    durable.replace(_folder(readings) / f"{attempt_id}.memory", content)


def recall(readings: Path, attempt_id: str) -> Memory:
    """What was remembered, or nothing."""
    try:
        form = durable.read(_folder(readings) / f"{attempt_id}.memory")
        return Memory(tuple(form["groups"]), form["forgotten_ms"]) if form else Memory()
    except (OSError, ValueError, TypeError, KeyError, durable.CorruptError):
        return Memory()


def remove(readings: Path, attempt_id: str) -> None:
    """Ends a registration; nothing happens where there is none."""
    for ending in ("json", "memory"):
        (_folder(readings) / f"{attempt_id}.{ending}").unlink(missing_ok=True)


def _folder(readings: Path) -> Path:
    return readings / "running"
