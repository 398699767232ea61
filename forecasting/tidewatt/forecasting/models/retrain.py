"""Trains the models of an archive anew: `python -m tidewatt.forecasting.models.retrain`.

The daemon starts it at the lowest priority, one zone at a time, its memory bounded. For each zone and kind it
writes one line of JSON on what came of it.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Kind, Signal
from tidewatt.forecasting.models import continuation_stored
from tidewatt.forecasting.models.continuation_shelf import retrained
from tidewatt.forecasting.models.forecaster import History
from tidewatt.forecasting.models.history import FOR_TRAINING, archived, until
from tidewatt.forecasting.models.stored import load, path_of, save
from tidewatt.forecasting.models.trained import Model
from tidewatt.forecasting.quantity import intensity, kind_of
from tidewatt.forecasting.series import instant
from tidewatt.forecasting.zones import every

FRESH_FOR = timedelta(hours=20)
MEMORY_MB = 2048
TROUBLE = (ForecastError, OSError, MemoryError, ValueError)  # of one zone; the next one may be trainable
Report = dict[str, object]


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains what is asked for; 1 where a model could not be trained though there was a past, else 0."""
    asked = _parser().parse_args(arguments)
    now = asked.now or datetime.now(UTC)
    _step_back(asked.niceness, asked.memory_mb, asked.threads)
    failed = False
    with Archive(asked.archive, read_only=True) as archive:
        for report in reports(archive, asked.models, now, asked.zone, asked.force):
            failed = failed or "failed" in report
            sys.stdout.write(json.dumps(report) + "\n")
            sys.stdout.flush()
    return int(failed)


def reports(
    archive: Archive, folder: Path, now: datetime, zones: Sequence[str] = (), force: bool = False
) -> Iterator[Report]:
    """Trains and stores one model after another, and says of each what came of it."""
    for zone in zones or [each.key for each in every()]:
        held = [(source, kind_of(quantity)) for source, quantity in archive.quantities(zone)]
        for kind in dict.fromkeys(kind for _, kind in held if kind is not None):
            told = {"zone": zone, "quantity": intensity(kind)}
            yield {**told, **_report(archive, folder, zone, kind, now, force)}
            if kind.signal is Signal.MARGINAL:
                for source in (source for source, other in held if other == kind):
                    yield {
                        **told,
                        "source": source,
                        **_continued(archive, folder, source, zone, kind, now, force),
                    }


def _continued(
    archive: Archive, folder: Path, source: str, zone: str, kind: Kind, now: datetime, force: bool
) -> Report:
    """What came of the model that continues what a source issues of a fast signal."""
    began = time.monotonic()
    try:
        path = continuation_stored.place(folder, zone, source, intensity(kind))
        if not force and _young(path, now):
            return {"skipped": "the continuation is of the last hours"}
        made = retrained(archive, folder, source, zone, kind, now)
    except TROUBLE as error:
        return {"failed": f"{type(error).__name__}: {error}"}
    if made is None:
        return {"skipped": "no continuation: the steps are long, too few, or full of holes"}
    captured = {"continuation": made.worth.own, "plain means": made.worth.usual}
    known = {name: round(share, 4) for name, share in captured.items() if share is not None}
    return {"captured": known, "judged_days": made.worth.days, "seconds": round(time.monotonic() - began, 1)}


def _young(path: Path, now: datetime) -> bool:
    try:
        return now - instant(continuation_stored.load(path).trained_ms) < FRESH_FOR
    except ForecastError:
        return False


def _report(archive: Archive, folder: Path, zone: str, kind: Kind, now: datetime, force: bool) -> Report:
    began = time.monotonic()
    try:
        history = archived(archive, zone, kind, now, FOR_TRAINING, as_received=False)
        if history is None:
            return {"skipped": "nothing was observed"}
        path = path_of(folder, zone, intensity(kind))
        if not force and _fresh(path, history):
            return {"skipped": "the model is of the last hours"}
        model = _trained(history, intensity(kind))
        if model is None:
            return {"skipped": "less than a week was observed"}
        save(model, path)
    except TROUBLE as error:
        return {"failed": f"{type(error).__name__}: {error}"}
    return _described(model, time.monotonic() - began)


def _trained(history: History, quantity: str) -> Model | None:
    from tidewatt.forecasting.models.training import trained  # loads scikit-learn

    return trained(history, quantity=quantity)


def _fresh(path: Path, history: History) -> bool:
    """True where the stored model has seen all but the last hours."""
    try:
        return until(history) - instant(load(path).to_ms) < FRESH_FOR
    except ForecastError:
        return False


def _described(model: Model, took_s: float) -> Report:
    return {
        "trained_from": instant(model.from_ms).isoformat(),
        "trained_to": instant(model.to_ms).isoformat(),
        "captured": {name: round(share, 4) for name, share in model.captured.items()},
        "judged_days": model.judged_days,
        "coverage": None if model.coverage != model.coverage else round(model.coverage, 3),
        "seconds": round(took_s, 1),
        "peak_mb": round(_peak_kb() / 1024),
    }


def _peak_kb() -> int:
    """The most memory that this program has held; getrusage would tell of its parent's at the fork, too."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _step_back(niceness: int, memory_mb: int, threads: int) -> None:
    """Everything else on the machine comes first, and no more memory and cores are taken than allowed."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when scikit-learn is loaded, which is later
    os.nice(niceness)
    limit = memory_mb * 1024 * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} has no time zone: add one, for example +00:00")
    return moment


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tidewatt.forecasting.models.retrain", description=__doc__
    )
    parser.add_argument("--archive", type=Path, required=True, help="the archive of observations")
    parser.add_argument("--models", type=Path, required=True, help="the folder of models")
    parser.add_argument("--zone", action="append", default=[], help="only this zone; may be repeated")
    parser.add_argument("--now", type=_moment, help="train on what had ended by then (default: now)")
    parser.add_argument(
        "--force", action="store_true", help="train also where the model is of the last hours"
    )
    parser.add_argument("--niceness", type=int, default=19, help="how far all else comes first (default: 19)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-mb", type=int, default=MEMORY_MB)
    return parser


if __name__ == "__main__":
    sys.exit(main())
