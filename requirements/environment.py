"""Makes an environment what a lock says: `python3.11 requirements/environment.py base|dev|clients`.

The first two are the product's own `.venv`, called for by the Makefile; `clients` is `.engines`, where other
people's clients of grid services live, which some tests drive. Does nothing where the environment is current,
needs only Python with `venv`, and mends one that was left half made or was made elsewhere. Packages are taken
from wherever pip is configured to look.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The Python below, where this runs in `.venv` itself: it must outlive the mending of `.venv`.
BASE = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
SIZES = {"base": "700 MB on disk", "dev": "800 MB on disk", "clients": "350 MB on disk"}


@dataclass(frozen=True)
class Environment:
    """A virtual environment and the locks that it may be made from; with `project`, Tidewatt is in it."""

    folder: Path
    locks: tuple[str, ...]  # each holds all that those before it hold
    project: bool

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"


ENVIRONMENTS = (
    Environment(ROOT / ".venv", ("base", "dev"), project=True),
    Environment(ROOT / ".engines", ("clients",), project=False),
)


def stamp(environment: Environment, lock: str) -> Path:
    """The file that holds what an environment was made from."""
    return environment.folder / f".tidewatt-{lock}"


def recipe(environment: Environment, lock: str) -> str:
    """Digest of all that an environment depends on: the lock, the project file, the place and the Python."""
    digest = hashlib.sha256(f"{ROOT} {sys.version}".encode())
    digest.update((ROOT / "requirements" / f"{lock}.txt").read_bytes())
    if environment.project:
        digest.update((ROOT / "pyproject.toml").read_bytes())
    return digest.hexdigest()


def current(environment: Environment, lock: str) -> bool:
    """True where an environment was completely made for `lock`, or for one that holds more."""
    return any(
        stamp(environment, held).is_file()
        and stamp(environment, held).read_text() == recipe(environment, held)
        for held in environment.locks[environment.locks.index(lock) :]
    )


def usable(environment: Environment) -> bool:
    """True where an environment has a Python of this version that runs and has pip."""
    if not environment.python.exists():
        return False
    probe = "import pip, sys; raise SystemExit(sys.version != sys.argv[1])"
    done = subprocess.run([environment.python, "-c", probe, sys.version], capture_output=True, check=False)
    return done.returncode == 0


def make(environment: Environment, lock: str) -> None:
    """Creates or mends an environment, installs what belongs there; exits where that fails."""
    folder, python = environment.folder, environment.python
    if not usable(environment):
        made = subprocess.run(
            [BASE, "-m", "venv", "--clear", folder], capture_output=True, text=True, check=False
        )
        if made.returncode:
            sys.exit(
                f"{made.stdout}{made.stderr}\n{BASE} cannot make a virtual environment in {folder}. "
                "On Debian and Ubuntu: apt-get install python3-venv"
            )
    for other in environment.locks:
        stamp(environment, other).unlink(missing_ok=True)
    requirements = ROOT / "requirements" / f"{lock}.txt"
    pip(python, "install", "--require-hashes", "--no-deps", "--requirement", str(requirements))
    if environment.project:
        pip(python, "install", "--no-deps", "--no-build-isolation", "--no-index", "--editable", str(ROOT))
    stamp(environment, lock).write_text(recipe(environment, lock))


def pip(python: Path, *arguments: str) -> None:
    """Runs an environment's pip, showing the package it is at; exits with what pip said where it fails."""
    command = [str(python), "-m", "pip", *arguments, "--no-input", "--disable-pip-version-check"]
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
    """Makes the environment of the lock that is named on the command line current."""
    lock = sys.argv[1] if len(sys.argv) == 2 else ""
    environment = next((each for each in ENVIRONMENTS if lock in each.locks), None)
    if environment is None:
        sys.exit("usage: environment.py base|dev|clients")
    if sys.platform != "linux":
        sys.exit("Tidewatt runs on Linux only: it needs /proc, Unix sockets and Linux's meters.")
    # Two makes at once (a person and their editor) take turns, and the second then finds it made.
    with (ROOT / "requirements" / "environment.py").open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if current(environment, lock):
            return
        started = time.monotonic()
        name = environment.folder.name
        print(f"Setting up {name} from requirements/{lock}.txt ({SIZES[lock]}, once) ...", flush=True)
        make(environment, lock)
        print(f"Set up in {time.monotonic() - started:.0f} s.", flush=True)


if __name__ == "__main__":
    main()
