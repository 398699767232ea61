"""Where the daemon keeps its things, and where it is found."""

import hashlib
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidewatt.backends.durable import sync_folder
from tidewatt.scheduler.errors import BadInput

SYSTEM_HOME, SYSTEM_RUNTIME = "var/lib/tidewatt", "run/tidewatt"  # below /, or TIDEWATT_SYSTEM_ROOT
SYSTEM_SOCKET = "tidewatt.sock"
LONGEST_SOCKET = 107  # bytes: sun_path of unix(7), less the closing zero


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of one state folder, and the socket that belongs to it.

    `system`: of the daemon that serves a group of this host; then `served` is that
    group and `group` its name, where they are known.
    """

    home: Path
    runtime: Path
    system: bool = False
    served: int | None = None
    group: str = ""

    @property
    def database(self) -> Path:
        """The SQLite database."""
        return self.home / "tidewatt.db"

    @property
    def jobs(self) -> Path:
        """One folder per job."""
        return self.home / "jobs"

    @property
    def readings(self) -> Path:
        """The meter's readings."""
        return self.home / "readings"

    @property
    def archive(self) -> Path:
        """What live sources told, as it was fetched."""
        return self.home / "grid.db"

    @property
    def models(self) -> Path:
        """Forecasting models trained on it."""
        return self.home / "models"

    @property
    def keys(self) -> Path:
        """The key that signs the ledger, and its public half."""
        return self.home / "keys"

    @property
    def heads(self) -> Path:
        """Signed heads of the ledger, one a line."""
        return self.home / "ledger" / "heads.jsonl"

    @property
    def policies(self) -> Path:
        """Configurations that were in force, each named by its digest."""
        return self.home / "policies"

    @property
    def log_folder(self) -> Path:
        """Logs of the daemon and of its commands."""
        return self.home / "log"

    @property
    def log(self) -> Path:
        """The daemon's log, JSON lines."""
        return self.log_folder / "daemon.log"

    @property
    def lock(self) -> Path:
        """Held by the daemon while it lives."""
        return self.home / "daemon.lock"

    @property
    def socket(self) -> Path:
        """The daemon's Unix socket: a short name of its own for each state folder."""
        if self.system:
            return self.runtime / SYSTEM_SOCKET
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return self.runtime / f"{digest}.sock"

    def job(self, job_id: int) -> Path:
        """The folder of one job."""
        return self.jobs / str(job_id)

    def make(self) -> None:
        """Makes state and runtime folders, for their owner only; others may pass through a system's.

        Raises:
            BadInput: where one cannot be made, is somebody else's, or the socket's path would be too long.
        """
        passed = {self.home: 0o711, self.jobs: 0o711, self.runtime: 0o755} if self.system else {}
        for folder in (self.home, self.jobs, self.readings, self.models, self.log_folder, self.runtime):
            _make_own(folder, passed.get(folder, 0o700))
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET:
            raise BadInput(
                f"the socket's path {self.socket} has more than {LONGEST_SOCKET} bytes: set"
                f" XDG_RUNTIME_DIR to a shorter folder"
            )


def paths(environ: Mapping[str, str], home: Path | None = None) -> Paths:
    """The paths for `home`, else for TIDEWATT_HOME, else for the user's state folder (XDG)."""
    if home is None:
        given = environ.get("TIDEWATT_HOME", "")
        home = Path(given) if given else _base(environ, "XDG_STATE_HOME", ".local/state") / "tidewatt"
    # realpath, so that one folder reached by two names has one socket
    return Paths(home=Path(os.path.realpath(home.expanduser())), runtime=_runtime(environ))


def system_paths(environ: Mapping[str, str]) -> Paths:
    """The paths of this host's shared daemon."""
    root = Path(os.path.realpath(environ.get("TIDEWATT_SYSTEM_ROOT") or "/"))
    return Paths(home=root / SYSTEM_HOME, runtime=root / SYSTEM_RUNTIME, system=True)


def mark(place: Paths) -> str:
    """The state folder's own mark, `tw-1f8e2a9c`, by which engines tell its attempts from those of others.

    It is drawn once and kept, so that it stays the same wherever the folder is moved, and after a power cut.
    """
    file = place.home / "mark"
    with suppress(FileNotFoundError):
        return file.read_text(encoding="utf-8").strip()
    draft = place.home / f".mark.{os.getpid()}.{secrets.token_hex(4)}"
    with draft.open("w", encoding="utf-8") as new:
        new.write(f"tw-{secrets.token_hex(4)}\n")
        new.flush()
        os.fsync(new.fileno())
    try:
        with suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink()
    sync_folder(place.home)
    return file.read_text(encoding="utf-8").strip()


def user_config(environ: Mapping[str, str]) -> Path:
    """The user's configuration file; it need not exist."""
    return _base(environ, "XDG_CONFIG_HOME", ".config") / "tidewatt" / "config.toml"


def _base(environ: Mapping[str, str], variable: str, default: str) -> Path:
    # The XDG specification says that relative paths in these variables are to be ignored.
    given = environ.get(variable, "")
    return Path(given) if given.startswith("/") else Path(environ.get("HOME") or Path.home()) / default


def _runtime(environ: Mapping[str, str]) -> Path:
    given = environ.get("XDG_RUNTIME_DIR", "")
    if given.startswith("/"):
        return Path(given) / "tidewatt"
    # cron and sudo do not set the variable: the folder of the login session is the same one nevertheless
    session = Path(f"/run/user/{os.getuid()}")
    return session / "tidewatt" if os.access(session, os.W_OK) else Path(f"/tmp/tidewatt-{os.getuid()}")  # noqa: S108 - made 0700, owner checked


def _make_own(folder: Path, mode: int) -> None:
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise BadInput(
            f"the folder {folder} cannot be made ({error.strerror}): choose another with TIDEWATT_HOME"
        ) from None
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.getuid():
        raise BadInput(
            f"the folder {folder} is not yours or is a link: remove it, or choose another with TIDEWATT_HOME"
        )
    if stat.S_IMODE(found.st_mode) != mode:
        folder.chmod(mode)
