"""State folders as daemons of earlier days left them, made by `making`, put where a test wants them."""

import os
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

FOLDER = Path(__file__).parent
PLACE = "@place@"  # stands in the files for the folder that they were made in
WORDS = ("sh", "-c", 'while [ ! -e over ]; do echo "still here"; sleep 0.1; done')
SCHEMAS = (1, 2, 3, 4, 5)
SUPERVISORS = (1, 3, 5)  # of which the code is kept, too
DONE, RUNNING, WAITING, HELD = 1, 2, 3, 4  # its jobs


def unpacked(schema: int, place: Path) -> Path:
    """The state folder, `place`/home, with its store in SQLite; the code of then is in `place`/code."""
    with tarfile.open(FOLDER / f"schema-{schema}.tar.xz") as found:
        found.extractall(place, filter="data")
    home = place / "home"
    for path in home.rglob("*"):
        if path.is_file():
            path.write_text(path.read_text(encoding="utf-8").replace(PLACE, str(place)), encoding="utf-8")
            path.chmod(0o600)
    with closing(sqlite3.connect(home / "tidewatt.db")) as connection:
        connection.executescript((home / "store.sql").read_text(encoding="utf-8"))
    return home


def supervise(place: Path) -> None:
    """Has a supervisor of then start the job that runs; it leaves this process by itself."""
    subprocess.run(
        [sys.executable, "-P", "-m", "tidewatt.backends.supervisor", str(place / "home/jobs/2/1")],
        env={**os.environ, "PYTHONPATH": str(place / "code")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        check=True,
    )
