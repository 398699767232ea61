"""What is sent to Slurm: the batch script, the options of sbatch, and the files beside them."""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from tidewatt.backends import environment
from tidewatt.backends.backend import Launch
from tidewatt.backends.slurm.directives import Directives, directives
from tidewatt.backends.slurm.reach import Reach

if TYPE_CHECKING:
    from tidewatt.backends.slurm.options import SlurmOptions

RUN, ENVIRONMENT, CURRENT = "slurm.run", "slurm.env", "slurm.current"
CODE = "code"  # a copied working tree, where the nodes do not see ours
STOP, PAUSE, EXIT, GPUS, OUTPUT = "slurm.stop", "slurm.pause", "slurm.exit", "slurm.gpus", "slurm.out"
_BODY = Path(__file__).with_name("run.sh")
_SPARE_S = 120.0  # of Slurm's own limit, which is the last resort: ours ends the job first
_READ_ONLY = ("BASHOPTS", "SHELLOPTS", "UID", "EUID", "PPID", "BASH_VERSINFO")  # of bash
_REGION = ("partition", "account", "qos", "constraint")


@dataclass(frozen=True, slots=True)
class Submission:
    """One attempt as it is sent: to `there`, a folder that the nodes see."""

    launch: Launch
    options: "SlurmOptions"
    there: Path

    @property
    def directives(self) -> Directives:
        """What the user's own script asks for."""
        launch, options = self.launch, self.options
        settled = {name for name in _REGION if getattr(options, name)}
        settled |= {option[2:].partition("=")[0] for option in options.extra}
        folder = launch.snapshot or launch.cwd
        return directives(launch.argv, folder, frozenset(settled), options.allowed)

    @property
    def work(self) -> Path:
        """The folder there in which the job runs."""
        launch = self.launch
        if launch.snapshot is None:
            return launch.cwd
        return launch.snapshot if self.there == launch.folder else self.there / CODE

    def argv(self, not_before: str = "") -> list[str]:
        """Calls sbatch, which reads the batch script from its stdin; these options win over the script's.

        The client runs in an environment of a few names, which is all that the job inherits of it.
        """
        options = self.options
        words = ["sbatch", "--parsable", f"--comment={self.launch.token}", "--requeue", "--open-mode=append"]
        words += [f"--output={self.there / OUTPUT}", "--chdir=/", "--export=ALL"]
        words += [f"--begin={not_before}"] if not_before else []
        words += [f"--{name}={getattr(options, name)}" for name in _REGION if getattr(options, name)]
        return [*words, *options.extra]

    def batch(self) -> str:
        """The batch script: ours ask first, the user's own lines after them, so that those win."""
        launch = self.launch
        lines = ["#!/bin/bash", *(f"#SBATCH {line}" for line in self._asked())]
        for name, value in self.directives.options:
            lines.append(f"#SBATCH --{name}" + (f"={_directive(value)}" if value else ""))
        lines.append(f"# Tidewatt, attempt {launch.attempt_id}: which one it is by now stands in this file.")
        lines.append(f"FIRST={quote(str(self.there))}")
        lines.append(f'exec /bin/bash "$(cat "$FIRST/{CURRENT}")/{RUN}"')
        return "\n".join(lines) + "\n"

    def _asked(self) -> list[str]:
        launch, options = self.launch, self.options
        name = _directive(" ".join((launch.name or launch.token).split()))
        asked = [f"--job-name={name}", f"--cpus-per-task={max(1, launch.cpus)}"]
        asked += [f"--mem={launch.mem_mb}M"] if launch.mem_mb else []
        if launch.gpus:
            asked.append("--gres=" + ":".join(filter(None, ("gpu", options.gpu_name, str(launch.gpus)))))
        if launch.time_limit_s is not None:
            whole_s = launch.time_limit_s / launch.clock.factor + self._grace_s + _SPARE_S
            asked += [f"--time={math.ceil(whole_s / 60)}", f"--signal=B:TERM@{round(_SPARE_S / 2)}"]
        return asked

    @property
    def _grace_s(self) -> float:
        pausing = self.launch.pausing
        return max(self.launch.grace_s, 0 if pausing is None else pausing.grace_s)

    def run(self) -> str:
        """The script that runs the attempt on its node."""
        launch, terms = self.launch, self.launch.pausing
        limit_s = None if launch.time_limit_s is None else launch.time_limit_s / launch.clock.factor
        values = {
            "HERE": str(self.there),
            "ATTEMPT": launch.attempt_id,
            "GRACE": f"{launch.grace_s:g}",
            "LIMIT": "" if limit_s is None else f"{limit_s:.3f}",
            "WORK": str(self.work),
            "OUT": str(launch.cwd / launch.stdout),
            "ERR": str(launch.cwd / launch.stderr),
            "UMASK": f"{0o022 if launch.umask is None else launch.umask:03o}",
            "PAUSE_SIGNAL": terms.signal if terms else "",
            "PAUSE_GRACE": f"{terms.grace_s:g}" if terms else "",
            "PAUSE_CODES": " ".join(map(str, terms.exit_codes)) if terms else "",
            "PAUSE_FOLDER": terms.folder if terms else "",
            "PAUSE_FILE": terms.file if terms else "",
            "PAUSE_UNFINISHED": terms.unfinished if terms else "",
            "PAUSE_LINE": terms.log_line if terms else "",
        }
        lines = ["#!/bin/bash", *(f"{name}={quote(value)}" for name, value in values.items())]
        lines.append(f"COMMAND=({' '.join(map(quote, launch.argv))})")
        lines.append(f"METER=({' '.join(map(quote, self._meter()))})")
        return "\n".join(lines) + "\n" + _BODY.read_text()

    def _meter(self) -> list[str]:
        launch = self.launch
        if launch.readings is None or not self.options.python:
            return []
        words = [
            self.options.python,
            "-P",
            "-m",
            "tidewatt.backends.slurm.beside",
            str(self.there / "readings"),
        ]
        return [*words, launch.attempt_id, repr(launch.meter_interval_s), launch.clock.to_json()]

    def environment(self) -> str:
        """The job's environment as the shell takes it; raises BackendError where it cannot be read."""
        launch = self.launch
        kept = {} if launch.environment_file is None else environment.read(launch.environment_file)
        values = {**kept, **launch.variables, **own_variables(launch)}
        lines = [f"export {name}={quote(value)}" for name, value in values.items() if _is_name(name)]
        return "\n".join(lines) + "\n"

    def shown(self, call: list[str]) -> str:
        """All of it for people: of the environment only the names."""
        names = [line.partition("=")[0].removeprefix("export ") for line in self.environment().splitlines()]
        told = "\n".join(f"# {sentence}" for sentence in self.directives.dropped)
        kept = f"with {len(names)} variables from {ENVIRONMENT} ({' '.join(names)})"
        return "\n".join(
            (
                "# calls",
                " ".join(map(quote, call)),
                "# with this batch script on its stdin",
                self.batch() + told,
                f"# which runs {self.there / RUN}, {kept}",
                self.run(),
            )
        )

    def placing(self) -> str:
        """A shell script that puts all this into the folder there; to be repeated only before the start."""
        files = {RUN: self.run(), ENVIRONMENT: self.environment(), CURRENT: f"{self.there}\n"}
        lines = ["set -e", "umask 077", f"mkdir -p {quote(str(self.there))}", f"cd {quote(str(self.there))}"]
        for name, text in files.items():
            coded = base64.b64encode(text.encode(errors="surrogateescape")).decode()
            lines.append(f"base64 -d > .{name}.draft <<< {coded}")
            lines.append(f"sync .{name}.draft 2>/dev/null || :")
            lines.append(f"mv -f .{name}.draft {name}")
        return "\n".join(lines) + "\n"


