"""Errors that no command expected: one sentence for the person, the traceback for the log."""

import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from tidewatt.backends.backend import BackendError
from tidewatt.forecasting.errors import ForecastError
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.paths import paths


def explain(error: Exception) -> tuple[str, int]:
    """The sentence and the exit code for an error; the traceback of one that is not ours is logged."""
    if isinstance(error, BackendError | ForecastError):
        return str(error), 1 if error.transient else 2
    place = _logged("".join(traceback.format_exception(error)))
    if isinstance(error, OSError) and error.strerror:
        of = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{of}; details are in {place}", 1
    return f"an unexpected error, {type(error).__name__}: {error}; please report it with {place}", 1


def _logged(text: str) -> Path | str:
    """Where the traceback was written: the state folder's log, else a temporary file, else nowhere."""
    line = f"{datetime.now(UTC).isoformat()} tidewatt, pid {os.getpid()}\n{text}\n"
    try:
        own = paths(os.environ)
        own.make()
        place = own.log_folder / "cli.log"
        with place.open("a", encoding="utf-8") as log:
            log.write(line)
        return place
    except (OSError, SchedulerError):
        pass  # a full or foreign state folder may be the very error: try elsewhere
    try:
        with tempfile.NamedTemporaryFile("w", prefix="tidewatt-", suffix=".log", delete=False) as spare:
            spare.write(line)
        return Path(spare.name)
    except OSError as error:
        return f"no log (none could be written: {error.strerror})"
