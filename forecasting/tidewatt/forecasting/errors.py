"""What goes wrong with forecasts and observations."""


class ForecastError(Exception):
    """A source of carbon intensity could not be read or asked.

    `transient` tells whether the same call may succeed later.
    """

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient
