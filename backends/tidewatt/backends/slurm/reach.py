"""The way to a cluster's clients and files: on this host, or through a login node."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from tidewatt.backends.backend import BackendError

_NO_CONNECTION = 255  # ssh's own exit code
_TRANSIENT = (
    "timed out", "unable to contact", "can't be reached", "connection refused", "connection reset",
    "connection failure", "zero bytes", "temporarily", "try again", "slurm_persist_conn", "not responding",
    "communication", "invalid job credential", "protocol authentication", "database is busy", "backup",
    "can not be altered now",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reach:
    """How a cluster's clients are called, in plain values, so that it can be kept beside an attempt."""

    cluster: str = ""
    conf: str = ""
    ssh: str = ""
    ssh_options: tuple[str, ...] = ()
    timeout_s: float = 20.0

    @classmethod
    def restored(cls, record: Mapping[str, Any]) -> "Reach":
        """What `record` gave."""
        return cls(**{**record, "ssh_options": tuple(record["ssh_options"])})

    def record(self) -> dict[str, Any]:
        """For JSON; holds no secret."""
        return asdict(self)

    @property
    def place(self) -> str:
        """For people."""
        return (self.cluster or "Slurm") + (f" at {self.ssh}" if self.ssh else "")

    def clients(self, *argv: str) -> list[str]:
        """One of Slurm's clients on this cluster; it reads and writes times in UTC, as Unix seconds."""
        name, *rest = argv
        chosen = ["-M", self.cluster] if self.cluster else []
        conf = [f"SLURM_CONF={self.conf}"] if self.conf else []
        return ["env", "TZ=UTC", "SLURM_TIME_FORMAT=%s", *conf, name, *chosen, *rest]

    def command(self, argv: Sequence[str]) -> list[str]:
        """The whole argument vector; SSH hands words to a shell, so they are quoted."""
        if not self.ssh:
            return list(argv)
        patience = max(1, round(self.timeout_s / 2))
        shell = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={patience}", *self.ssh_options]
        return [*shell, "--", self.ssh, " ".join(map(quote, argv))]

    def call(self, *argv: str, text: str = "") -> str:
        """The output of one of Slurm's clients.

        Raises:
            BackendError: It refused, or it could not be asked (transient).
        """
        return self.run(self.clients(*argv), argv[0], text)

    def run(self, argv: Sequence[str], what: str, text: str = "") -> str:
        """The output of a command there; raises as `call` does."""
        try:
            done = subprocess.run(
                self.command(argv),
                input=text,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BackendError(
                f"{what} on {self.place} did not answer within {self.timeout_s:g} s", transient=True
            ) from error
        except OSError as error:
            raise BackendError(f"{what} cannot be run: {error}", transient=True) from error
        if done.returncode:
            raise self._failed(done.returncode, what, done.stderr or done.stdout)
        return done.stdout

    def script(self, text: str, *words: str) -> str:
        """The output of a shell script there; `words` are its $1 and on."""
        return self.run(["/bin/bash", "-s", "--", *words], "bash", text)

    def read(self, path: Path, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """Bytes of a file there; b"" where there is none.

        Raises:
            BackendError: It cannot be read.
        """
        if not self.ssh:
            try:
                with open(path, "rb") as file:
                    file.seek(offset)
                    return file.read(limit)
            except FileNotFoundError:
                return b""
            except OSError as error:
                raise BackendError(f"{path} cannot be read: {error}", transient=True) from error
        text = 'if [ -e "$1" ]; then tail -c "+$2" -- "$1" | head -c "$3"; fi'
        argv = ["/bin/bash", "-c", text, "bash", str(path), str(offset + 1), str(limit)]
        try:
            done = subprocess.run(
                self.command(argv), capture_output=True, timeout=self.timeout_s, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackendError(f"{path} on {self.place} cannot be read: {error}", transient=True) from error
        if done.returncode:
            raise self._failed(done.returncode, "tail", done.stderr.decode(errors="replace"))
        return done.stdout

    def _failed(self, code: int, what: str, said: str) -> BackendError:
        last = _last(said) or f"exit code {code}"
        if self.ssh and code == _NO_CONNECTION:
            return BackendError(f"{self.ssh} cannot be reached: {last}", transient=True)
        transient = code < 0 or any(word in said.lower() for word in _TRANSIENT)  # it was killed
        return BackendError(f"{what} on {self.place}: {last}", transient=transient)


def _last(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
