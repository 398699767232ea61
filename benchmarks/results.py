"""What benchmarks found, kept in `.benchmarks/NAME.json`, so that documents quote what was measured."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".benchmarks"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: measured `on` what, `against` what, the `goal` in words, what was `reached`.

    `met` is None where there is no goal and the figure is for information.
    """

    on: str
    against: str
    goal: str
    reached: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Results:
    """The rows of one run. One that left zones or months out is not `complete`, and no document quotes it."""

    rows: tuple[Row, ...]
    command: str
    date: str
    commit: str
    complete: bool = True


def keep(name: str, rows: Sequence[Row], command: str, *, complete: bool = True) -> Path:
    """Writes the results of the benchmark `name`, with today's date and the commit, and returns the file."""
    results = Results(tuple(rows), command, datetime.now(UTC).date().isoformat(), commit(), complete)
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    fresh = path.with_suffix(".json.new")
    fresh.write_text(json.dumps(asdict(results), indent=2, ensure_ascii=False) + "\n")
    fresh.replace(path)
    return path


def kept(name: str) -> Results | None:
    """The last results of a benchmark; None where it has not run here."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    rows = tuple(Row(**row) for row in found.pop("rows"))
    return Results(rows=rows, **found)


def commit() -> str:
    """The commit that is checked out, with `+` where tracked files differ from it."""
    at = _git("rev-parse", "--short", "HEAD")
    return at + "+" * bool(_git("status", "--porcelain", "--untracked-files=no"))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
