"""What happens to sources, told to the log of a process that has one: commands print only results."""

from typing import Literal


def tell(level: Literal["info", "warning"], event: str, **fields: str) -> None:
    """Logs an event with its fields where structlog has been set up, and nowhere else."""
    import structlog  # here, as it loads much and most processes never log from here

    if structlog.is_configured():
        getattr(structlog.get_logger("tidewatt.forecasting"), level)(event, **fields)
