"""The backends of the configured regions, one for each kind."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError

from tidewatt.backends.backend import Backend, BackendError
from tidewatt.backends.engines import Setting, engine
from tidewatt.backends.unusable import UnusableBackend
from tidewatt.scheduler.daemon.site import HOST, Site
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.settings import RegionTable
from tidewatt.scheduler.store import Store

log = structlog.get_logger()


class Engines(dict[str, Backend]):
    """Backends by kind. One of which no region is configured any more is made when it is asked for.

    Its attempts say in their folders how to reach them, so none is stranded.
    """

    def __init__(self, made: Mapping[str, Backend], setting: Setting) -> None:
        super().__init__(made)
        self._setting = setting

    def __missing__(self, kind: str) -> Backend:
        log.warning("engine.not_configured", backend=kind)
        self[kind] = made = _made(kind, (), self._setting)
        return made


def stranded(site: Site, store: Store) -> list[str]:
    """Of each live attempt in a region that is not configured any more, a sentence."""
    configured = {region.name for region in site.regions}
    return [
        f"job {attempt.job_id} is still in {attempt.region} ({attempt.backend}), which is not configured any"
        " more: it is followed to its end there; cancel it, or bring the region back"
        for attempt in store.live_attempts()
        if attempt.region not in configured
    ]


def others(tables: Sequence[RegionTable], setting: Setting) -> Engines:
    """The backends of all regions that are not on this host, by kind.

    One that cannot be used, as where its package is not installed, says so of all that is asked of it.

    Raises:
        BadInput: for options that a backend does not take.
    """
    kinds = dict.fromkeys(table.backend for table in tables if table.backend != HOST)
    made = {
        kind: _made(kind, [table for table in tables if table.backend == kind], setting) for kind in kinds
    }
    return Engines(made, setting)


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
    try:
        found = engine(kind)
        return found.made({table.name: options_of(table) for table in tables}, setting)
    except BackendError as error:
        log.error("engine.unusable", backend=kind, error=str(error))
        return UnusableBackend(f"the backend {kind!r} cannot be used: {error}")


def _first(error: ValidationError) -> str:
    found: Any = error.errors()[0]
    where = ".".join(str(part) for part in ("options", *found["loc"]))
    return f"{where}: {found['msg']}"
