"""Options of a source as the operator wrote them, each checked with one clear sentence."""

from collections.abc import Mapping, Sequence

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.address import base


class Options:
    """Reads one `[[source]]` table; `refuse_others`, called last, finds what nobody asked for."""

    def __init__(self, feed: str, table: Mapping[str, object]) -> None:
        self._feed, self._table = feed, table
        self._known: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        value = self._value(name, default)
        if not isinstance(value, str):
            raise self._refused(name, "a text", value)
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise self._refused(name, "true or false", value)
        return value

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        """One of several words, the default among them."""
        value = self._value(name, default)
        if not isinstance(value, str) or value not in choices:
            raise self._refused(name, " or ".join(choices), value)
        return value

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number between `least` and `most`."""
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._refused(name, f"a whole number from {least} to {most}", value)
        return value

    def address(self, name: str, default: str) -> str:
        """Where a service is asked: https, or http on this machine; host and path alone."""
        return base(self.text(name, default), f"{name} of the source {self._feed}")

    def refuse_others(self) -> None:
        """Raises ForecastError where the table has an option that was not asked for."""
        for name in self._table:
            if name not in (*self._known, "type"):
                known = ", ".join(self._known)
                raise ForecastError(f"the source {self._feed} has no option {name!r}; known are: {known}")

    def _value(self, name: str, default: object) -> object:
        self._known.append(name)
        return self._table.get(name, default)

    def _refused(self, name: str, wanted: str, value: object) -> ForecastError:
        return ForecastError(f"{name} of the source {self._feed} must be {wanted}, not {value!r}")
