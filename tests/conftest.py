"""What every test stands on: its own Tidewatt home, only loopback, recorded data where it is at hand."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / ".." / "shared"
CLIENTS = ROOT / ".engines" / "bin" / "python"  # other people's clients and readers
SERVERS = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"  # servers lie where not every user looks


def _commands(*names: str) -> Callable[[], bool]:
    return lambda: all(shutil.which(name, path=SERVERS) for name in names)


ENGINES: dict[str, Callable[[], bool]] = {
    "gcc": _commands("gcc"),
    "chromium": _commands("chromium"),
    "clients": lambda: (ROOT / ".engines" / ".tidewatt-clients").is_file() and CLIENTS.exists(),
    "slurm": _commands("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "sbatch"),
    "ssh": _commands("sshd", "ssh", "rsync"),
    "postgresql": lambda: any(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")),
}


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh folder for all state of the test, so that it sees neither the user's jobs nor another test's.

    Not below `tmp_path`: a Unix socket's path has 107 characters at most, and pytest's folders are long.
    """
    for name in [name for name in os.environ if name.startswith("TIDEWATT_")]:
        monkeypatch.delenv(name)
    folder = Path(tempfile.mkdtemp(prefix="tw-"))
    for name, part in {
        "TIDEWATT_HOME": "home",
        "TIDEWATT_LEASES": "leases",
        "XDG_RUNTIME_DIR": "run",
        "XDG_STATE_HOME": "state",
        "XDG_CONFIG_HOME": "config",
        "XDG_DATA_HOME": "data",
        "XDG_CACHE_HOME": "cache",
    }.items():
        (folder / part).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(folder / part))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)  # a process that is just ending may still write here
    structlog.reset_defaults()  # a log that a test set up is that test's


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded traces that lies beside a developer's checkout; skips where it does not."""
    return _beside("data")


@pytest.fixture(scope="session")
def shared_reference() -> Path:
    """The folder of reference pages and conformance vectors beside a checkout; skips where it is absent."""
    return _beside("REFERENCE")


@pytest.fixture(scope="session")
def require_engine() -> Callable[[str], None]:
    """Call it with an engine's name: skips where it is not installed, fails there under CI=true."""

    def require(name: str) -> None:
        if ENGINES[name]():
            return
        sentence = f"{name} is not installed: `make engines` installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)

    return require


def _beside(name: str) -> Path:
    folder = (SHARED / name).resolve()
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: the recorded data are not part of the repository")
    return folder
