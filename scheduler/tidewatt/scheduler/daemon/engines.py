"""The backends of the configured regions, one for each kind."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from tidewatt.backends.backend import Backend, BackendError
from tidewatt.backends.engines import Setting, engine
from tidewatt.scheduler.daemon.site import HOST
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.settings import RegionTable


def others(tables: Sequence[RegionTable], setting: Setting) -> dict[str, Backend]:
    """The backends of all regions that are not on this host, by kind.

    Raises:
        BadInput: for options that a backend does not take, or a package that it needs and that is missing.
    """
    kinds = dict.fromkeys(table.backend for table in tables if table.backend != HOST)
    return {
        kind: _made(kind, [table for table in tables if table.backend == kind], setting) for kind in kinds
    }


def options_of(table: RegionTable) -> BaseModel:
    """A region's options as its backend takes them.

    Raises:
        BadInput: where it does not take them.
    """
    try:
        return engine(table.backend).Options.model_validate(table.options)
    except ValidationError as error:
        raise BadInput(f"the region {table.name!r} ({table.backend}): {_first(error)}") from None
    except BackendError as error:
        raise BadInput(f"the region {table.name!r}: {error}") from None


def _made(kind: str, tables: Sequence[RegionTable], setting: Setting) -> Backend:
    options = {table.name: options_of(table) for table in tables}
    try:
        return engine(kind).made(options, setting)
    except BackendError as error:
        raise BadInput(f"the backend {kind!r} cannot be used: {error}") from None


def _first(error: ValidationError) -> str:
    found: Any = error.errors()[0]
    where = ".".join(str(part) for part in ("options", *found["loc"]))
    return f"{where}: {found['msg']}"
