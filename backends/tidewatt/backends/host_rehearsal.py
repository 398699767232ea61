"""What would be started on this host, as text: the command, where, with what, and within which limits."""

from collections.abc import Iterator
from shlex import join

from tidewatt.backends import environment
from tidewatt.backends.backend import Launch, Limits, PauseTerms


def on_this_host(launch: Launch) -> str:
    """All that a supervisor would be told to start; of the environment its names alone."""
    return "\n".join(_lines(launch))


def _lines(launch: Launch) -> Iterator[str]:
    yield f"command:      {join(launch.argv)}"
    yield f"folder:       {launch.snapshot or launch.cwd}"
    yield "user:         " + (launch.owner.name if launch.owner else "the daemon's own")
    kept = launch.environment_file
    names = sorted(environment.read(kept)) if kept is not None and kept.exists() else []
    yield f"environment:  {', '.join(names) or 'PATH, HOME, USER, LOGNAME, LANG and SHELL alone'}"
    for name, value in sorted(launch.variables.items()):
        yield f"              {name}={value}"
    yield f"GPUs:         {', '.join(launch.gpu_uuids) or 'none'}"
    yield f"cores:        {launch.cpus}, memory: {f'{launch.mem_mb} MB' if launch.mem_mb else 'not limited'}"
    yield f"output:       {launch.stdout}"
    if launch.stderr != launch.stdout:
        yield f"errors:       {launch.stderr}"
    limit = "none" if launch.time_limit_s is None else f"{launch.time_limit_s:g} s"
    yield f"time limit:   {limit}; TERM, and KILL {launch.grace_s:g} s later"
    if launch.umask is not None:
        yield f"umask:        {launch.umask:04o}"
    yield f"limits:       {_limits(launch.limits)}"
    if launch.pausing is not None:
        yield f"pausing:      {_pausing(launch.pausing)}"
    yield f"token:        {launch.token}"


def _limits(limits: Limits | None) -> str:
    if limits is None:
        return "none"
    said = [f"nice {limits.nice}"] if limits.nice is not None else []
    said += ["reads and writes when nobody else does"] if limits.io_idle else []
    said += [f"memory {limits.memory_mb} MB"] if limits.memory_mb is not None else []
    said += [f"{limits.cores:g} cores"] if limits.cores is not None else []
    said += [f"output rotated at {limits.log_mb} MB"] if limits.log_mb is not None else []
    return ", ".join(said) or "none"


def _pausing(terms: PauseTerms) -> str:
    whole = [f"exit code {code}" for code in terms.exit_codes]
    whole += [f"a new {terms.file}"] if terms.file else []
    whole += [f"the line {terms.log_line!r}"] if terms.log_line else []
    return f"{terms.signal}, {terms.grace_s:g} s to save; whole by {', '.join(whole) or 'its normal end'}"
