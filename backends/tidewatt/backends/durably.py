"""What the system says of an attempt's files, as this area's own error."""

from collections.abc import Iterator
from contextlib import contextmanager

from tidewatt.backends import durable
from tidewatt.backends.backend import BackendError


@contextmanager
def durably(what: str) -> Iterator[None]:
    """Raises a BackendError that begins with `what`; transient but for a file that holds no JSON object."""
    try:
        yield
    except OSError as error:
        raise BackendError(f"{what}: {error}", transient=True) from error
    except durable.CorruptError as error:
        raise BackendError(f"{what}: {error}; look at the file, then move it away") from error
