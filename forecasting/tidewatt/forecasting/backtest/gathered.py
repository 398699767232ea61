"""What an archive knows of a zone beside its intensity."""

from dataclasses import replace
from datetime import timedelta

from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.backtest.past import Past
from tidewatt.forecasting.models.history import archived
from tidewatt.forecasting.series import instant

BACK = timedelta(days=3660)


def with_more(past: Past, archive: Archive, source: str) -> Past:
    """The past with generation by fuel and with weather as issued, where the archive has them.

    What was received later than it ended counts as known when it ended: a first fill is no reason to know
    nothing. Unchanged where the intensity of `source` is not from the archive.
    """
    now = instant(past.history.now_ms)
    history = archived(archive, past.history.zone, past.kind, now, BACK, source=source, as_received=False)
    return past if history is None else replace(past, history=history)
