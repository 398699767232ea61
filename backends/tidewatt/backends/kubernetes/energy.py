"""Energy of an attempt from the site's Prometheus, kept as readings."""

from pathlib import Path

from tidewatt.backends.backend import BackendError, Launch
from tidewatt.backends.kubernetes.reference import Reference
from tidewatt.backends.meters import reported
from tidewatt.backends.meters.reading import Device, How
from tidewatt.backends.prometheus import Energy, PrometheusOptions, energies

LATE_S = 120.0  # scrapes and rules come a little later


def collect(folder: Path, ref: Reference, launch: Launch, now_ms: int) -> bool:
    """Writes what is known below `folder/readings`; False while some of it may still come.

    Raises:
        BackendError: Prometheus does not answer, or cannot be asked so.
        OSError: It cannot be written.
    """
    if ref.prometheus is None or not (ref.pod and ref.started_ms and ref.finished_ms):
        return True
    options = PrometheusOptions.model_validate(ref.prometheus)
    words = {"namespace": ref.namespace, "pod": ref.pod, "node": ref.node}
    end_ms = max(ref.finished_ms, ref.started_ms + 1000)
    if now_ms < end_ms + 2000 * options.step_s:
        return False
    found = energies(options, words, ref.started_ms / 1000, end_ms / 1000)
    for each in found:
        _write(folder, each, launch)
    complete = len({each.series for each in found}) == len(options.series)
    return complete or now_ms > end_ms + 1000 * (LATE_S + 2 * options.step_s)


def _write(folder: Path, energy: Energy, launch: Launch) -> None:
    series = energy.series
    how = How.MEASURED if energy.counted else How.MODELLED
    device = Device(
        f"{reported.PREFIX}{series.component}", series.component, how, f"Prometheus: {series.source}"
    )
    points = dict(sorted((launch.clock.at_ms(at_ms), used_uj) for at_ms, used_uj in energy.points))
    try:
        reported.write(folder / "readings", launch.attempt_id, device, list(points.items()), launch.clock)
    except ValueError as error:
        raise BackendError(f"what Prometheus says of {series.component}: {error}") from error
