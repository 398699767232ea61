"""A job while it runs: what it draws now, and the end of what it writes."""

import os
import stat
import time
from base64 import b64decode

from tidewatt.backends.backend import BackendError
from tidewatt.backends.clock import time_ms
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.array import parse_key
from tidewatt.scheduler.daemon.callers import own_only
from tidewatt.scheduler.daemon.collecting import readings_of
from tidewatt.scheduler.daemon.naming import named
from tidewatt.scheduler.daemon.outputs import output
from tidewatt.scheduler.daemon.ownership import acting
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.site import HOST
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.page.desk import Power, Tail
from tidewatt.scheduler.schemas import JobView

TAIL_BYTES = 16_384
SHOWN_MS = 30 * 60_000  # of real time
STEPS = 120
KEPT_S = 4.0  # for which a power curve is shown again: several people may look at one job
MOST_KEPT = 64
MOST_READS = 16  # of an engine for one look


class Live:
    """Looks at jobs that run; never holds the service's lock."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._site = service.site
        self._power: dict[str, tuple[float, Power]] = {}
        self._far: dict[str, tuple[int, bytes]] = {}  # attempt: how far its output was read, and its end

    def power(self, job: JobView) -> Power:
        """Mean watts of the last half hour of its running attempt, idle draw included, PUE not applied."""
        attempt = job.attempts[-1] if job.attempts else None
        if job.state != "running" or attempt is None or attempt.started is None or attempt.backend != HOST:
            return Power()
        kept = self._power.get(attempt.attempt_id)
        if kept is not None and time.monotonic() - kept[0] < KEPT_S:
            return kept[1]
        factor = self._site.clock.factor
        now_ms = time_ms(self._site.clock.now())
        start_ms = max(time_ms(attempt.started), now_ms - round(SHOWN_MS * factor))
        try:
            found = self._drawn(attempt.attempt_id, attempt.gpu_uuids, start_ms, now_ms, factor)
        except (OSError, ValueError, BackendError):  # the meter has only just begun
            found = Power()
        if len(self._power) >= MOST_KEPT:
            self._power = {}
        self._power[attempt.attempt_id] = (time.monotonic(), found)
        return found

    def tail(self, job: JobView) -> Tail:
        """The last of what it wrote to its output; on a shared server for its own user alone."""
        try:
            record = named(parse_key(job.key or str(job.id)), self._service.store)[0]
            own_only([record], "shown what it writes")
            if job.attempts and job.attempts[-1].backend != HOST:
                return self._far_tail(job)
            with acting(self._site.paths.job(record.id), self._site.paths):
                return _end_of(job.stdout)
        except (SchedulerError, BackendError) as error:
            return Tail("", trouble=str(error))
        except OSError as error:
            return Tail("", trouble=f"the output {job.stdout} cannot be read: {error.strerror}")

    def _far_tail(self, job: JobView) -> Tail:
        attempt_id = job.attempts[-1].attempt_id
        offset, data = self._far.get(attempt_id, (0, b""))
        for _ in range(MOST_READS):
            found = output(self._service, job.key or str(job.id), attempt_id, offset)
            data = (data + b64decode(found.data))[-TAIL_BYTES:]
            if found.offset == offset:
                break
            offset = found.offset
        if len(self._far) >= MOST_KEPT:
            self._far = {}
        self._far[attempt_id] = (offset, data)
        return _lines(data, cut=offset > len(data))

    def _drawn(
        self, attempt_id: str, gpu_uuids: tuple[str, ...], start_ms: int, now_ms: int, factor: float
    ) -> Power:
        import numpy as np

        used = usage(readings_of(self._site.paths, attempt_id), attempt_id, gpu_uuids, start_ms, now_ms)
        edges = np.linspace(start_ms, now_ms, STEPS + 1)
        energy, covered = np.zeros(STEPS), np.zeros(STEPS)
        hows: list[str] = []
        for component in used.components:
            columns = used.columns(component)
            known = columns.how != list(How).index(How.MISSING)
            if not known.any():
                continue
            hows.append(f"{component} ({used.sources.get(component, '')})")
            starts, ends = columns.start_ms[known], columns.end_ms[known]
            amounts = (columns.active_uj + columns.idle_uj)[known]
            for start, end, amount in zip(starts, ends, amounts, strict=True):
                if end > start:
                    share = np.clip(np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1]), 0, None)
                    energy += amount * share / (end - start)
                    covered = np.maximum(covered, share)
        watts = [
            float(uj / 1000 / ms * factor) if ms > 0 else None for uj, ms in zip(energy, covered, strict=True)
        ]
        times = [round(each) for each in edges]
        return Power(tuple(times[:-1]), tuple(times[1:]), tuple(watts), ", ".join(hows))


def _end_of(path: str) -> Tail:
    """Of a plain file alone: a pipe would hold us up, a device would never end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Tail("")
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return Tail("", trouble=f"{path} is no plain file: read it where it goes")
        file.seek(max(found.st_size - TAIL_BYTES, 0))
        return _lines(file.read(TAIL_BYTES), cut=found.st_size > TAIL_BYTES)


def _lines(data: bytes, *, cut: bool) -> Tail:
    text = data.decode("utf-8", "replace")
    return Tail(text.partition("\n")[2] or text if cut else text, cut)
