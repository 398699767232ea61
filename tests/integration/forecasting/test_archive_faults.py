"""The archive under what happens to real machines: a writer killed half-way, a full disk, two writers."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from tests.disk.library import preloaded
from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.feeds.feed import Fetched, Observed
from tidewatt.forecasting.series import Steps, milliseconds

T0 = datetime(2026, 3, 1, tzinfo=UTC)
LATER = T0 + timedelta(days=9999)
Q = "average lifecycle CO2eq, production"
WRITER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
import numpy as np
from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.feed import Fetched, Issued, Observed
from tidewatt.forecasting.series import Steps, milliseconds

T0 = datetime(2026, 3, 1, tzinfo=UTC)
Q = "average lifecycle CO2eq, production"
archive = Archive(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    at = T0 + timedelta(days=number)
    start = milliseconds(at) + np.arange(24) * 3_600_000
    steps = Steps(start, start + 3_600_000, np.full(24, float(number)))
    try:
        archive.add("EIA", "DE", Fetched((Observed(Q, steps),), (Issued(Q, at, steps),)), at)
        print(number, flush=True)
    except ForecastError as error:
        print("transient" if error.transient else "final", error, flush=True)
    if len(sys.argv) > 4:
        sys.stdin.readline()
"""


def writer(path: Path, first: int, last: int, *more: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(first), str(last), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )


def days(path: Path) -> list[float]:
    """The days of which all is there; none is there in part."""
    with Archive(path, read_only=True) as archive:
        found = archive.observations("EIA", "DE", Q, T0, LATER, LATER).gco2_per_kwh
        issues = archive.issues("EIA", "DE", Q, T0, LATER, LATER)
    values, counts = np.unique(found, return_counts=True)
    assert set(counts.tolist()) <= {24}
    assert [each.steps.gco2_per_kwh[0] for each in issues] == values.tolist()
    return [float(value) for value in values]


def test_a_writer_killed_half_way_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    told = 0
    for _ in range(3):
        with writer(path, told, 100_000) as process:
            assert process.stdout is not None
            for _ in range(7):
                told = int(process.stdout.readline()) + 1
            process.send_signal(signal.SIGKILL)
            told = max([told, *(int(line) + 1 for line in process.stdout if line.strip())])
        kept = days(path)
        assert kept[:told] == list(range(told))
        assert len(kept) <= told + 1
        told = len(kept)


def test_two_writers_and_a_reader_get_along(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    with writer(path, 0, 15) as one, writer(path, 15, 30) as two:
        outputs = [process.communicate()[0].split() for process in (one, two)]
    assert outputs == [[str(n) for n in range(15)], [str(n) for n in range(15, 30)]]
    assert days(path) == list(range(30))


def test_a_full_disk_is_a_passing_error_and_leaves_nothing_half_written(
    tmp_path: Path, require_engine: Callable[[str], None]
) -> None:
    require_engine("gcc")
    full, path = tmp_path / "full", tmp_path / "home" / "archive.db"
    environment = {
        "LD_PRELOAD": str(preloaded(tmp_path)),
        "DISK_CONTROL": str(full),
        "TIDEWATT_HOME": str(tmp_path / "home"),
    }
    with writer(path, 0, 4, "step", **environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said = []
        for number in range(4):
            said.append(process.stdout.readline().strip())
            if number == 0:
                full.touch()
            elif number == 2:
                full.unlink()
            process.stdin.write("\n")
            process.stdin.flush()
    assert said[0] == "0"
    assert said[1].startswith("transient")
    assert str(path) in said[1]
    assert said[2].startswith("transient")
    assert said[3] == "3"
    assert days(path) == [0, 3]


def test_what_a_killed_writer_left_is_no_hindrance_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    with writer(path, 0, 100_000) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    start = np.array([milliseconds(LATER)])
    with Archive(path) as archive:
        steps = Steps(start, start + 3_600_000, np.array([5.0]))
        assert archive.add("EIA", "FR", Fetched((Observed(Q, steps),)), LATER) == 1
        assert archive.remarks(T0) == ()
