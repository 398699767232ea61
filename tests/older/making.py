"""Writes what a daemon of an earlier day left behind: `python -m tests.older.making SCHEMA COMMIT`.

The daemon of that commit runs in a folder of its own, with a job that is done, one that runs, one that waits
and one that is held, and is killed. Kept are its store as SQL, its jobs' files, and the code by which its
supervisor and its meter ran; of the environment, only what the test itself sets.
"""

import ast
import io
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psutil

from tests.conftest import ROOT
from tests.older.past import FOLDER, PLACE, SUPERVISORS, WORDS

AREAS = ("forecasting", "backends", "scheduler")
PROCESSES = ("tidewatt.backends.supervisor", "tidewatt.backends.meters.process")
JOBS = (
    ("--", "true"),
    ("--duration", "10m", "--", *WORDS),
    ("--duration", "1h", "--finish-by", "20h", "--", "sh", "-c", "echo later"),
    ("--hold", "--", "sh", "-c", "echo held"),
)
KEPT = ("jobs/*/env.json", "jobs/*/*/launch.json", "jobs/1/1/*.json", "jobs/1/1/claim", "readings/*.jsonl")


def main(schema: str, commit: str) -> None:
    """Writes tests/older/schema-SCHEMA.tar.xz."""
    with tempfile.TemporaryDirectory(prefix="tw-") as name:
        place, code = Path(name), Path(name) / "code"
        archive = subprocess.run(
            ["git", "archive", commit, *AREAS], cwd=ROOT, capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as found:
            found.extractall(code, filter="data")
        _live(place, code)
        with tarfile.open(FOLDER / f"schema-{schema}.tar.xz", "w:xz", preset=9) as target:
            _add(target, "home/store.sql", _dump(place / "home/tidewatt.db").replace(str(place), PLACE))
            for pattern in KEPT:
                for path in sorted((place / "home").glob(pattern)):
                    text = path.read_text(encoding="utf-8").replace(str(place), PLACE)
                    _add(target, str(path.relative_to(place)), text)
            for path in _modules(code / "backends") if int(schema) in SUPERVISORS else ():
                _add(target, f"code/{path.relative_to(code / 'backends')}", path.read_text(encoding="utf-8"))


def _live(place: Path, code: Path) -> None:
    """A short life of that daemon, and its end."""
    for part in ("home", "leases", "run", "work"):
        (place / part).mkdir(mode=0o700, parents=True)
    environ = {
        "PATH": os.defpath,
        "HOME": str(place / "work"),
        "TIDEWATT_HOME": str(place / "home"),
        "TIDEWATT_LEASES": str(place / "leases"),
        "XDG_RUNTIME_DIR": str(place / "run"),
        "PYTHONPATH": ":".join(str(code / area) for area in AREAS),
    }

    def tidewatt(*words: str) -> str:
        command = [sys.executable, "-c", "from tidewatt.scheduler.cli import main; main()", *words]
        done = subprocess.run(
            command, cwd=place / "work", env=environ, capture_output=True, text=True, check=True
        )
        return done.stdout

    try:
        tidewatt("up", "--zone", "DE")
        for job in JOBS:
            tidewatt("submit", *job)
        while "done" not in tidewatt("show", "1") or "running" not in tidewatt("show", "2"):
            time.sleep(0.2)
        time.sleep(2)  # an account, and a reading
    finally:
        for process in psutil.process_iter():
            try:
                if process.environ().get("TIDEWATT_HOME") == str(place / "home"):
                    process.kill()
            except psutil.Error:
                continue
    shutil.rmtree(place / "home/keys", ignore_errors=True)


def _dump(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return "\n".join(connection.iterdump())


def _modules(root: Path) -> list[Path]:
    """The files that its supervisor and its meter import, at once or later."""
    found: dict[str, Path] = {}
    ahead = list(PROCESSES)
    while ahead:
        name = ahead.pop()
        place = root.joinpath(*name.split("."))
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if name in found or not name.startswith("tidewatt") or not path.exists():
            continue
        found[name] = path
        ahead.append(name.rpartition(".")[0])
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                ahead += [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                ahead += [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
    return sorted(found.values())


def _add(target: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    target.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    main(*sys.argv[1:])
