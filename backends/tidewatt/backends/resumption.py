"""How an attempt goes on with the work of a paused one: from its last checkpoint that is still good."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from tidewatt.backends import checkpoint, durable
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import Launch, PauseTerms
from tidewatt.backends.checkpoint import Checkpoint, Place
from tidewatt.backends.clock import moment


@dataclass(frozen=True, slots=True)
class Resumption:
    """What the job's command and environment get, and what its owner should know."""

    args: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def applied(self, launch: Launch) -> Launch:
        """The launch with them."""
        return replace(
            launch, argv=(*launch.argv, *self.args), variables={**launch.variables, **self.variables}
        )


def prepare(launch: Launch) -> Resumption:
    """Finds what the attempt goes on from, and sees that it lies where the job will look for it.

    A checkpoint that is not what it was is set aside (its name gets a dot before it and "not-whole" after
    it), and the last good one takes its place; nothing is deleted.
    """
    terms = launch.pausing
    if terms is None:
        return Resumption()
    place = Place.of(launch)
    always = {"TIDEWATT_CHECKPOINT_DIR": os.fspath(place.folder)} if terms.folder else {}
    if launch.resumes is None:
        return Resumption(variables=always)
    try:
        record = checkpoint.read(launch.resumes)
        if record is None:  # the attempt before was not paused: it was taken away, and saved what it saved
            newest = place.before(time.time_ns() // 1_000_000)
            if newest is not None:
                return Resumption(_args(terms, newest), always | _variables(terms, newest))
            record = _inherited(launch.resumes)
        path, warnings = (None, ()) if record is None else _found(launch, place, record)
    except (OSError, durable.CorruptError) as error:
        record, path, warnings = None, None, (f"the checkpoint cannot be read: {error}",)
    if path is None and not (record is not None and record.whole and not record.path):
        return Resumption((), always, (*warnings, "there is no good checkpoint: it starts anew"))
    return Resumption(_args(terms, path), always | _variables(terms, path), warnings)


def _inherited(folder: Path) -> Checkpoint | None:
    """What an attempt that kept nothing had gone on from itself."""
    seen = set[Path]()
    while folder not in seen:
        seen.add(folder)
        launch = Attempt(folder).launch()
        if launch is None or launch.resumes is None:
            return None
        folder = launch.resumes
        if (record := checkpoint.read(folder)) is not None:
            return record
    return None


def _found(launch: Launch, place: Place, record: Checkpoint) -> tuple[Path | None, tuple[str, ...]]:
    """Where the checkpoint is now that the job goes on from, None where there is none."""
    warnings: list[str] = []
    candidate, newer = record.good, None if record.whole else record
    while candidate is not None:
        target = _target(launch, place, candidate)
        source = _intact(candidate, target)
        if source is not None:
            if newer is not None:
                _set_aside(_target(launch, place, newer), target, launch.attempt_id)
                warnings.append(f"it goes on from the checkpoint of {_time(candidate)}")
            _bring(source, target, launch.attempt_id)
            return target, tuple(warnings)
        if not candidate.path:
            return None, tuple(warnings)
        warnings.append(f"the checkpoint of {_time(candidate)} ({target}) is not what was saved")
        newer = candidate
        candidate = candidate.previous
    if newer is not None:
        _set_aside(_target(launch, place, newer), None, launch.attempt_id)
    return None, tuple(warnings)


def _target(launch: Launch, place: Place, candidate: Checkpoint) -> Path | None:
    """Where the job will look for it: the folder of its checkpoints may be another one than before."""
    if not candidate.path:
        return None
    path, before = Path(candidate.path), None
    if launch.resumes is not None:
        with suppress(OSError, durable.CorruptError):
            before = Attempt(launch.resumes).launch()
    if before is not None and before.pausing is not None:
        old = Place.of(before).folder
        if path.is_relative_to(old):
            return place.folder / path.relative_to(old)
    return path


def _intact(candidate: Checkpoint, target: Path | None) -> Path | None:
    """Where it is as it was saved; None where it is nowhere."""
    if target is None:
        return None
    for path in dict.fromkeys((target, Path(candidate.path), Path(candidate.kept or candidate.path))):
        with suppress(OSError):
            if checkpoint.digest(path)[0] == candidate.digest:
                return path
    return None


def _bring(source: Path, target: Path | None, attempt_id: str) -> None:
    """Copies it to where the job will look for it; what is there is set aside."""
    if target is None or source == target:
        return
    _set_aside(target, None, attempt_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    import shutil  # only here: it takes a supervisor long to load

    draft = target.with_name(f".{target.name}.coming-{attempt_id}")
    if source.is_dir():
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(source, draft, symlinks=True)
    else:
        shutil.copy2(source, draft)
    os.replace(draft, target)


def _set_aside(path: Path | None, but: Path | None, attempt_id: str) -> None:
    """Takes a checkpoint that is no good out of the job's sight."""
    if path is None or path == but or not path.exists() or (but is not None and path in but.parents):
        return
    with suppress(OSError):
        path.rename(path.with_name(f".{path.name}.not-whole-{attempt_id}"))


def _args(terms: PauseTerms, path: Path | None) -> tuple[str, ...]:
    return tuple(each.replace("{checkpoint}", str(path or "")) for each in terms.resume_args)


def _variables(terms: PauseTerms, path: Path | None) -> dict[str, str]:
    given = {name: value.replace("{checkpoint}", str(path or "")) for name, value in terms.resume_env.items()}
    at = {} if path is None else {"TIDEWATT_CHECKPOINT": str(path)}
    return {"TIDEWATT_RESUME": "1", **at, **given}


def _time(candidate: Checkpoint) -> str:
    return f"{moment(candidate.at_ms):%H:%M} UTC"
