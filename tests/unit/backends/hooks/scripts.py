"""Training scripts for tests of the hooks: run in processes of their own, read as the daemon does."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from tidewatt.backends import marks
from tidewatt.backends.attempt import MARKS
from tidewatt.backends.clock import Clock
from tidewatt.backends.marks import Marks

LONG_MS = 2**45  # far beyond any real time


def script(
    text: str, folder: Path | None, variables: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[str]:
    """Starts a script that has the hooks; `folder` is the attempt's, None where Tidewatt did not start it."""
    start = "from tidewatt.backends import hooks\n"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWATT_")}
    if folder is not None:
        environment[MARKS] = str(folder / "marks")
    return subprocess.Popen(
        [sys.executable, "-c", start + textwrap.dedent(text)],
        env={**environment, **(variables or {})},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    text: str, folder: Path | None, variables: Mapping[str, str] | None = None, cwd: Path | None = None
) -> tuple[str, str]:
    """Runs a script to its end; what it printed, and what it complained of."""
    with script(text, folder, variables, cwd) as process:
        out, complaints = process.communicate(timeout=60)
        assert process.returncode == 0, complaints
    return out, complaints


def told(folder: Path, clock: Clock | None = None, start_ms: int = 0, end_ms: int = LONG_MS) -> Marks:
    """What the attempt's processes told."""
    return marks.read(folder / "marks", clock or Clock(), start_ms, end_ms)
