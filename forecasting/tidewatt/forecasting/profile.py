"""The built-in profile: what the grid is usually like, without key or network."""

from dataclasses import dataclass
from datetime import datetime

from tidewatt.forecasting.series import Outlook


@dataclass(frozen=True, slots=True)
class Profile:
    """Usual average lifecycle intensity of a zone; `flat` where only the annual mean of its country is known."""

    zone: str
    label: str  # "built-in profile of DE, 2019-2022", "annual mean of Poland, 2023 (flat)"
    flat: bool

    def outlook(self, now: datetime, until: datetime) -> Outlook:
        """The usual intensity over `[now, until)`."""
        raise NotImplementedError


def profile(zone_key: str) -> Profile | None:
    """The profile of a zone, else of the zone that contains it, else of its country; None where there is none."""
    raise NotImplementedError