def own_variables(launch: Launch) -> dict[str, str]:
    """What a job learns of itself; its GPUs are told by Slurm."""
    return {"TIDEWATT_JOB_ID": launch.attempt_id.partition(".")[0], "TIDEWATT_ATTEMPT": launch.attempt_id}


def clean(reach: Reach, argv: list[str], environ: Mapping[str, str]) -> list[str]:
    """The client in an environment of a few names, so that nothing of the daemon's gets into jobs."""
    names = {} if reach.ssh else environment.base(environ)
    if not reach.ssh and "SLURM_CONF" in environ and not reach.conf:
        names["SLURM_CONF"] = environ["SLURM_CONF"]
    whole = reach.clients(*argv)
    if reach.ssh:
        return whole
    return [whole[0], "-i", *(f"{name}={value}" for name, value in names.items()), *whole[1:]]


def instant(real_ms: int | None) -> str:
    """A moment as sbatch and scontrol take it with TZ=UTC; never earlier than asked for."""
    if real_ms is None:
        return ""
    return f"{datetime.fromtimestamp(math.ceil(real_ms / 1000), UTC):%Y-%m-%dT%H:%M:%S}"


def _directive(value: str) -> str:
    plain = all(letter.isprintable() and letter not in " '\"#;\\" for letter in value)
    return value if plain else quote(value)


def _is_name(name: str) -> bool:
    """Whether a shell takes this as the name of a variable; functions that bash exports are left out."""
    return (
        name.isidentifier()
        and name.isascii()
        and name not in ("BASHOPTS", "SHELLOPTS", "UID", "EUID", "PPID")
    )
