"""The way to one host: asks the agent there, one `ssh` a question."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from tidewatt.backends.backend import BackendError

VERSION = 1  # of what is said between both sides
_NO_CONNECTION = 255  # ssh's own exit code


@dataclass(frozen=True, slots=True)
class Link:
    """How a host is reached, in plain values, so that it can be kept beside an attempt."""

    host: str
    ssh: tuple[str, ...]
    python: str
    base: str  # folder there of all attempts of this daemon, below the home folder unless absolute
    send: bool
    timeout_s: float

    @classmethod
    def restored(cls, record: Mapping[str, Any]) -> "Link":
        """What `record` gave."""
        return cls(**{**record, "ssh": tuple(record["ssh"])})

    def record(self) -> dict[str, Any]:
        """For JSON; holds no secret."""
        return asdict(self)

    @property
    def shell(self) -> list[str]:
        """The `ssh` command without host and command: never asks for a password, never waits for long."""
        patience = max(1, round(self.timeout_s / 2))
        return ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={patience}", *self.ssh]

    def command(self, *words: str) -> list[str]:
        """The argument vector that runs these words there; SSH hands them to a shell, so they are quoted."""
        return [*self.shell, "--", self.host, " ".join(map(quote, words))]

    @property
    def agent(self) -> list[str]:
        """What asks the agent there: a question on stdin, its answer on stdout."""
        return self.command(self.python, "-m", "tidewatt.backends.ssh.agent")

    def ask(self, verb: str, **more: Any) -> Any:
        """The agent's answer.

        Raises:
            BackendError: It was refused there; transient where the host cannot be reached or does not answer.
        """
        question = json.dumps({"version": VERSION, "base": self.base, "verb": verb, **more})
        try:
            done = subprocess.run(
                self.agent,
                input=question,
                capture_output=True,
                text=True,
                timeout=self.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BackendError(
                f"{self.host} did not answer within {self.timeout_s:g} s", transient=True
            ) from error
        except OSError as error:
            raise BackendError(f"ssh cannot be started: {error}", transient=True) from error
        if done.returncode == _NO_CONNECTION:
            raise BackendError(f"{self.host} cannot be reached: {_last(done.stderr)}", transient=True)
        return self._answer(done.stdout, done.stderr)

    def send_tree(self, source: Path, target: str) -> None:
        """Copies a folder's files there.

        Raises:
            BackendError: They could not be copied.
        """
        shell = " ".join(map(quote, self.shell))
        words = ["rsync", "-a", "--delete", "-e", shell, f"{source}/", f"{self.host}:{target}/"]
        self._copy(words, f"{source} cannot be sent to {self.host}")

    def _copy(self, words: Sequence[str], what: str) -> None:
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackendError(f"{what}: {error}", transient=True) from error
        if done.returncode:
            raise BackendError(f"{what}: {_last(done.stderr)}", transient=True)

    def _answer(self, text: str, said: str) -> Any:
        try:
            answer = json.loads(text)
        except ValueError:
            raise BackendError(
                f"{self.host} has no Tidewatt that {self.python} finds ({_last(said) or 'it said nothing'}):"
                " install it there, or name its interpreter with options.python"
            ) from None
        if answer.get("version") != VERSION:
            raise BackendError(f"{self.host} has another version of Tidewatt: install the same one there")
        if "error" in answer:
            raise BackendError(f"{self.host}: {answer['error']}", transient=bool(answer.get("transient")))
        return answer["answer"]


def _last(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
