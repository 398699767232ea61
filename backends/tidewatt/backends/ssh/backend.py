"""Attempts on other hosts: each question goes to an agent there, which has the verbs of the local backend."""

import base64
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from shlex import join
from typing import Any

from tidewatt.backends import claim, durable, environment
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import (
    AttemptStatus,
    BackendError,
    Capacity,
    Launch,
    Move,
    PauseMode,
    Phase,
    StopReason,
)
from tidewatt.backends.ssh.link import Link

ENGINE = "engine.json"
ACCEPTED = "accepted.json"  # that the host has it, its GPUs there, and when it was seen to have started
SKEW_MS = 2_000  # clocks further apart make a job's times, and so its emissions, doubtful


@dataclass(slots=True)
class SshBackend:
    """Attempts on the hosts of `regions`. `home` is the daemon's state folder, whose paths differ there.

    An instance may be used from several threads.
    """

    regions: Mapping[str, Link]
    home: Path
    _links: dict[Path, Link] = field(default_factory=dict)

    def submit(self, launch: Launch) -> None:
        """Has the host's own supervisor start it; safe to repeat, since equal attempts are one there.

        Raises:
            BackendError: It was refused, or (transient) the host did not answer: it may have it.
        """
        folder = launch.folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if claim.read(folder) is not None:
            return
        link = self._link_for(launch)
        attempt = Attempt(folder)
        attempt.write_launch(launch)
        durable.create(folder / ENGINE, link.record())
        source = launch.snapshot or (launch.cwd if link.send else None)
        if source is not None:
            link.ask("room", attempt=self._name(folder))
            link.send_tree(source, f"{link.base}/{self._name(folder)}/tree")
        kept = launch.environment_file
        answer = link.ask(
            "submit",
            attempt=self._name(folder),
            launch=self._there(launch, link),
            environment=None if kept is None else environment.read(kept),
            sent=source is not None,
        )
        durable.create(folder / ACCEPTED, {"gpus": answer["gpus"], "started_ms": None})

    def status(self, folders: Iterable[Path]) -> dict[Path, AttemptStatus]:
        """What is known of each attempt; every host is asked once."""
        found: dict[Path, AttemptStatus] = {}
        asked: dict[Link, list[Path]] = {}
        for folder in folders:
            try:
                link = self._link(folder)
            except (OSError, durable.CorruptError, BackendError) as error:
                found[folder] = AttemptStatus(Phase.UNKNOWN, reason=f"cannot be told: {error}")
                continue
            if (here := _told_here(folder)) is not None:
                found[folder] = here
            elif link is None:
                found[folder] = AttemptStatus(Phase.LAUNCHING, reason="not submitted yet")
            else:
                asked.setdefault(link, []).append(folder)
        for link, theirs in asked.items():
            found |= self._of_host(link, theirs)
        return found

    def stop(self, folder: Path, reason: StopReason) -> None:
        """Asks for its end there; one that was never submitted never will be.

        Raises:
            BackendError: The host cannot be reached (transient): ask again.
        """
        link = self._link(folder)
        if link is None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            claim.poison(folder, f"{reason} before it started")
        elif _told_here(folder) is None:
            link.ask("stop", attempt=self._name(folder), reason=reason.value)

    def poison(self, folder: Path) -> bool:
        """Makes sure that an attempt which has not started never will; False where it had already started.

        Raises:
            BackendError: The host cannot be reached (transient): it cannot be told.
        """
        link = self._link(folder)
        if link is None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return claim.poison(folder, "withdrawn before it started")
        return bool(link.ask("poison", attempt=self._name(folder)))

    def logs(self, folder: Path, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """The job's output from this byte on.

        Raises:
            BackendError: The host cannot be reached (transient).
        """
        link = self._link(folder)
        if link is None:
            return b""
        return base64.b64decode(link.ask("logs", attempt=self._name(folder), offset=offset, limit=limit))

    def pause(self, folder: Path, mode: PauseMode) -> None:
        """Asks a running attempt to pause; raises BackendError where it cannot be."""
        self._linked(folder).ask("pause", attempt=self._name(folder), mode=mode.value)

    def resume(self, folder: Path) -> None:
        """Lets a suspended attempt go on; raises BackendError where it cannot."""
        self._linked(folder).ask("resume", attempt=self._name(folder))

    def signal(self, folder: Path, name: str) -> None:
        """Sends the attempt's processes a signal; raises BackendError where it cannot."""
        self._linked(folder).ask("signal", attempt=self._name(folder), name=name)

    def collect(self, folder: Path) -> bool:
        """Brings the readings of the host's meter that cover the attempt.

        Raises:
            BackendError: The host cannot be reached (transient).
        """
        status = self.status([folder])[folder]
        if status.started_ms is None or status.ended_ms is None:
            return status.phase is Phase.POISONED
        launch = Attempt(folder).launch()
        if launch is None or launch.readings is None:
            return True
        files = self._linked(folder).ask(
            "readings",
            attempt=self._name(folder),
            attempt_id=launch.attempt_id,
            start_ms=status.started_ms,
            end_ms=status.ended_ms,
        )
        into = folder / "readings"
        into.mkdir(mode=0o700, exist_ok=True)
        for name, text in files.items():
            path = into / Path(name).name
            draft = path.with_name(f".{path.name}")
            draft.write_text(text)
            draft.replace(path)
        followed_ms = launch.clock.at_ms(_real_ms(launch, status.ended_ms) + 3 * _interval_ms(launch) + 2_000)
        return launch.clock.now_ms() > followed_ms  # until then a reading after its end may come

    def capacity(self, region: str) -> Capacity:
        """What the host has; raises BackendError where it does not answer."""
        if region not in self.regions:
            raise BackendError(f"there is no region {region} any more")
        return Capacity(**self.regions[region].ask("capacity"))

    def rehearse(self, launch: Launch) -> str:
        """The command and what it is sent on stdin, values of the environment left out."""
        link = self._link_for(launch)
        kept = launch.environment_file
        names = sorted(environment.read(kept)) if kept is not None and kept.exists() else []
        question = {
            "verb": "submit",
            "base": link.base,
            "attempt": self._name(launch.folder),
            "launch": self._there(launch, link),
            "environment": dict.fromkeys(names, "..."),
            "sent": bool(launch.snapshot or link.send),
        }
        return f"{join(link.agent)} <<'END'\n{json.dumps(question, indent=2)}\nEND"

    def _of_host(self, link: Link, folders: list[Path]) -> dict[Path, AttemptStatus]:
        names = {self._name(folder): folder for folder in folders}
        try:
            answer = link.ask("status", attempts=list(names))
            skew_ms = _skew_ms(answer["now_ms"])
            return {
                names[name]: self._missing(link, names[name])
                if told is None
                else _noted(_status(told, skew_ms, link.host), names[name])
                for name, told in answer["attempts"].items()
            }
        except BackendError as error:
            return dict.fromkeys(folders, AttemptStatus(Phase.UNKNOWN, reason=str(error)))
        except (OSError, durable.CorruptError, KeyError, ValueError, TypeError) as error:
            sentence = f"{link.host} answers what is no status: {error!r}"
            return dict.fromkeys(folders, AttemptStatus(Phase.UNKNOWN, reason=sentence))

    def _missing(self, link: Link, folder: Path) -> AttemptStatus:
        """The status of an attempt that the host does not know."""
        accepted = durable.read(folder / ACCEPTED)
        if accepted is not None:
            lost = f"exit status lost: {link.host} knows nothing of it any more"
            return AttemptStatus(Phase.ENDED, started_ms=accepted["started_ms"], reason=lost)
        asked_s = time.time() - (folder / ENGINE).stat().st_mtime
        if not 0 <= asked_s <= link.timeout_s:  # what was sent by then has come, or never will
            link.ask("poison", attempt=self._name(folder))
        return AttemptStatus(Phase.LAUNCHING, reason=f"pending: {link.host} has not answered that it has it")

    def _link_for(self, launch: Launch) -> Link:
        if launch.region not in self.regions:
            raise BackendError(f"there is no region {launch.region} with the backend ssh")
        return self.regions[launch.region]

    def _link(self, folder: Path) -> Link | None:
        """The host that an attempt went to, whatever the configuration says now; None for none yet."""
        if folder not in self._links:
            record = durable.read(folder / ENGINE)
            if record is None:
                return None
            try:
                self._links[folder] = Link.restored(record)
            except (KeyError, TypeError) as error:
                raise durable.CorruptError(f"{folder / ENGINE} names no host: {error!r}") from error
        return self._links[folder]

    def _linked(self, folder: Path) -> Link:
        link = self._link(folder)
        if link is None:
            raise BackendError(f"the attempt in {folder} was not submitted")
        return link

    def _name(self, folder: Path) -> str:
        return f"jobs/{folder.parent.name}/{folder.name}"

    def _there(self, launch: Launch, link: Link) -> dict[str, Any]:
        """The launch with the paths that it has there."""

        def there(value: Any) -> Any:
            if isinstance(value, Path):
                inside = value.is_relative_to(self.home)
                return f"{link.base}/{value.relative_to(self.home)}" if inside else str(value)
            if isinstance(value, Mapping):
                return {name: there(each) for name, each in value.items()}
            return [there(each) for each in value] if isinstance(value, tuple) else value

        return {name: there(value) for name, value in asdict(launch).items()}


def _told_here(folder: Path) -> AttemptStatus | None:
    """What its claim here says: it was withdrawn before anything was sent."""
    taken = claim.read(folder)
    if taken is None or taken.process is not None:
        return None
    return AttemptStatus(Phase.POISONED, reason=taken.reason)


def _status(told: Mapping[str, Any], skew_ms: int, host: str) -> AttemptStatus:
    values = dict(told)
    values["phase"] = Phase(values["phase"])
    values["stopped"] = None if values["stopped"] is None else StopReason(values["stopped"])
    values["moves"] = tuple(
        Move(Phase(each["phase"]), int(each["at_ms"]), str(each["reason"])) for each in values["moves"]
    )
    warnings = tuple(str(each) for each in values["warnings"])
    if abs(skew_ms) > SKEW_MS:
        ahead = "ahead of" if skew_ms > 0 else "behind"
        seconds = round(abs(skew_ms) / 1000)
        warnings += (f"the clock of {host} is {seconds} s {ahead} ours: its times are shifted by that",)
    values["warnings"] = warnings
    values["gpu_uuids"] = tuple(values.get("gpu_uuids", ()))
    return AttemptStatus(**values)


def _noted(status: AttemptStatus, folder: Path) -> AttemptStatus:
    """The status with its GPUs; keeps that it was accepted there, and when it started."""
    known = durable.read(folder / ACCEPTED) or {"gpus": [], "started_ms": None}
    if status.started_ms is not None and known["started_ms"] is None:
        durable.replace(folder / ACCEPTED, {**known, "started_ms": status.started_ms})
    return replace(status, gpu_uuids=tuple(str(uuid) for uuid in known["gpus"]))


def _skew_ms(theirs_ms: int) -> int:
    return int(theirs_ms) - time.time_ns() // 1_000_000


def _real_ms(launch: Launch, clock_ms: int) -> int:
    clock = launch.clock
    return clock.real_ms + round((clock_ms - clock.replay_ms) / clock.factor)


def _interval_ms(launch: Launch) -> int:
    return round(launch.meter_interval_s * 1000)
