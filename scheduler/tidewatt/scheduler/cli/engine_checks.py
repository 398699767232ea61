"""Whether the engines of the configured regions can be used and answer, each asked once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from tidewatt.scheduler.cli.checks import Finding, Verdict
from tidewatt.scheduler.paths import Paths

if TYPE_CHECKING:
    from tidewatt.scheduler.settings import RegionTable

PATIENCE_S = 10.0  # real seconds for all engines together
_MARK = "tw-doctor"  # no attempt is sent with it
_ADVICE = "no job runs there until that is mended; `tidewatt regions` shows what the daemon sees"


def engines(tables: Sequence["RegionTable"], place: Paths) -> Iterator[Finding]:
    """A finding for each region that is not on this host."""
    elsewhere = [table for table in tables if table.backend != "local"]
    if not elsewhere:
        return
    pool = ThreadPoolExecutor(len(elsewhere))
    asked = {table.name: pool.submit(_asked, table, place) for table in elsewhere}
    done, _ = wait(asked.values(), PATIENCE_S)
    pool.shutdown(wait=False)
    for table in elsewhere:
        answer = asked[table.name]
        if answer in done:
            yield answer.result()
        else:
            found = f"it has not answered within {PATIENCE_S:g} s"
            yield Finding(Verdict.WARN, _subject(table), found, _ADVICE)


def _subject(table: "RegionTable") -> str:
    return f"region {table.name} ({table.backend})"


def _asked(table: "RegionTable", place: Paths) -> Finding:
    """What its engine says that it has, or why it does not."""
    from tidewatt.backends.backend import BackendError, Read
    from tidewatt.backends.clock import Clock
    from tidewatt.backends.engines import Setting, engine
    from tidewatt.scheduler.daemon.engines import options_of
    from tidewatt.scheduler.errors import SchedulerError

    subject = _subject(table)
    try:
        kind = engine(table.backend)
        backend = kind.made({table.name: options_of(table)}, Setting(place.home, Clock(), _MARK))
        if not isinstance(backend, Read):
            return Finding(Verdict.OK, subject, "can be used; it does not tell what is free")
        capacity = backend.capacity(table.name)
    except (BackendError, SchedulerError, OSError) as error:
        passing = isinstance(error, BackendError) and error.transient
        return Finding(Verdict.WARN if passing else Verdict.FAIL, subject, str(error), _ADVICE)
    if capacity is None:
        return Finding(Verdict.OK, subject, "can be used; it does not tell what is free")
    free = [f"{capacity.cpus_free} of {capacity.cpus} cores"]
    free += [f"{capacity.gpus_free.get(name, 0)} of {count} {name}" for name, count in capacity.gpus.items()]
    experimental = "; experimental: tested against stand-ins only" if kind.experimental else ""
    return Finding(Verdict.OK, subject, f"answers: {', '.join(free)} free{experimental}")
