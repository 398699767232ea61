"""An outlook as clients see it; shared by the daemon and by `tidewatt forecast` without one."""

import math
from datetime import datetime

from tidewatt.backends.clock import moment
from tidewatt.forecasting.series import Outlook
from tidewatt.forecasting.zones import keyed
from tidewatt.scheduler.status_schema import ForecastView, SegmentView, StepView


def outlook_view(outlook: Outlook, now: datetime) -> ForecastView:
    """Steps with their band, and the segments whose borders are the seams."""
    steps = outlook.steps
    zone = keyed(outlook.zone)
    low, high = outlook.p10, outlook.p90
    return ForecastView(
        zone=outlook.zone,
        zone_name=outlook.zone if zone is None else zone.name,
        signal=outlook.kind.signal,
        kind=str(outlook.kind),
        now=now,
        steps=tuple(
            StepView(
                start=moment(int(start)),
                end=moment(int(end)),
                gco2_per_kwh=float(value),
                p10=None if low is None else _known(low[at]),
                p90=None if high is None else _known(high[at]),
            )
            for at, (start, end, value) in enumerate(
                zip(steps.start_ms, steps.end_ms, steps.gco2_per_kwh, strict=True)
            )
        ),
        segments=tuple(
            SegmentView(
                start=each.start, end=each.end, rung=each.rung, source=each.source, issued_at=each.issued_at
            )
            for each in outlook.segments
        ),
        note=outlook.note,
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
