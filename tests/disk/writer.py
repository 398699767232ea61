"""A daemon's work on a store, of which each write is written down: `python -m tests.disk.writer JOBS SEED`.

It says what it has acknowledged in the file `acknowledged` of its home, so that this stands in the same log.
"""

import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.integration.scheduler.office import Office, office
from tidewatt.scheduler.paths import mark
from tidewatt.scheduler.store import Store

PAGES = 40  # of the write-ahead log: then it is folded in, some twenty times in a short run
TOGETHER = 4  # submissions at once, which the store may take as one
SAID = "acknowledged"


def main(jobs: int, seed: int) -> None:
    """Makes a store anew, then submits, cancels, holds and runs jobs; closes and opens the store between."""
    home = Path(os.environ["TIDEWATT_HOME"])
    chance = random.Random(seed)
    sa.event.listen(sa.engine.Engine, "connect", _folds_often)
    with office(home.parent) as place:
        _sync(home)
        said = os.open(home / SAID, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(said, f"mark {mark(place.paths)}\n".encode())
        numbers: list[int] = []
        with ThreadPoolExecutor(TOGETHER) as clients:
            while len(numbers) < jobs:
                asked = [_asked(chance) for _ in range(chance.choice([1, 1, TOGETHER]))]
                numbers += clients.map(partial(_acknowledged, place, said), asked)
                if chance.random() < 0.3:
                    place.round()
                if chance.random() < 0.05:
                    place.store.close()
                    place.open()
        for number in chance.sample(numbers, jobs // 3):
            place.changes.cancel(str(number))
            os.write(said, f"cancelled {number}\n".encode())


def first(home: Path) -> None:
    """Makes the store of a new folder, with all its migrations."""
    Store(home / "tidewatt.db").close()


def _asked(chance: random.Random) -> dict[str, Any]:
    env = {"env": {"WORD": "x" * chance.randint(1, 3000)}} if chance.random() < 0.5 else {}
    return {"hold": chance.random() < 0.6, **env}


def _acknowledged(place: Office, said: int, asked: dict[str, Any]) -> int:
    number = place.submit("true", **asked).job.id
    os.write(said, f"submitted {number} {len(asked['env']['WORD']) if 'env' in asked else 0}\n".encode())
    return number


def _folds_often(connection: object, _record: object) -> None:
    connection.execute(f"pragma wal_autocheckpoint={PAGES}")  # type: ignore[attr-defined] # of sqlite3


def _sync(home: Path) -> None:
    """What was put there without care is there from now on."""
    for path in (*home.rglob("*"), home):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


if __name__ == "__main__":
    if sys.argv[1] == "first":
        first(Path(os.environ["TIDEWATT_HOME"]))
    else:
        main(int(sys.argv[1]), int(sys.argv[2]))
