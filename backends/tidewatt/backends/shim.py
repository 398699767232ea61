"""The process between supervisor and job: it claims the attempt and becomes the job."""

import errno
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

from tidewatt.backends import claim, durable, environment, kernel, limits, resumption
from tidewatt.backends.attempt import MARKS, Attempt, Outcome
from tidewatt.backends.backend import BackendError, Launch
from tidewatt.backends.cgroup import Cgroup
from tidewatt.backends.identity import Identity
from tidewatt.backends.processes import MARK

NOT_FOUND = 127  # as shells say it
NOT_STARTED = 126
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_PATIENCE_S, _PAUSE_S = 600.0, 0.5
_CAUGHT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM)
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """A forked job. `report` becomes readable: empty once it runs, else with why it does not, as JSON."""

    process: Identity
    pidfd: int
    report: int


class _RefusalError(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def fork(launch: Launch, leases: Sequence[int], private: Sequence[int], group: Cgroup | None = None) -> Job:
    """Forks what becomes the job, in this cgroup.

    It inherits the descriptors `leases` and closes those of `private`.
    """
    report, write = os.pipe()
    supervisor = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _CAUGHT)
    pid = os.fork()
    if pid == 0:
        for fd in (report, *private):
            os.close(fd)
        _become(launch, leases, write, supervisor, group)
    os.close(write)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return Job(Identity.require(pid), os.pidfd_open(pid), report)


def _become(
    launch: Launch, leases: Sequence[int], report: int, supervisor: int, group: Cgroup | None
) -> NoReturn:
    code = NOT_STARTED
    try:
        _listen_to_signals()
        kernel.die_with_parent(signal.SIGKILL)
        os.setsid()
        if os.getppid() == supervisor and _claim(launch):
            limits.enter(launch.limits, group)
            _exec(_going_on(launch), leases)
        code = 0  # somebody else has the claim: nothing to report
    except _RefusalError as refusal:
        code = refusal.code
        _report(launch, report, refusal)
    except BaseException as error:  # a fork must never return into the supervisor's code
        _report(launch, report, _RefusalError(NOT_STARTED, f"the job could not be started: {error!r}"))
    finally:
        os._exit(code)


def _listen_to_signals() -> None:
    """Every signal does what it does by default; those that came since the fork come now."""
    signal.set_wakeup_fd(-1)
    for number in (*_CAUGHT, *_IGNORED_BY_PYTHON):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _claim(launch: Launch) -> bool:
    """Claims the attempt. From here on this process is the job, whatever becomes of its supervisor."""
    kernel.die_with_parent(0)
    own = Identity.own()
    try:
        return claim.take(launch.folder, own, launch.clock.now_ms())
    except OSError:
        taken = claim.read(launch.folder)
        if taken is None or taken.process != own:
            raise  # another try may have it
    _patiently(partial(durable.sync_folder, launch.folder))  # it is ours, and only has to be durable
    return True


def _going_on(launch: Launch) -> Launch:
    """The launch with what it goes on from; that this was read and compared is part of the job's time."""
    going_on = resumption.prepare(launch)
    attempt = Attempt(launch.folder)
    if going_on.warnings:
        with suppress(OSError, durable.CorruptError):
            attempt.warn((*attempt.warnings(), *going_on.warnings))
    return going_on.applied(launch)


def _exec(launch: Launch, leases: Sequence[int]) -> NoReturn:
    values = _environment(launch)
    _enter(launch.snapshot or launch.cwd)
    if launch.umask is not None:
        os.umask(launch.umask)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    out = _output(launch.stdout)
    os.dup2(out, 1)
    os.dup2(out if launch.stderr == launch.stdout else _output(launch.stderr), 2)
    for fd in leases:
        os.set_inheritable(fd, True)
    try:
        os.execvpe(launch.argv[0], launch.argv, values)  # noqa: S606 - no shell: argv as it is
    except (OSError, ValueError) as error:
        raise _refused(error, launch.argv[0], values.get("PATH", os.defpath)) from error


def _environment(launch: Launch) -> dict[str, str]:
    kept: dict[str, str] = {}
    if launch.environment_file is not None:
        try:
            kept = environment.read(launch.environment_file)
        except BackendError as error:
            raise _RefusalError(NOT_STARTED, f"{error}; submit the job again") from error
    return (
        environment.base(os.environ)
        | kept
        | dict(launch.variables)
        | {
            "PWD": str(launch.snapshot or launch.cwd),
            "CUDA_VISIBLE_DEVICES": ",".join(launch.gpu_uuids),
            "TIDEWATT_JOB_ID": launch.attempt_id.partition(".")[0],
            "TIDEWATT_ATTEMPT": launch.attempt_id,
            MARK: str(launch.folder),
            MARKS: str(Attempt(launch.folder).marks),
        }
    )


def _enter(folder: Path) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise _RefusalError(
            NOT_STARTED,
            f"the job's folder {folder} cannot be entered: {error.strerror}; "
            "bring it back or submit from another one",
        ) from error


def _output(path: Path) -> int:
    # O_NONBLOCK: a named pipe without a reader is an error here, not a wait without end.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = _patiently(partial(os.open, path, flags, 0o666))
    except OSError as error:
        raise _RefusalError(
            NOT_STARTED,
            f"the output file {path} cannot be opened: {error.strerror}; choose another one",
        ) from error
    os.set_blocking(fd, True)
    return fd


def _patiently(step: Callable[[], T]) -> T:
    """Does it again while the disk is full or fails: that is no fault of the job, which has not begun."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return step()
        except OSError as error:
            if error.errno not in _FULL or time.monotonic() > until:
                raise
        time.sleep(_PAUSE_S)


def _refused(error: OSError | ValueError, command: str, path: str) -> _RefusalError:
    """Why exec failed, as a sentence."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOENT, errno.ENOTDIR):
        if "/" not in command:
            return _RefusalError(
                NOT_FOUND, f"the command `{command}` does not exist: it is nowhere in PATH ({path})"
            )
        if os.path.exists(command):
            reason = "the interpreter that its first line names does not exist"
            return _RefusalError(NOT_FOUND, f"the command `{command}` cannot be started: {reason}")
        return _RefusalError(NOT_FOUND, f"the command `{command}` does not exist in {os.getcwd()}")
    if number == errno.EACCES:
        hint = "make it executable (chmod +x), or name its interpreter before it"
        return _RefusalError(NOT_STARTED, f"the command `{command}` may not be executed: {hint}")
    if number == errno.ENOEXEC:
        hint = "a script needs a first line such as #!/bin/sh, or its interpreter named before it"
        return _RefusalError(NOT_STARTED, f"the command `{command}` is not a program: {hint}")
    said = error.strerror if isinstance(error, OSError) else str(error)
    return _RefusalError(NOT_STARTED, f"the command `{command}` cannot be started: {said}")


def _report(launch: Launch, report: int, refusal: _RefusalError) -> None:
    """Tells the supervisor or, where it is gone, its successor."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with suppress(OSError):
        try:
            os.write(report, json.dumps({"reason": str(refusal)}).encode())
        except BrokenPipeError:
            attempt = Attempt(launch.folder)
            outcome = Outcome(launch.clock.now_ms(), exit_code=refusal.code, reason=str(refusal))
            attempt.write(attempt.outcome, outcome)
