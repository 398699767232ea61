"""Makes `.venv` what a lock says: `python3.11 requirements/environment.py base|dev`, called by the Makefile.

Does nothing where `.venv` is current, needs only Python with `venv`, and mends an environment that was left
half made or was made elsewhere. Packages are taken from wherever pip is configured to look.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# The Python below, where this runs in `.venv` itself: it must outlive the mending of `.venv`.
BASE = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
LOCKS = ("base", "dev")  # each holds all that those before it hold
SIZES = {"base": "700 MB on disk", "dev": "800 MB on disk"}


def stamp(lock: str) -> Path:
    """The file that holds what `.venv` was made from."""
    return VENV / f".tidewatt-{lock}"


def recipe(lock: str) -> str:
    """Digest of all that an environment depends on: the lock, the project file, the place and the Python."""
    digest = hashlib.sha256(f"{ROOT} {sys.version}".encode())
    for file in (ROOT / "requirements" / f"{lock}.txt", ROOT / "pyproject.toml"):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def current(lock: str) -> bool:
    """True where `.venv` was completely made for `lock`, or for one that holds more."""
    return any(
        stamp(held).is_file() and stamp(held).read_text() == recipe(held)
        for held in LOCKS[LOCKS.index(lock) :]
    )


def usable() -> bool:
    """True where `.venv` has a Python of this version that runs and has pip."""
    if not PYTHON.exists():
        return False
    probe = "import pip, sys; raise SystemExit(sys.version != sys.argv[1])"
    done = subprocess.run([PYTHON, "-c", probe, sys.version], capture_output=True, check=False)
    return done.returncode == 0


def make(lock: str) -> None:
    """Creates or mends `.venv`, installs the locked packages and the project; exits where that fails."""
    if not usable():
        made = subprocess.run(
            [BASE, "-m", "venv", "--clear", VENV], capture_output=True, text=True, check=False
        )
        if made.returncode:
            sys.exit(
                f"{made.stdout}{made.stderr}\n{BASE} cannot make a virtual environment in {VENV}. "
                "On Debian and Ubuntu: apt-get install python3-venv"
            )
    for other in LOCKS:
        stamp(other).unlink(missing_ok=True)
    requirements = ROOT / "requirements" / f"{lock}.txt"
    pip("install", "--require-hashes", "--no-deps", "--requirement", str(requirements))
    pip("install", "--no-deps", "--no-build-isolation", "--no-index", "--editable", str(ROOT))
    stamp(lock).write_text(recipe(lock))


def pip(*arguments: str) -> None:
    """Runs pip in `.venv`, showing the package it is at; exits with what pip said where it fails."""
    command = [str(PYTHON), "-m", "pip", *arguments, "--no-input", "--disable-pip-version-check"]
    said: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PIP_PROGRESS_BAR": "off", "PIP_ROOT_USER_ACTION": "ignore"},
    ) as process:
        assert process.stdout is not None  # noqa: S101 - told to be a pipe above
        for line in process.stdout:
            said.append(line)
            show(line)
    show("")
    if process.returncode:
        sys.exit(
            "".join(said[-15:])
            + "\nThe packages could not be installed (pip's words are above). Tidewatt takes them from where "
            "pip is configured to look (`pip config list`): check the network and that, then try again."
        )


def show(line: str) -> None:
    """On a terminal, replaces the status line by the package that pip names in `line`."""
    if not sys.stdout.isatty():
        return
    words = line.split()
    if not words:
        print("\r\033[K", end="", flush=True)
    elif words[0] in ("Collecting", "Downloading", "Installing"):
        print(f"\r\033[K  {words[0].lower()} {' '.join(words[1:])[:60]}", end="", flush=True)


def main() -> None:
    """Makes `.venv` current for the lock named on the command line."""
    lock = sys.argv[1] if len(sys.argv) == 2 else ""
    if lock not in LOCKS:
        sys.exit("usage: environment.py base|dev")
    if sys.platform != "linux":
        sys.exit("Tidewatt runs on Linux only: it needs /proc, Unix sockets and Linux's meters.")
    # Two makes at once (a person and their editor) take turns, and the second then finds it made.
    with (ROOT / "requirements" / "environment.py").open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if current(lock):
            return
        started = time.monotonic()
        print(f"Setting up .venv from requirements/{lock}.txt ({SIZES[lock]}, once) ...", flush=True)
        make(lock)
        print(f"Set up in {time.monotonic() - started:.0f} s.", flush=True)


if __name__ == "__main__":
    main()
