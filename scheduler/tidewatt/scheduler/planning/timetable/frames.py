"""Problems and timetables on their way between processes: arrays in npz, each with its length before it.

Nothing is pickled, so nothing that is read can run.
"""

import io
import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tidewatt.scheduler.plan import Milestone, Pausing
from tidewatt.scheduler.planning.instants import floor_ms, length_ms, moment
from tidewatt.scheduler.planning.timetable.problem import Jobs, Menus, Places, Problem, Timetable
from tidewatt.scheduler.planning.timetable.windows import Prices

Arrays = dict[str, NDArray[Any]]
MOST_BYTES = 1 << 30
_HEAD = 8  # bytes of a frame's length
_PLACES = ("edges_ms", "cost", "units", "node_units", "site", "site_kw")
_MENUS = ("allowed", "speed", "power")
_JOBS = (
    *("ids", "release_ms", "due_ms", "work_ms", "units", "kw", "menu", "home", "priority", "moved_g"),
    *("moved_ms", "delay_g_per_h", "before", "group", "group_limit"),
)


class FrameError(ValueError):
    """What was read is no frame."""


def write_frame(stream: IO[bytes], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes the arrays and flushes."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    stream.write(len(content.getvalue()).to_bytes(_HEAD, "big"))
    stream.write(content.getvalue())
    stream.flush()


def read_frame(stream: IO[bytes]) -> Arrays | None:
    """The next arrays; None where the stream has ended. Raises FrameError for anything else."""
    head = stream.read(_HEAD)
    if not head:
        return None
    length = int.from_bytes(head, "big")
    if len(head) < _HEAD or length > MOST_BYTES:
        raise FrameError(f"a frame begins with {head!r}: no length")
    content = stream.read(length)
    if len(content) < length:
        raise FrameError(f"a frame of {length} bytes ended after {len(content)}")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise FrameError(f"a frame holds no arrays: {error}") from error


def problem_arrays(problem: Problem) -> Arrays:
    """A problem as arrays."""
    places, menus, jobs = problem.places, problem.menus, problem.jobs
    arrays: Arrays = {f"places.{name}": getattr(places, name) for name in _PLACES}
    arrays |= {f"menus.{name}": getattr(menus, name) for name in _MENUS}
    arrays |= {f"jobs.{name}": getattr(jobs, name) for name in _JOBS}
    arrays["places.names"] = np.array(places.names, np.str_).reshape(-1, 2)
    if places.second is not None:
        arrays["places.second"] = places.second
    if jobs.pausing:
        texts = [json.dumps(_written(terms)) for terms in jobs.pausing.values()]
        arrays["pausing.job"] = np.fromiter(jobs.pausing, np.int64)
        arrays["pausing.terms"] = np.array(texts, np.str_)
    return arrays


def problem_from(arrays: Arrays) -> Problem:
    """The problem of `problem_arrays`. Raises FrameError where something is missing."""
    try:
        names = tuple((str(region), str(pool)) for region, pool in arrays["places.names"])
        second = arrays.get("places.second")
        places = Places(names, **_named(arrays, "places", _PLACES), second=second)
        menus = Menus(**_named(arrays, "menus", _MENUS))
        indices = arrays.get("pausing.job", np.empty(0, np.int64)).tolist()
        texts = arrays.get("pausing.terms", np.empty(0, np.str_)).tolist()
        pausing = {index: _read(json.loads(text)) for index, text in zip(indices, texts, strict=True)}
        jobs = Jobs(**_named(arrays, "jobs", _JOBS), pausing=pausing)
    except (KeyError, ValueError, TypeError) as error:
        raise FrameError(f"a problem is not whole: {error}") from error
    return Problem(places, menus, jobs)


def timetable_arrays(timetable: Timetable) -> Arrays:
    """A timetable as arrays."""
    arrays: Arrays = {"place": timetable.place, "start_ms": timetable.start_ms}
    rows = [(index, *stint) for index, stints in timetable.stints.items() for stint in stints]
    if rows:
        arrays["stints"] = np.array(rows, np.int64)
    return arrays


def timetable_from(arrays: Arrays) -> Timetable:
    """The timetable of `timetable_arrays`. Raises FrameError where something is missing."""
    try:
        stints: dict[int, tuple[tuple[int, int, int], ...]] = {}
        for index, place, start, end in arrays.get("stints", np.empty((0, 4), np.int64)).tolist():
            stints[index] = (*stints.get(index, ()), (place, start, end))
        return Timetable(arrays["place"], arrays["start_ms"], stints)
    except (KeyError, ValueError, TypeError) as error:
        raise FrameError(f"a timetable is not whole: {error}") from error


def prices_arrays(prices: Prices | None) -> Arrays:
    """Prices as arrays; none as none."""
    return {} if prices is None else {"prices.unit": prices.unit, "prices.site": prices.site}


def prices_from(arrays: Arrays) -> Prices | None:
    """The prices of `prices_arrays`."""
    unit, site = arrays.get("prices.unit"), arrays.get("prices.site")
    return None if unit is None or site is None else Prices(unit, site)


def _named(arrays: Arrays, of: str, names: Iterable[str]) -> dict[str, Any]:
    return {name: arrays[f"{of}.{name}"] for name in names}


def _written(terms: Pausing) -> dict[str, Any]:
    return {
        "checkpoint": length_ms(terms.checkpoint),
        "restart": length_ms(terms.restart),
        "checkpoint_wh": terms.checkpoint_wh,
        "restart_wh": terms.restart_wh,
        "suspended_w": terms.suspended_w,
        "min_stint": length_ms(terms.min_stint),
        "max_pauses": terms.max_pauses,
        "milestones": [(each.share, floor_ms(each.by)) for each in terms.milestones],
        "moves": terms.moves,
    }


def _read(written: dict[str, Any]) -> Pausing:
    for name in ("checkpoint", "restart", "min_stint"):
        written[name] = timedelta(milliseconds=written[name])
    written["milestones"] = tuple(Milestone(share, moment(by)) for share, by in written["milestones"])
    return Pausing(**written)
